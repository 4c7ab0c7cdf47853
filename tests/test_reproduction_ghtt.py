"""G-HTT's tables from end to end on a made-up store: trained, scored, written, and not done twice."""

import json

import numpy as np
import pytest

from handloom.datasets.motions import stored_motions
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError
from made_up_store import MadeUp
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    source = MadeUp((120, 100, 180))
    source.with_pictures = False
    prepare_episodes(source, out)
    return out


@pytest.fixture
def tiny(monkeypatch):
    """Presets that train in moments."""
    from dataclasses import replace

    from handloom.models.ghtt_pose import PoseBlockConfig
    from handloom.training import ghtt_recipe as recipes

    pose, action = recipes.POSE_PRESETS["small"], recipes.ACTION_PRESETS["small"]
    gpt, fid = recipes.POSEGPT_PRESETS["small"], recipes.RECOGNISER_PRESETS["small"]
    shape = {"dim": 32, "heads": 4, "layers": 1}
    codec = {"codec_dim": 32, "codec_layers": 1, "entries": 8, "code_dim": 8}
    monkeypatch.setitem(
        recipes.POSE_PRESETS,
        "small",
        replace(pose, config=PoseBlockConfig(feedforward=64, **shape), recipe=replace(pose.recipe, batch_clips=4)),
    )
    small = {"label_dim": 16, "heads": 4, "feedforward": 64, "layers": 1, "steps": 8}
    monkeypatch.setitem(
        recipes.ACTION_PRESETS, "small", replace(action, config=small, recipe=replace(action.recipe, batch_clips=4))
    )
    few = replace(gpt.recipe, batch_clips=2)
    monkeypatch.setitem(
        recipes.POSEGPT_PRESETS,
        "small",
        replace(gpt, config=replace(gpt.config, label_dim=16, **shape, **codec), codec_recipe=few, recipe=few),
    )
    monkeypatch.setitem(
        recipes.RECOGNISER_PRESETS,
        "small",
        replace(fid, config=replace(fid.config, label_dim=16, **shape), recipe=replace(fid.recipe, batch_clips=4)),
    )


def test_tables_are_trained_scored_and_written(store, tiny, tmp_path, capsys, monkeypatch):
    from handloom.cli import main

    options = ["--data", str(store), "--out", str(tmp_path / "r"), "--epochs", "1", "--device", "cpu"]
    for table, rows in (
        ("ghtt-table2", ["PoseGPT (told the action)", "G-HTT, P.b", "static", "constant velocity"]),
        ("ghtt-table4", ["without mid-level", "without mid-level, 10 sigma", "G-HTT, P.b", "static"]),
    ):
        assert main(["reproduce", table, *options, "--windows", "3"]) == 0
        said = capsys.readouterr().out
        for row in rows:
            assert f"| {row} |" in said
        scores = json.loads((tmp_path / "r" / f"{table}.json").read_text())
        assert scores["about"]["windows"] == 3
        for words in (
            "Data: s (",
            "3 windows of the split 'test'",
            "Preset small with 1 epochs",
            "seed 0",
            "Handloom ",
        ):
            assert words in scores["setting"]
            assert words in said
        assert all(np.isfinite(score["fid"]) for score in scores["scores"].values())
        assert "8.19 / 20.1, 33.9" in said or "13.10 / 24.6, 43.3" in said
    _all_networks_are_scored_where_it_was_asked(store, tmp_path / "r", monkeypatch)
    before = (tmp_path / "r" / "ghtt-table2.json").stat().st_mtime_ns
    assert main(["reproduce", "ghtt-table2", *options, "--windows", "3"]) == 0
    assert (tmp_path / "r" / "ghtt-table2.json").stat().st_mtime_ns == before


