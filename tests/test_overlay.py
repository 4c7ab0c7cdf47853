"""Skeletons drawn on images: in the right place and colours, and never an error for odd coordinates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handloom.errors import InputError
from handloom.skeleton import BONES, FINGERTIPS
from handloom.view.colours import BONE_RGB, FINGER_RGB, HAND_RGB, OUTLINE_RGB
from handloom.view.overlay import draw_hands
from make_track import make_track

TRACK = make_track(60, gaps=False, noise_m=0)
GREY = 128


def drawn(keypoints, valid=None, confidence=None, size=(720, 720), labels=False):
    image = np.full((*size, 3), GREY, np.uint8)
    everything = np.ones((2, 21), bool)
    draw_hands(
        image,
        np.asarray(keypoints, np.float32),
        everything if valid is None else valid,
        np.ones((2, 21), np.float32) if confidence is None else confidence,
        labels,
    )
    return image


def only(hand):
    valid = np.zeros((2, 21), bool)
    valid[hand] = True
    return valid


def has_colour(image, rgb):
    return bool((image == np.array(rgb, np.uint8)).all(-1).any())


@pytest.mark.parametrize("hand", [0, 1])
def test_every_bone_runs_between_its_joints_in_its_finger_colour(hand):
    keypoints = TRACK.keypoints_px[5] * 2.0
    for bone, (a, b) in enumerate(BONES):
        valid = np.zeros((2, 21), bool)
        valid[hand, [a, b]] = True
        image = drawn(keypoints, valid, size=(1440, 1440))
        x, y = np.rint(keypoints[hand, [a, b]].mean(0)).astype(int)
        assert image[y, x].tolist() == list(BONE_RGB[bone]), bone
        touched = np.argwhere((image != GREY).any(-1))[:, ::-1]
        box = keypoints[hand, [a, b]]
        assert (touched >= box.min(0) - 16).all()
        assert (touched <= box.max(0) + 16).all()


def test_left_and_right_have_their_own_edge_and_badge():
    keypoints = TRACK.keypoints_px[5]
    for hand in (0, 1):
        image = drawn(keypoints, only(hand), labels=True)
        assert has_colour(image, HAND_RGB[hand])
        assert not has_colour(image, HAND_RGB[1 - hand])
        assert has_colour(image, OUTLINE_RGB[hand])
    assert not has_colour(drawn(keypoints, only(0)), OUTLINE_RGB[1])


def test_sub_pixel_positions_move_the_picture():
    keypoints = TRACK.keypoints_px[5]
    assert (drawn(keypoints) != drawn(keypoints + np.float32(0.4))).any()


def test_missing_joints_and_hands_are_not_drawn():
    keypoints = TRACK.keypoints_px[5].copy()
    keypoints[1] = np.nan
    assert (drawn(keypoints, np.zeros((2, 21), bool)) == GREY).all()
    valid = only(0)
    valid[0, list(FINGERTIPS)] = False
    tip = np.rint(keypoints[0, 8]).astype(int)
    assert has_colour(drawn(keypoints, only(0))[tip[1] - 1 : tip[1] + 2, tip[0] - 1 : tip[0] + 2], FINGER_RGB[1])
    assert (drawn(keypoints, valid)[tip[1], tip[0]] == GREY).all()


def test_confidence_makes_lines_thinner_and_greyer():
    keypoints = TRACK.keypoints_px[5]
    sure, unsure = drawn(keypoints), drawn(keypoints, confidence=np.full((2, 21), 0.1, np.float32))
    assert (unsure != GREY).any(-1).sum() < 0.8 * (sure != GREY).any(-1).sum()
    saturation = [np.ptp(image.astype(int), axis=-1).max() for image in (sure, unsure)]
    assert saturation[1] < 0.6 * saturation[0]


def test_lines_grow_with_the_image():
    share = []
    for factor in (1, 3):
        image = drawn(TRACK.keypoints_px[5] * factor, size=(720 * factor, 720 * factor))
        share.append((image != GREY).any(-1).mean())
    assert share[1] == pytest.approx(share[0], rel=0.2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(width=32, allow_nan=True, allow_infinity=True), st.floats(-2000, 3000, width=32)),
        min_size=84,
        max_size=84,
    ),
    st.sampled_from([(720, 720), (1, 1), (3, 500), (241, 321)]),
)
def test_no_coordinates_are_an_error(numbers, size):
    keypoints = np.array(numbers, np.float32).reshape(2, 21, 2)
    drawn(keypoints, confidence=np.full((2, 21), np.nan, np.float32), size=size, labels=True)


def test_a_bone_that_leaves_the_image_keeps_its_direction():
    keypoints = np.full((2, 21, 2), np.nan, np.float32)
    keypoints[1, 0], keypoints[1, 5] = (100, 300), (6100, 300)
    valid = np.zeros((2, 21), bool)
    valid[1, [0, 5]] = True
    assert (drawn(keypoints, valid)[300, 150:] == FINGER_RGB[1]).all()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((8, 8, 3), np.uint8)[:, ::-1], "C-contiguous and writable"),
        (np.broadcast_to(np.uint8(0), (8, 8, 3)), "C-contiguous and writable"),
    ],
)
def test_an_image_that_cannot_be_drawn_on_is_refused(image, said):
    with pytest.raises(InputError, match=said):
        draw_hands(image, TRACK.keypoints_px[0], TRACK.valid[0], TRACK.confidence[0])
