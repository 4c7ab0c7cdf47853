"""Forecasts where the camera moves: in which frame each number is measured, by forecasters whose answer is known."""

import numpy as np
import pytest

from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError
from made_up_store import MadeUp
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(MadeUp((60, 60)), out)
    return Store(out)


@pytest.fixture
def resting():
    """A forecaster for which hands rest in whatever frame they are given in."""
    from handloom.forecast.forecaster import Forecaster
    from handloom.geometry.motion_features import MOTION, STILL, joints_from_features

    class Resting(Forecaster):
        def __init__(self):
            pass

        def predict(self, motion, frames, samples, path, objects=None, seed=0, phase=0):
            features = np.repeat(motion.features[-1:], frames, 0)
            features[:, MOTION] = STILL * 2
            joints = joints_from_features(features, motion.camera_from_hand[-1], motion.sizes_m[-1:])
            return joints[None], motion.present.any(0)[:, None] & np.ones(21, bool)

    return Resting()


@pytest.mark.parametrize("camera", [None, "head"])
def test_what_rests_in_the_world_moves_in_the_camera(store, resting, camera):
    from handloom.evaluation.moving_camera import ESTIMATED, KNOWN, RAW, STILL, moving_views, score_moving_camera

    views = moving_views(store, "test", camera)
    score = score_moving_camera(resting, views, 1.0)
    still, seen_still = score.world["static"], score.own["static"]
    # The last observed camera sees what is at rest where it is: its frame is as good as the world for one moment.
    for name in (KNOWN, STILL, ESTIMATED):
        assert score.world[name].ade == pytest.approx(still.ade, abs=1e-6)
    assert score.own[RAW].ade == pytest.approx(seen_still.ade, abs=1e-6)
    assert abs(seen_still.fde - still.fde) > 2e-3
    assert score.world[KNOWN].windows == score.own[RAW].windows


def test_cameras_that_do_not_move_are_refused(store, tmp_path):
    from handloom.evaluation.moving_camera import moving_views

    with pytest.raises(InputError, match="no camera of the split 'test' moves"):
        moving_views(store, "test", "front")
    with pytest.raises(InputError, match=r"no camera 'left'; it has front, head"):
        moving_views(store, "test", "left")


def test_bench_on_the_command_line(store, tmp_path, capsys):
    from handloom.cli import main
    from handloom.formats.weights import save_pretrained
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    torch.manual_seed(0)
    save_pretrained(PoseBlock(PoseBlockConfig(dim=32, heads=4, feedforward=64, layers=1)), tmp_path / "w")
    arguments = ["bench", "moving-camera", str(store.root), "--weights", str(tmp_path / "w")]
    assert main([*arguments, "--no-videos"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("in the world, camera known", "in each frame's camera, raw", "camera known / raw camera-space poses"):
        assert words in said
    assert "estimated" not in said
    assert main([*arguments, "--seconds", "5"]) == 2
    assert "no recording" in capsys.readouterr().err
    for seconds in ("0", "nan", "-1", "inf", "0.01"):
        assert main([*arguments, "--seconds", seconds]) == 2
        assert "seconds must be a positive time of a frame (1/30 s) or more" in capsys.readouterr().err
