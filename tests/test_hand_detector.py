"""The detector of hands: decoding, targets, what a mirror does, scores, training that resumes, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.metrics.boxes import JudgedPicture, box_scores, intersection_over_union
from made_up_rig import dotted_store
from made_up_store import MadeUp
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return dotted_store(tmp_path_factory.mktemp("store") / "s", fixed=2)


@pytest.fixture(scope="module")
def tiny():
    """The small preset, smaller."""
    from handloom.training import hand_detector_recipe as recipes

    kept = recipes.HAND_DETECTOR_PRESETS["small"]
    config = replace(kept.config, long_side_px=64, features=16, stages=((1, 3, 2, 16, 1), (2, 3, 2, 16, 1)))
    recipe = replace(kept.recipe, epochs=2, batch_clips=2, warm_up_steps=1, precision="float32")
    recipes.HAND_DETECTOR_PRESETS["small"] = replace(kept, config=config, recipe=recipe)
    yield config
    recipes.HAND_DETECTOR_PRESETS["small"] = kept


def train(data, out, **options):
    from handloom.training.hand_detector import train_hand_detector
    from handloom.training.options import HandDetectorOptions

    data = data if isinstance(data, list) else [data]
    return train_hand_detector(data, out, HandDetectorOptions(**({"device": "cpu"} | options)))


@pytest.fixture(scope="module")
def run(store, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "r"
    assert train(store, out) == out / "model"
    return out


def maps_of(cells, h=8, w=10):
    """Maps that say nothing but (row, column, left, right, box) of some cells."""
    from handloom.models.hand_detector import HandMaps

    scores, boxes = torch.full((1, 2, h, w), 0.001), torch.zeros(1, 4, h, w)
    for row, column, left, right, box in cells:
        scores[0, :, row, column] = torch.tensor([left, right])
        boxes[0, :, row, column] = torch.tensor(box)
    return HandMaps(torch.logit(scores), boxes)


def test_hands_are_the_cells_that_are_likelier_than_all_about_them():
    from handloom.models.hand_detector import decode

    left, right = [2.0, 3.0, 12.0, 14.0], [20.0, 10.0, 34.0, 26.0]
    near = [18.0, 10.0, 34.0, 26.0]
    said = maps_of([(2, 1, 0.9, 0.1, left), (5, 7, 0.2, 0.6, right), (5, 6, 0.1, 0.5, near)])
    found = decode(said, 3)
    assert found.boxes_px[0, :2].tolist() == [left, right], "not the cell beside the second"
    np.testing.assert_allclose(found.scores[0, :2], [[0.9, 0.1], [0.2, 0.6]], atol=1e-6)
    assert found.scores.shape == (1, 3, 2)
    assert decode(said, 1).boxes_px[0].tolist() == [left]


def test_a_hand_that_may_be_either_is_one_hand():
    from handloom.estimators.hand_finder import _told_apart

    box, other = [10.0, 10.0, 30.0, 30.0], [12.0, 10.0, 31.0, 30.0]
    found = _told_apart(np.array([box, [50.0, 10, 70, 30], other]), np.array([[0.2, 0.6], [0.8, 0.0], [0.4, 0.1]]))
    assert found.boxes_px.tolist() == [[50.0, 10, 70, 30], box]
    np.testing.assert_allclose(found.right_probability, [0, 0.75])
    assert found.right.tolist() == [False, True]
    assert len(_told_apart(np.zeros((2, 4)), np.zeros((2, 2))).scores) == 0, "what fills up is no hand"


def test_what_says_the_truth_has_no_loss():
    from handloom.models.hand_detector import HandMaps
    from handloom.training.hand_detector_loss import generalised_overlap, hand_detector_loss, hand_targets
    from handloom.training.hand_detector_samples import DetectorSample

    boxes = torch.tensor([[[4.0, 4.0, 20.0, 16.0], [24.0, 8.0, 36.0, 30.0]]])
    yes, no = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)
    given = DetectorSample(torch.zeros(1, 3, 32, 40, dtype=torch.uint8), boxes, yes, yes, torch.zeros(1).long())
    blank = HandMaps(torch.zeros(1, 2, 8, 10), torch.ones(1, 4, 8, 10))
    targets = hand_targets(blank, given)
    assert [torch.nonzero(bump == 1).tolist() for bump in targets.bumps[0]] == [[[2, 3]], [[4, 7]]]
    perfect = HandMaps(torch.where(targets.bumps == 1, 30.0, -30.0), targets.boxes_px)
    assert hand_detector_loss(perfect, given).means.abs().max() < 1e-6
    assert hand_detector_loss(blank, given).means.min() > 0.3
    # Of a hand that may be found or not, nothing is learned: neither that it is there nor that it is not.
    unclear = given._replace(counted=torch.tensor([[True, False]]))
    weight = hand_targets(blank, unclear).weight[0]
    assert weight[:, 4, 7].tolist() == [0, 0]
    assert weight[:, 2, 3].tolist() == [1, 1]
    absent = given._replace(there=no, counted=no)
    assert hand_targets(blank, absent).weight.min() == 1
    assert hand_detector_loss(perfect._replace(scores=torch.full((1, 2, 8, 10), -30.0)), absent).sums.max() < 1e-6

    def overlap(a, b):
        return float(generalised_overlap(*(torch.tensor(box).view(1, 4, 1, 1) for box in (a, b))))

    assert overlap([0.0, 0, 2, 2], [1.0, 0, 3, 2]) == pytest.approx(1 / 3)
    assert overlap([0.0, 0, 1, 1], [3.0, 0, 4, 1]) == pytest.approx(-0.5), "apart: the gap of the box around both"


def test_in_a_mirror_hands_change_sides(store, tiny, run):
    from handloom.datasets.clips import recordings_of
    from handloom.datasets.hand_pictures import read_hand_pictures
    from handloom.training.hand_detector_recipe import HAND_DETECTOR_PRESETS
    from handloom.training.hand_detector_samples import DetectorSamples, moved_boxes

    boxes = np.array([[10.0, 5, 20, 15], [40, 8, 60, 30]])
    mirror = np.array([[-1.0, 0, 63], [0, 1, 0]])
    moved, there, inside = moved_boxes(boxes, mirror, (64, 48), flip=True)
    assert moved.tolist() == [[3, 8, 23, 30], [43, 5, 53, 15]]
    assert there.all()
    assert (inside == 1).all()
    again, _, _ = moved_boxes(moved, mirror, (64, 48), flip=True)
    np.testing.assert_allclose(again, boxes)
    cut, there, inside = moved_boxes(boxes, np.array([[1.0, 0, -50], [0, 1, 0]]), (64, 48), flip=False)
    assert there.tolist() == [False, True]
    assert cut[1].tolist() == [-0.5, 8, 10, 30]
    np.testing.assert_allclose(inside, [0, 10.5 / 20])

    recipe = replace(HAND_DETECTOR_PRESETS["small"].recipe, colours=0.0, zoom=1.0, shift=0.0)
    opened = Store(store)
    parts = read_hand_pictures(opened, recordings_of(opened, "train"), ["exo0"], 64, run / "pictures")
    plain, drawn = DetectorSamples(parts, tiny, recipe, None)[0, 0], DetectorSamples(parts, tiny, recipe, 3)
    turned = next(s for s in (drawn[epoch, 0] for epoch in range(20)) if not torch.equal(s.boxes_px, plain.boxes_px))
    w = parts[0].pictures.shape[2]
    assert torch.equal(turned.picture[:, :48, :w], plain.picture[:, :48, :w].flip(2)), "the picture is mirrored"
    x0, y0, x1, y1 = plain.boxes_px[1].tolist()
    np.testing.assert_allclose(turned.boxes_px[0], [w - 1 - x1, y0, w - 1 - x0, y1], atol=1e-4)


def test_boxes_go_around_the_joints_that_are_seen(store, tmp_path):
    from handloom.datasets.clips import recordings_of
    from handloom.datasets.hand_pictures import read_hand_pictures
    from handloom.estimators.whole_pictures import BOX_ROOM

    opened = Store(store)
    parts = read_hand_pictures(opened, recordings_of(opened, "test"), ["exo0", "ego1"], 64, tmp_path)
    for part in parts:
        keypoints = opened.columns(2, [f"camera.{part.camera}.keypoints"])[f"camera.{part.camera}.keypoints"]
        assert part.pictures.shape[1:] == (48, 64, 3)
        for frame, hand in np.ndindex(len(part.frame), 2):
            scaled = (keypoints[part.frame[frame], hand] + 0.5) / 5 - 0.5
            inside = scaled[((scaled > -0.5) & (scaled < [63.5, 47.5])).all(-1)]
            low, high = inside.min(0), inside.max(0)
            room = BOX_ROOM * (high - low).max()
            expected = np.clip([*(low - room), *(high + room)], -0.5, [63.5, 47.5] * 2)
            np.testing.assert_allclose(part.boxes_px[frame, hand], expected, atol=1e-3)
    # A store's own boxes come first, and frames in which nothing is labelled are not looked at.
    prepare_episodes(MadeUp((20,)), tmp_path / "boxed")
    boxed = Store(tmp_path / "boxed")
    front, _ = read_hand_pictures(boxed, boxed.recordings, ["front", "head"], 32, tmp_path)
    np.testing.assert_allclose(front.boxes_px[:, 1], [[4.75, 4.75, 14.75, 14.75]] * 20)
    assert not np.isfinite(front.boxes_px[:3, 0]).any(), "the left hand is not there yet"
    assert front.counted[:, 1].all()


def test_scores_are_exact():
    left, right, none = [0.0, 0, 10, 10], [20.0, 0, 30, 10], [np.nan] * 4
    assert intersection_over_union(np.array(left), np.array([5.0, 0, 15, 10])) == pytest.approx(1 / 3)

    def picture(boxes, scores, sides, true, counted=(True, True)):
        return JudgedPicture(
            np.array(boxes).reshape(-1, 4), np.array(scores), np.array(sides, bool), np.array(true), np.array(counted)
        )

    both = [left, right]
    perfect = picture(both, [0.9, 0.8], [False, True], both)
    assert box_scores([perfect], 0.3) == (1, 1, 1, 1, 0, 2, 2, 1)
    # The right hand is called left, surer than the left one; a false box; and a hand that is missed.
    wrong = picture([left, right, [50.0, 0, 60, 10]], [0.5, 0.9, 0.4], [False, False, True], both)
    missed = picture([], [], [], both)
    values = box_scores([wrong, missed], 0.3)
    assert (values.recall, values.side_accuracy, values.false_per_picture) == (0.5, 0.5, 0.5)
    assert values.ap == pytest.approx((0.5 * 0.5 + 0) / 2), "left: second of two, one of two hands; right: none"
    assert box_scores([wrong], 0.6).recall == 0.5, "what is less sure is not found"
    # One that is hidden may be found or not, also twice.
    hidden = picture([left, left, right], [0.9, 0.8, 0.8], [False, False, True], both, (False, True))
    values = box_scores([hidden], 0.3)
    assert (values.ap, values.recall, values.false_per_picture, values.hands) == (1, 1, 0, 1)
    twice = picture([right, right], [0.9, 0.8], [True, True], both)
    assert box_scores([twice], 0.3).false_per_picture == 1, "a second box on one hand is false"
    assert box_scores([picture([], [], [], [none, none])], 0.3).ap is None


def test_stopped_anywhere_and_resumed_it_has_the_same_bits(store, tiny, run, tmp_path):
    from handloom.formats.weights import WEIGHTS, read_tensors

    for steps in (1, 4):
        assert train(store, tmp_path / "r", pictures=run / "pictures", max_steps=steps) is None
    train(store, tmp_path / "r", pictures=run / "pictures")
    whole, pieces = (read_tensors(place / "model" / WEIGHTS) for place in (run, tmp_path / "r"))
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    with pytest.raises(InputError, match="seed: begun with 0, now 1"):
        train(store, run, seed=1)


def test_from_the_command_line(store, tiny, tmp_path, capsys):
    """Two stores, some of the cameras; then the scores of each camera, and their page."""
    out, scores = tmp_path / "r", tmp_path / "scores"
    more = ["--cameras", "exo0", "ego1", "--epochs", "1", "--device", "cpu"]
    data = ["--data", str(store), str(store)]
    assert main(["train", "hand-detector", *data, "--out", str(out), *more]) == 0
    assert "--detector" in capsys.readouterr().out
    about = json.loads((out / "training.json").read_text())
    assert about["data"]["cameras"] == [["exo0", "ego1"]] * 2
    assert main(["evaluate", str(out), "--data", str(store), "--out", str(scores), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "Hands found in dots (s), split test" in printed
    found = json.loads((scores / "scores.json").read_text())
    assert list(found["cameras"]) == ["exo0", "exo1", "ego-1", "ego1"]
    assert all(name in printed for name in found["cameras"])
    assert found["all"]["hands"] == sum(values["hands"] for values in found["cameras"].values()) > 0
    page = (scores / "evaluation.html").read_text()
    assert page.count("<figure>") == 8
    assert "average precision" in page


def test_what_it_refuses(store, tiny, run, tmp_path):
    with pytest.raises(InputError, match="no store has pictures of camera 'cam9'; there are ego-1, ego1, exo0, exo1"):
        train(store, tmp_path / "a", cameras=("cam9",))
    blind = dotted_store(tmp_path / "blind", fixed=2, pictures=False)
    with pytest.raises(InputError, match="blind has no pictures"):
        train(blind, tmp_path / "b")
    with pytest.raises(InputError, match="one store or more"):
        train([], tmp_path / "c")

    class Unlabelled(MadeUp):
        def read(self, name):
            episode = super().read(name)
            nobody = replace(episode.hands, valid=np.zeros_like(episode.hands.valid))
            return replace(episode, hands=nobody, streams=(episode.streams[1],))

    prepare_episodes(Unlabelled((20, 20)), tmp_path / "none")
    with pytest.raises(InputError, match="not one of 0 pictures shows a labelled hand"):
        train(tmp_path / "none", tmp_path / "d")
    from handloom.estimators.hand_finder import HandFinder
    from handloom.estimators.svegonet import SVEgoNet

    with pytest.raises(InputError, match="holds weights of HandDetector, not of InterNet"):
        SVEgoNet.load(run)
    with pytest.raises(InputError, match="give a folder with weights"):
        HandFinder.load(Path(tmp_path / "nowhere"))
