"""A trained detector in place of MediaPipe: what it chooses, joints through any lens, track and annotate with it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from handloom.cli import main
from handloom.errors import HandloomError, InputError
from handloom.estimators.whole_pictures import BOX_ROOM
from handloom.formats.cameras import write_camera
from handloom.formats.tracks import read_any_track
from handloom.geometry import Pinhole
from handloom.skeleton import bone_lengths
from made_up_capture import LENS, hands, make_capture, ring
from made_up_hands import moving_hand
from made_up_rig import FISHEYE, dots
from make_video import clip
from with_torch import needs_torch, torch

pytestmark = needs_torch
NETWORK = {"crop_size": 32, "voxels": 8, "features": 16, "stem": 16, "kernel": 3, "widths": (16, 16), "residuals": 1}
STAGES = ((1, 3, 1, 16, 1), (2, 3, 2, 16, 1))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained weights of all three networks."""
    from handloom.formats.weights import save_pretrained
    from handloom.models.hand_detector import HandDetector, HandDetectorConfig
    from handloom.models.internet import InterNet
    from handloom.models.mvexonet import MVExoNet, MVExoNetConfig
    from handloom.training.svegonet_recipe import PRESETS

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    kept = PRESETS["small"].config
    shape = {name: getattr(kept, name) for name in ("backbone", "width", "lateral", "heatmaps")}
    bones = tuple(bone_lengths(moving_hand(1, start=(0.0, 0.08, 0.5))[0]).tolist())
    ego = InterNet(type(kept)(**shape, image_px=32, voxels=16, features=16, bones_m=bones))
    save_pretrained(ego, folder / "ego" / "model")
    save_pretrained(MVExoNet(MVExoNetConfig(**NETWORK, stages=STAGES)), folder / "exo" / "model")
    config = HandDetectorConfig(long_side_px=64, features=16, stem=16, stages=((1, 3, 2, 16, 1), (2, 3, 2, 16, 1)))
    save_pretrained(HandDetector(config), folder / "boxes" / "model")
    return folder


def boxed(keypoints):
    """The boxes of hands (n, 21, 2) as the detector learns them."""
    low, high = keypoints.min(1), keypoints.max(1)
    room = BOX_ROOM * (high - low).max(1, keepdims=True)
    return np.concatenate([low - room, high + room], 1)


def test_of_more_boxes_those_with_the_surest_joints_are_hands_of_both_sides(weights, monkeypatch):
    from handloom.estimators.hand_finder import HandBoxes, HandFinder
    from handloom.estimators.trained_detector import TrainedDetector

    boxes = np.arange(0, 20, 4)[:, None] + np.array([0.0, 0, 2, 2])
    found = HandBoxes(boxes, np.array([0.9, 0.8, 0.6, 0.5, 0.2]), np.array([0.9, 0.8, 0.7, 0.1, 0.2]))
    sure = {0: 0.2, 4: 0.9, 8: 0.9, 12: 0.3, 16: 1.0}

    monkeypatch.setattr(HandFinder, "find", lambda _finder, _image: found)
    finder = HandFinder.load(weights / "boxes", "cpu")

    def joints(_image, asked):
        marks = np.broadcast_to(asked.boxes_px[:, None, :2], (len(asked.scores), 21, 2)).copy()
        numbers = np.rint(asked.boxes_px[:, 0])
        marks[numbers == 4] = np.nan
        return marks, np.stack([np.full(21, sure[x]) for x in numbers.tolist()])

    image = np.zeros((8, 8, 3), np.uint8)
    told = TrainedDetector(finder, joints, 0.3).detect(image)
    assert [round(hand.keypoints_px[0, 0]) for hand in told] == [8, 12], "one right hand is cut off, one unsure"
    assert [hand.score for hand in told] == pytest.approx([0.54, 0.15])
    assert [hand.right_probability for hand in told] == [0.7, 0.1]
    assert len(TrainedDetector(finder, joints, 0.3, 4).detect(image)) == 3
    assert len(TrainedDetector(finder, joints, 0.3, 1).detect(image)) == 1
    assert TrainedDetector(finder, joints, 0.95).detect(image) == []


