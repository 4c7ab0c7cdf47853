"""The band with object and action: there when they are known, out of the hands' way, and never an error."""

from dataclasses import replace

import numpy as np
import pytest

from handloom.hands import ActionSegment
from handloom.view.caption import Caption
from handloom.view.colours import label_colours
from make_labels import make_found

TRACK = make_found()
GREY = 128


def drawn(track, index, size=(480, 270), keypoints=None):
    width, height = size
    image = np.full((height, width, 3), GREY, np.uint8)
    points = track.keypoints_px if keypoints is None else keypoints
    Caption(track, points, width, height).draw(image, index)
    return image


def touched(image):
    """(top, left, bottom, right) of what was drawn."""
    rows, columns = np.nonzero((image != GREY).any(-1))
    return rows.min(), columns.min(), rows.max(), columns.max()


def test_two_lines_in_the_colours_of_the_report():
    image = drawn(TRACK, 0)
    action = label_colours(action.label for action in TRACK.actions)["take milk"]
    for rgb in (action, label_colours(["milk"])["milk"]):
        assert (image == np.array(rgb)).all(-1).any()
    one_line = drawn(TRACK, 100)  # no object there
    assert 0 < touched(one_line)[2] - touched(one_line)[0] < 0.7 * (touched(image)[2] - touched(image)[0])


def test_nothing_is_drawn_where_nothing_is_known():
    bare = replace(TRACK, object_names=(), object_probabilities=None, actions=())
    assert (drawn(bare, 0) == GREY).all()
    short = replace(bare, actions=(ActionSegment("pour", 1, 2),))
    assert (drawn(short, 10) == GREY).all()
    assert (drawn(short, 40) != GREY).any()


@pytest.mark.parametrize(
    ("taken", "at"),
    [
        ([(40, 20)], (False, True)),
        ([(40, 20), (440, 20)], (True, False)),
        ([(40, 20), (440, 20), (40, 250)], (False, False)),
    ],
)
def test_the_corner_without_hands_is_taken(taken, at):
    """`at`: right half? bottom half? The first free corner of top left, top right, bottom left, bottom right."""
    keypoints = np.full((120, 2, 21, 2), np.nan)
    keypoints[:, 0, : len(taken)] = taken
    top, left, _, _ = touched(drawn(TRACK, 0, keypoints=keypoints))
    expected = {(False, True): (False, True), (True, False): (True, False), (False, False): (True, True)}[at]
    assert ((top > 135), (left > 240)) == expected


@pytest.mark.parametrize("size", [(480, 270), (1920, 1080), (720, 720), (270, 480)])
def test_it_grows_with_the_picture_but_stays_discreet(size):
    image = drawn(TRACK, 0, size)
    assert 0.001 < (image != GREY).any(-1).mean() < 0.12


@pytest.mark.parametrize("size", [(1, 1), (64, 36), (160, 120), (480, 270), (30, 2000)])
def test_long_and_foreign_names_fit_any_picture(size):
    names = ("spray büchse für alle Fälle " * 9, "日本", "cup")
    track = replace(TRACK, object_names=names, actions=(ActionSegment("take out " * 20, 0, 9),))
    image = drawn(track, 0, size)
    if size == (480, 270):
        assert touched(image)[3] < 478
        assert (drawn(replace(track, object_names=("Buchse" * 40, "a", "b")), 0) != image).any()
