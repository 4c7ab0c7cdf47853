"""Table 1 of G-HTT from end to end on a made-up store, and the way of a video through F, E^PO, P and A."""

import json

import pytest

from handloom.cli import main
from handloom.datasets.prepare import prepare_episodes
from handloom.errors import InputError
from handloom.formats.tracks import read_any_track
from make_video import clip as make_clip
from test_ghtt_image import Views, tiny
from test_reproduction_ghtt import tiny as tiny_motion
from with_torch import TINY, needs_torch

pytestmark = needs_torch
__all__ = ["tiny", "tiny_motion"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(Views((70, 66, 40)), out)
    return out


@pytest.fixture
def tiny_htt(monkeypatch):
    """HTT with the backbone of the tiny F."""
    from dataclasses import replace

    from handloom.training import recipe

    kept = recipe.PRESETS["small"]
    stages = tuple(
        replace(stage, recipe=replace(stage.recipe, batch_clips=2, clip_starts=1, augmentations=0))
        for stage in kept.stages
    )
    config = lambda c: replace(c, **(TINY | {"dim": 32}))  # noqa: E731
    monkeypatch.setitem(recipe.PRESETS, "small", replace(kept, config=config, stages=stages))


def test_table_1_from_the_command_line(store, tiny, tiny_motion, tiny_htt, tmp_path, capsys):
    out = tmp_path / "t"
    command = ["reproduce", "ghtt-table1", "--data", str(store), "--out", str(out), "--views", "front", "side"]
    command += ["--epochs", "1", "--device", "cpu", "--workers", "0"]
    assert main([*command, "--htt-view", "head"]) == 2
    assert "head bend straight lines" in capsys.readouterr().err
    assert main(command) == 0
    said = capsys.readouterr().out
    table = json.loads((out / "ghtt-table1.json").read_text())
    labels = [f"{view}, {row}" for view in ("front", "side") for row in ("F", "HTT", "G-HTT")]
    assert [row["label"] for row in table["rows"]] == labels
    for row in table["rows"]:
        assert f"| {row['label']} |" in said
        measured = row["measured"]
        assert all(measured[name] > 0 for name in measured if name.startswith("MPJPE")), row["label"]
        assert (measured["action %"] is None) == row["label"].endswith(", F")
        assert measured["action %"] in (None, 0, 50, 100), "two labelled segments"
    assert "HTT, actions: side against front*, points" in said
    assert "split test, 2 segments" in said
    scored = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert main(command) == 0, "all is done: nothing is trained or scored again"
    again = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert [path.name for path in scored if again[path] != scored[path]] == ["ghtt-table1.json"]
    _given_weights_are_taken(store, out, tmp_path)
    _a_video_goes_all_the_way(out, tmp_path, capsys)


def _given_weights_are_taken(store, trained, tmp_path):
    out = tmp_path / "given"
    command = ["reproduce", "ghtt-table1", "--data", str(store), "--out", str(out), "--views", "side"]
    for name, run in (("image", "image"), ("pose", "pose"), ("action", "action"), ("htt", "htt/run")):
        command += [f"--{name}", str(trained / run)]
    assert main([*command, "--device", "cpu"]) == 0
    rows = {row["label"]: row["measured"] for row in json.loads((out / "ghtt-table1.json").read_text())["rows"]}
    before = {r["label"]: r["measured"] for r in json.loads((trained / "ghtt-table1.json").read_text())["rows"]}
    assert rows == {label: values for label, values in before.items() if label.startswith("side")}
    assert not (out / "pose").exists()


def _a_video_goes_all_the_way(trained, tmp_path, capsys):
    video = make_clip(tmp_path / "v.mp4", 40, width=64, height=36)
    result, weights = tmp_path / "r", str(trained / "action")
    command = ["track", str(video), "--out", str(result), "--estimator", "ghtt", "--weights", str(trained / "image")]
    assert main([*command, "--fov", "65", "--no-overlay", "--no-report", "--device", "cpu"]) == 0
    plain = ["--weights", weights, "--device", "cpu"]
    assert main(["refine", str(result), *plain, "--no-overlay", "--no-report"]) == 0
    assert main(["recognise", f"{result}-refined", *plain, "--whole", "--no-overlay", "--no-report"]) == 0
    assert main(["forecast", str(result), *plain, "--seconds", "0.5", "--samples", "2"]) == 0
    actions = read_any_track(tmp_path / "r-refined-actions").actions
    assert {action.label for action in actions} <= {"open box", "close box"}
    assert actions
    assert read_any_track(tmp_path / "r-refined").object_names == ("box", "lid")


def test_paper_values_stand_only_where_they_compare():
    from handloom.reproduction.ghtt_views_table import views_table

    rows = {row.label: row.paper for row in views_table(("cam0", "cam4"), "cam0").rows}
    assert rows["cam4, HTT"] == (101.2, 137.8, 28.5, 33.8, 2.89)
    rows = {row.label: row.paper for row in views_table(("cam0", "cam4"), "cam4").rows}
    assert rows["cam4, HTT"] == (None,) * 5
    assert rows["cam4, G-HTT"][4] == 57.85


def test_a_view_that_is_not_in_the_table(store, tiny, tmp_path):
    from handloom.reproduction.ghtt_views import reproduce_views
    from handloom.training.options import ImageOptions

    with pytest.raises(InputError, match="HTT's view 'side' is not among the views of the table: front"):
        reproduce_views(store, tmp_path / "t", ImageOptions(cameras=("front",)), "side")