@pytest.mark.parametrize("lens", [LENS, FISHEYE])
def test_joints_of_the_mirror_image_are_mirrored(weights, lens):
    """A left hand is shown to MVExoNet in the mirror, so a mirrored picture says the same of the other hand."""
    from handloom.estimators.hand_finder import HandBoxes
    from handloom.estimators.mvexonet import Annotator
    from handloom.estimators.trained_detector import mvexonet_joints

    joints = moving_hand(1, start=(0.03, 0.02, 0.4))
    pixels, _ = lens.project(joints)
    image = dots(lens, np.eye(4), joints[0])
    find = mvexonet_joints(Annotator(weights / "exo", "cpu"), lens)
    box, one, last = boxed(pixels), np.ones(1), lens.width - 1
    found, sure = find(image, HandBoxes(box, one, one))
    mirrored = HandBoxes(np.array([[last, 0, last, 0]]) + box[:, [2, 1, 0, 3]] * [-1, 1, -1, 1], one, 0 * one)
    other, again = find(np.ascontiguousarray(image[:, ::-1]), mirrored)
    assert ((found > box[0, :2] - 5) & (found < box[0, 2:] + 5)).all(), "in the crop, that is about the box"
    np.testing.assert_allclose(other, [last, 0] + found * [-1, 1], atol=0.05)
    np.testing.assert_allclose(sure, again, atol=1e-3)
    assert (sure > 0).all()


def test_hands_are_tracked_without_mediapipe(weights, tmp_path, monkeypatch):
    from handloom.estimators import svegonet
    from handloom.estimators.hand_finder import HandBoxes, HandFinder

    camera = Pinhole(96, 64, 80.0, 80.0, 47.5, 31.5)
    joints = moving_hand(6, start=(0.0, 0.08, 0.5))
    pixels, _ = camera.project(joints)
    seen, views, asked = [], [], {False: 0, True: 0}

    def find(_finder, _image):
        seen.append(len(seen))
        missed = slice(0, 0) if seen[-1] == 3 else slice(1)  # in one frame the network has to follow
        return HandBoxes(boxed(pixels[seen[-1] :][:1])[missed], np.array([0.4])[missed], np.ones(1)[missed])

    def told(_network, cut_out, mirrored):
        frame = asked[mirrored] + (not mirrored and asked[mirrored] >= 3)
        asked[mirrored] += 1
        inside, depth = views[-1].project(joints[frame][None])
        both = np.zeros((1, 2, 21, 2)), np.zeros((1, 2, 21)), np.full((1, 2, 21), 0.9), np.ones((1, 2))
        both[0][:, 1], both[1][:, 1] = inside, depth - depth[:, :1]
        return svegonet.EgoHands(*both)

    cut = svegonet.cutter

    def cutting(*arguments):
        found = cut(*arguments)
        views.append(found.views.of(np.flatnonzero(found.views.valid)))
        return found

    monkeypatch.setitem(sys.modules, "mediapipe", None)
    monkeypatch.setattr(HandFinder, "find", find)
    monkeypatch.setattr(svegonet.SVEgoNet, "hands", told)
    monkeypatch.setattr(svegonet, "cutter", cutting)
    write_camera(tmp_path / "camera.json", camera)
    video = clip(tmp_path / "v.mp4", 6, width=96, height=64)
    command = ["track", str(video), "--out", str(tmp_path / "t"), "--estimator", "svegonet"]
    command += ["--weights", str(weights / "ego"), "--detector", str(weights / "boxes")]
    command += ["--camera", str(tmp_path / "camera.json"), "--no-overlay", "--no-report", "--device", "cpu"]
    assert main([*command, "--workers", "1"]) == 0
    track = read_any_track(tmp_path / "t")
    assert track.valid[:, 1].all()
    assert not track.valid[:, 0].any()
    np.testing.assert_allclose(track.joints_m[:, 1], joints, atol=4e-3)
    assert asked == {False: 5, True: 6}
    notes = json.loads((tmp_path / "t" / "run.json").read_text())["notes"]
    assert notes == ["the detector found 5 hands; svegonet followed them through 1 more"]


