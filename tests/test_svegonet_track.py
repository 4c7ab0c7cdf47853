"""Tracking with SVEgoNet, and AssemblyHands' Table 4: what they do with what the network says, and what they refuse."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.label_noise import LabelNoise
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import HandloomError, InputError
from handloom.formats.cameras import write_camera
from handloom.formats.tracks import read_any_track
from made_up_hands import detect, moving_hand
from made_up_store import MadeUp
from make_video import clip
from test_svegonet import tiny
from with_torch import needs_torch

pytestmark = needs_torch
__all__ = ["tiny"]


def test_hands_are_followed_where_the_detector_loses_them(tiny, tmp_path, monkeypatch):
    """A network that is right about its crops puts the hand where it is; the detector sees it in the first frame."""
    from handloom.estimators import svegonet
    from handloom.estimators.svegonet import EgoHands, SVEgoNet
    from handloom.formats.weights import save_pretrained
    from handloom.geometry import Pinhole
    from handloom.models.internet import InterNet
    from handloom.skeleton import bone_lengths
    from handloom.tracking import recording

    camera = Pinhole(96, 64, 80.0, 80.0, 47.5, 31.5)
    joints = moving_hand(6, start=(0.0, 0.08, 0.5))
    times = np.arange(6) / 30

    class Detector:
        def __init__(self, *_):
            self.frame = -1

        def detect(self, _image):
            self.frame += 1
            return [detect(camera, joints[0])] if self.frame == 0 else []

        def reset(self):
            pass

        def close(self):
            pass

    asked = []

    def told(_network, cut_out, mirrored):
        frame = len(asked)
        asked.append((cut_out.shape, mirrored))
        pixels, depth = views[-1].project(joints[frame][None])
        both = np.zeros((1, 2, 21, 2)), np.zeros((1, 2, 21)), np.full((1, 2, 21), 0.9), np.ones((1, 2))
        both[0][:, 1], both[1][:, 1] = pixels, depth - depth[:, :1]
        return EgoHands(*both)

    views = []
    cut = svegonet.cutter

    def cutting(*arguments):
        found = cut(*arguments)
        views.append(found.views.of(np.flatnonzero(found.views.valid)))
        return found

    monkeypatch.setattr(recording, "MediaPipeDetector", Detector)
    monkeypatch.setattr(recording, "mediapipe_name", lambda: "none")
    monkeypatch.setattr(svegonet, "cutter", cutting)
    monkeypatch.setattr(SVEgoNet, "hands", told)
    model = InterNet(replace(tiny, bones_m=tuple(bone_lengths(joints[0]).tolist())))
    save_pretrained(model, tmp_path / "w")
    video = clip(tmp_path / "v.mp4", 6, width=96, height=64)
    calibration = tmp_path / "camera.json"
    write_camera(calibration, camera)
    arguments = ["track", str(video), "--out", str(tmp_path / "t"), "--estimator", "svegonet"]
    more = ["--weights", str(tmp_path / "w"), "--camera", str(calibration)]
    more += ["--no-overlay", "--no-report", "--device", "cpu", "--workers", "1"]
    assert main([*arguments, *more]) == 0
    track = read_any_track(tmp_path / "t")
    assert track.valid[:, 1].all()
    assert not track.valid[:, 0].any()
    # The depth of a hand that recedes is smoothed.
    np.testing.assert_allclose(track.joints_m[:, 1], joints, atol=4e-3)
    np.testing.assert_allclose(track.keypoints_px[:, 1], camera.project(joints)[0], atol=1e-3)
    assert asked == [((1, 32, 32), True)] * 6
    notes = json.loads((tmp_path / "t" / "run.json").read_text())["notes"]
    assert notes == ["MediaPipe found 1 hands; svegonet followed them through 5 more"]
    assert len(times) == len(track)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "svegonet"}, "svegonet has no weights of its own"),
        ({"estimator": "svegonet", "weights": "w", "live": True}, "svegonet tracks recordings"),
        ({"estimator": "svegonet", "weights": "w", "precision": "bfloat16"}, "precision and trimmed belong to htt"),
        ({"weights": "w"}, "weights and device belong to htt, ghtt and svegonet"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    from handloom.tracking.options import TrackOptions

    given = {name: Path(value) if name == "weights" else value for name, value in options.items()}
    with pytest.raises(HandloomError, match=message):
        TrackOptions(**given)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A store of four people, two in each split."""

    class People(MadeUp):
        def read(self, name):
            number = self.names.index(name)
            return replace(super().read(name), split="train" if number < 2 else "test", subject=f"person{number}")

    out = tmp_path_factory.mktemp("people") / "s"
    prepare_episodes(People((40, 25, 35, 30)), out)
    return out


def test_manual_and_automatic_labels_are_of_other_people(people):
    from handloom.reproduction.assemblyhands import subsets_of

    store, noise = Store(people), LabelNoise()
    (manual,), (automatic,) = (subsets_of(store, "train", kind, noise) for kind in ("M", "A"))
    assert (manual.recordings, manual.frame_step, manual.noise) == ((0,), 30, None)
    assert (automatic.recordings, automatic.frame_step, automatic.noise) == ((1,), 1, noise)
    assert subsets_of(store, "train", "M+A", noise) == [manual, automatic]


def test_table_4_from_the_command_line(people, tiny, tmp_path, capsys, monkeypatch):
    from handloom.reproduction import assemblyhands

    sparse = assemblyhands.subsets_of
    monkeypatch.setattr(
        assemblyhands,
        "subsets_of",
        lambda *given: [type(s)(s.recordings, 9 if s.noise else 5, s.noise) for s in sparse(*given)],
    )
    arguments = ["reproduce", "assemblyhands-table4", "--data", str(people), "--out", str(tmp_path / "t")]
    assert main([*arguments, "--epochs", "1", "--device", "cpu"]) == 0
    assert "| Train-M+A | 23.46 |" in capsys.readouterr().out
    table = json.loads((tmp_path / "t" / "assemblyhands-table4.json").read_text())
    assert all(value > 0 for row in table["rows"] for value in row["measured"].values())
    before = (tmp_path / "t" / "assemblyhands-table4.md").read_bytes()
    assert main([*arguments, "--epochs", "1", "--device", "cpu"]) == 0, "all is done: nothing is trained again"
    assert (tmp_path / "t" / "assemblyhands-table4.md").read_bytes() == before


def test_one_person_is_no_table(tiny, tmp_path):
    from handloom.reproduction.assemblyhands import reproduce_table4

    prepare_episodes(MadeUp((20, 20)), tmp_path / "s")
    with pytest.raises(InputError, match=r"split 'train' of .* has one person alone"):
        reproduce_table4(tmp_path / "s", tmp_path / "t")