def test_more_data_is_trained_on_and_shared(store, tiny, tmp_path, capsys):
    from handloom.cli import main

    other = tmp_path / "other"
    source = MadeUp((90, 80, 100))
    source.with_pictures = False
    prepare_episodes(source, other)
    out = tmp_path / "r"
    options = ["--data", str(store), "--more", str(other), "--out", str(out), "--epochs", "1", "--device", "cpu"]
    assert main(["reproduce", "ghtt-more-data", *options, "--windows", "3"]) == 0
    said = capsys.readouterr().out
    assert said.count("| s | ") == said.count("| s and more | ") == 1
    assert "More data: other (" in said
    kept = json.loads((out / "ghtt-more-data.json").read_text())
    assert set(kept["scores"]) == {"P.a", "P.b", "P.a-more", "P.b-more"}
    assert all(0 <= value <= 1 for value in kept["top1"].values())
    alone = json.loads((out / "pose" / "training.json").read_text())["data"]["stores"]
    both = json.loads((out / "pose-more" / "training.json").read_text())["data"]["stores"]
    assert set(alone) == {"s"}
    assert set(both) == {"s", "other"}
    assert json.loads((out / "action-more" / "training.json").read_text())["data"]["stores"].keys() == both.keys()


def test_more_data_wants_both_before_it_trains(store, tmp_path, capsys):
    from handloom.cli import main

    options = ["--data", str(store), "--out", str(tmp_path / "r")]
    assert main(["reproduce", "ghtt-more-data", *options, "--more", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def _all_networks_are_scored_where_it_was_asked(store, trained, monkeypatch):
    """Told of a device that has no numbers, every network ends up there."""
    from handloom.evaluation.generation import GenerationScore
    from handloom.forecast import forecaster, recognise
    from handloom.reproduction import ghtt
    from handloom.training.options import RunOptions

    seen = []

    def scored(windows, models, network, progress):
        seen.append(network)
        return {name: GenerationScore(0.0, (0.0, 0.0), 0.0) for name in models}

    def made(*given):
        seen.extend(network for network in given if isinstance(network, torch.nn.Module))
        seen.extend(f.pose for f in given if isinstance(f, forecaster.Forecaster))
        return lambda window: None

    with monkeypatch.context() as patch:
        patch.setattr(ghtt, "score_generation", scored)
        for way in ("by_path", "by_posegpt", "by_flattened"):
            patch.setattr(ghtt, way, made)
        for module in (ghtt, forecaster, recognise):
            patch.setattr(module, "choose_device", lambda device: torch.device("meta"))
        for table, networks in (("ghtt-table2", 4), ("ghtt-table4", 6)):
            seen.clear()
            kept = (trained / f"{table}.json").read_bytes()
            ghtt.reproduce_ghtt(table, [store], trained, RunOptions(epochs=1, device="cpu"), most_windows=2)
            (trained / f"{table}.json").write_bytes(kept)
            assert len(seen) == networks
            assert {next(network.parameters()).device.type for network in seen} == {"meta"}, table


def test_the_truth_itself_has_no_distance_and_no_diversity(store):
    from handloom.evaluation.generation import evaluation_windows, score_generation
    from handloom.models.motion_recogniser import MotionRecogniser, MotionRecogniserConfig

    recordings = stored_motions([Store(store)], "test")
    windows = evaluation_windows(recordings, 1.0)
    assert [window.phase for window in windows if window.label == "open box"] == list(range(len(windows) // 2))
    assert windows[0].frames == 88 - 16
    torch.manual_seed(0)
    network = MotionRecogniser(MotionRecogniserConfig(("a",), 16, 32, 4, 64, 1)).eval()

    def truth(window):
        start = window.start + 16
        return np.repeat(window.recording.joints_m[None, start : start + window.frames], 3, 0)

    score = score_generation(windows, {"truth": truth}, network)["truth"]
    # The same features three times: the same mean, a covariance with another n - 1.
    assert score.fid < 1e-2
    assert score.apd == pytest.approx((0, 0), abs=1e-9)
    assert score.ade == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="lasts 30 s"):
        evaluation_windows(recordings, 30.0)