def test_a_capture_is_annotated_without_mediapipe(weights, tmp_path, monkeypatch, capsys):
    """Boxes, joints by MVExoNet's heads of single views through pinholes and a fisheye, then everything as ever."""
    from handloom.estimators import mvexonet
    from handloom.estimators.hand_finder import HandBoxes, HandFinder
    from handloom.estimators.mvexonet import Alone, Round

    world, T, lenses = hands(16), 16, [LENS, FISHEYE, LENS]
    scene = make_capture(tmp_path / "take", world, ring(3), lenses)
    now = []

    def find(_finder, image):
        camera = int(image[0, 0, 0])
        keypoints = np.stack([hand.keypoints_px for hand in scene.detect(image)])
        now[:] = [lenses[camera], keypoints]
        return HandBoxes(boxed(keypoints), np.array([0.9, 0.8]), np.array([0.1, 0.9]))

    def alone(self, crops, left):
        lens, keypoints = now
        assert left.tolist() == [True, False]
        rays, _ = lens.unproject(keypoints)
        inside = np.abs(crops.plane(rays)[:, 0]) * crops.focal_px[..., None]
        assert 0.6 * 16 < inside.max() < 16, "the crop holds the hand, and hardly more"
        return Alone(rays[:, None], np.full((2, 1, 21), 0.7))

    def truthful(self, crops, left, root, metres=1.0):
        joints = world.reshape(-1, 21, 3)
        pose = crops.crop_from_world
        centre = -np.einsum("hvji,hvj->hvi", pose[..., :3, :3], pose[..., :3, 3])
        ways = joints[:, None] - centre[:, :, None]
        ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
        score = np.ones((len(left), 21))
        return Round(joints, score, joints, Alone(ways, np.broadcast_to(score[:, None], ways.shape[:3])))

    monkeypatch.setitem(sys.modules, "mediapipe", None)
    monkeypatch.setattr(HandFinder, "find", find)
    monkeypatch.setattr(mvexonet.Annotator, "alone", alone)
    monkeypatch.setattr(mvexonet.Annotator, "round", truthful)
    command = ["annotate", str(tmp_path / "take"), "--out", str(tmp_path / "store"), "--until", "label"]
    command += ["--workers", "1", "--detector", str(weights / "boxes")]
    trained = ["--network", str(weights / "exo"), "--rounds", "1"]
    assert main([*command, *trained]) == 0
    folder = tmp_path / "store.stages" / "take"
    points, labels = (np.load(folder / name) for name in ("points/00000000.npz", "labels.npz"))
    off = np.linalg.norm(points["joints"] - world, axis=-1)
    assert off.shape == (T, 2, 21)
    assert np.median(off) < 0.002, "by geometry alone, from joints that are 0.3 px off"
    assert labels["valid"].all()
    assert 1000 * np.linalg.norm(labels["joints_m"] - world, axis=-1).max() < 2
    stamp = (folder / "detect" / "cam0" / "00000000.npz").stat().st_mtime_ns
    assert main([*command, *trained]) == 0
    assert (folder / "detect" / "cam0" / "00000000.npz").stat().st_mtime_ns == stamp, "nothing is done twice"

    assert main(command) == 2
    assert "give its weights with --network" in capsys.readouterr().err
    assert main([*command, "--network", str(weights / "ego")]) == 2
    assert "holds weights of InterNet, not of MVExoNet" in capsys.readouterr().err
    command[-1] = str(weights / "exo")
    assert main([*command, *trained]) == 2
    assert "holds weights of MVExoNet, not of HandDetector" in capsys.readouterr().err


def test_options_that_do_not_go_together(weights):
    from handloom.estimators.hand_finder import HandFinder
    from handloom.tracking.options import TrackOptions

    with pytest.raises(HandloomError, match="a trained detector works for svegonet"):
        TrackOptions(detector=weights / "boxes")
    ego = {"estimator": "svegonet", "weights": Path("w")}
    assert TrackOptions(**ego).threshold == 0.5
    assert TrackOptions(**ego, detector=Path("d")).threshold == 0.3
    assert TrackOptions(**ego, detector=Path("d"), min_confidence=0.1).threshold == 0.1
    with pytest.raises(InputError, match="holds weights of InterNet, not of HandDetector"):
        HandFinder.load(weights / "ego")
