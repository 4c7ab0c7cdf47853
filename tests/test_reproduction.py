"""The papers' tables again: what stands in them, what is trained for them, and that nothing is done twice."""

import json
from dataclasses import replace

import pytest

from handloom.cli import main
from handloom.cli.reproduce import HTT_TABLES
from handloom.datasets.prepare import prepare_episodes
from handloom.errors import InputError
from handloom.reproduction.htt_tables import FULL, TABLES
from handloom.reproduction.tables import Column, Effect, Measured, Row, Setting, Table
from made_up_store import MadeUp
from with_torch import needs_torch

TINY = {
    "image_size": (64, 36),
    "backbone_width": 16,
    "dim": 16,
    "heads": 2,
    "feedforward": 32,
    "layers": 1,
    "pose_window": 2,
    "clip_frames": 4,
}


def scores(left, right, accuracy):
    def row(hand, value):
        return {"hand": hand, "space": "camera", "mepe": {"value": value}, "auc": {"value": 0.5}}

    return {"pose": [row("left", left), row("right", right)], "action": {"top_1": accuracy}}


def test_tables_are_made_by_one_process(tmp_path, monkeypatch):
    from handloom.reproduction.htt import reproduce_htt

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="a table is made by one process, 2 were started; run the command without to"):
        reproduce_htt("htt-table5", tmp_path, tmp_path / "out")


def test_every_row_has_a_number_for_every_column_and_no_setting_two_meanings():
    settings = {}
    for tables in TABLES.values():
        for hands, table in tables.items():
            assert all(len(row.paper) == len(table.columns) for row in table.rows)
            assert hands in (1, 2)
            for row in table.rows:
                assert settings.setdefault(row.setting.name, row.setting) == row.setting
            labels = {row.label for row in table.rows}
            names = {column.name for column in table.columns}
            for effect in table.effects:
                assert {effect.row, effect.against} <= labels
                assert set(effect.columns) <= names
    assert settings["full"] is FULL
    assert set(HTT_TABLES) == set(TABLES)
    assert settings["t1"].changes == {"pose_window": 1}
    assert settings["T16"].changes == {"clip_frames": 16}


def test_columns_find_their_numbers_in_scores():
    columns = {column.name: column for column in TABLES["htt-table4"][2].columns}
    found = scores(30.0, 40.0, 0.5)
    assert columns["MEPE mm L"].value(found) == 30
    assert columns["MEPE mm R"].value(found) == 40
    assert columns["AUC L"].value(found) == 0.5
    assert columns["MEPE-RA mm R"].value(found) is None
    accuracy = TABLES["htt-table5"][2].columns[0]
    assert accuracy.value(found) == 50
    assert accuracy.value({"pose": []}) is None


def test_the_papers_own_effects():
    """Measured as published, all effects are those that issue and paper name."""
    table = TABLES["htt-table4"][2]
    same = Measured(table, tuple(row.paper for row in table.rows), ())
    published, measured = same.effect(table.effects[0])
    assert published == measured == pytest.approx(100 * ((35.02 + 35.63) / (40.12 + 40.62) - 1))
    assert published == pytest.approx(-12.5, abs=0.05)
    table = TABLES["htt-table5"][2]
    same = Measured(table, tuple(row.paper for row in table.rows), ())
    assert same.effect(table.effects[0])[0] == pytest.approx(11.98)
    assert all(same.shown(effect) for effect in table.effects)


@pytest.mark.parametrize(("better", "said"), [(67.0, "yes"), (66.0, "no"), (59.0, "no"), (None, "-")])
def test_an_effect_needs_sign_and_two_thirds_of_the_size(better, said):
    column = Column("accuracy %", lambda scores: None)
    rows = (Row("without", Setting("a", {}), (60.0,)), Row("with", Setting("b", {}), (70.0,)))
    effect = Effect("with against without", "with", "without", ("accuracy %",))
    measured = Measured(Table("t", "A table", (column,), rows, (effect,)), ((60.0,), (better,)), ("simulated",))
    text = measured.as_markdown()
    size = "-" if better is None else f"{better - 60:+.1f}"
    assert f"| with against without | +10.0 | {size} | {said} |" in text
    assert f"| with | 70.00 | {'-' if better is None else f'{better:.2f}'} |" in text
    assert text.endswith("- simulated\n")


@needs_torch
def test_from_the_command_line_with_one_backbone_and_nothing_twice(tmp_path, capsys, monkeypatch):
    from handloom.training.recipe import PRESETS

    store, out = tmp_path / "s", tmp_path / "out"
    prepare_episodes(MadeUp(), store, (64, 36))
    small = PRESETS["small"]
    stages = tuple(replace(stage, recipe=replace(stage.recipe, batch_clips=2)) for stage in small.stages)
    tiny = replace(small, config=lambda config: replace(config, **TINY), stages=stages)
    monkeypatch.setitem(PRESETS, "small", tiny)
    table = TABLES["htt-table5"][2]
    rows = tuple(row for row in table.rows if row.label in ("T = 128", "parallel"))
    effects = tuple(effect for effect in table.effects if effect.row == "parallel")
    monkeypatch.setitem(TABLES, "htt-table5", {2: replace(table, rows=rows, effects=effects)})
    arguments = ["--data", str(store), "--out", str(out), "--camera", "front", "--workers", "0", "--epochs", "1"]
    assert main(["reproduce", "htt-table5", *arguments, "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "| T = 128 | 86.36 |" in printed
    assert "| parallel | 80.17 |" in printed
    assert "One training for each row" in printed
    assert "All rows have one trained, frozen backbone" in printed
    facts = json.loads((out / "htt-table5.json").read_text())
    assert [row["label"] for row in facts["rows"]] == ["T = 128", "parallel"]
    assert facts["rows"][0]["paper"] == {"accuracy %": 86.36}
    assert facts["rows"][0]["measured"]["accuracy %"] is not None
    # Two training recordings in three variants each, and the plain test recording, seen by the backbone once.
    assert len(list((out / "features").rglob("*.safetensors"))) == 7
    assert (out / "parallel" / "scores-test" / "evaluation.html").exists()
    # Again, and another table with the same settings: nothing is trained.
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert main(["reproduce", "htt-fig5", *arguments, "--device", "cpu"]) == 0
    assert "| HTT | 0.614 |" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == written
    # One hand's table is none for a store of two; a folder of other settings is not gone on with.
    assert main(["reproduce", "htt-table1", *arguments]) == 2
    assert "htt-table1 is of FPHA, one hand" in capsys.readouterr().err
    assert main(["reproduce", "htt-table5", *arguments, "--seed", "1", "--device", "cpu"]) == 2
    assert "holds a training with other settings (seed: begun with 0, now 1)" in capsys.readouterr().err
