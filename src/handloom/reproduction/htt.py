"""`handloom reproduce htt-...`: the settings of a table of HTT, trained and scored on a store.

full: all stages of the preset -> backbone, frozen -> features of every frame, once -> every other setting: last stage
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from handloom.datasets.classes import choose_camera
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.evaluation.evaluate import SCORES, evaluate
from handloom.formats.atomic import json_text, write_text
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights import load_pretrained
from handloom.models.htt import HTT, HTTConfig
from handloom.progress import Progress, named, silent
from handloom.reproduction.htt_tables import FULL, TABLES
from handloom.reproduction.known_features import known_features
from handloom.reproduction.setting import setting_of
from handloom.reproduction.tables import Measured
from handloom.training.htt import FEATURES, config_for, train_htt
from handloom.training.options import HTTOptions
from handloom.training.processes import require_one_process
from handloom.training.recipe import PRESETS

RUN = "run"


def reproduce_htt(
    name: str,
    data: Path,
    out: Path,
    options: HTTOptions | None = None,
    split: str = "test",
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Measured | None:
    """Train and score every setting of a table; what is done is kept, what is begun goes on.

    Tables share their settings: a folder that holds one table makes the next one cheaper. Where the preset freezes
    the backbone for its last stage (`small`), all settings have the backbone of the full network, and its features
    are computed once; where it does not (`paper`), every setting is trained from end to end.

    Args:
        name: of the table, a key of `TABLES`.
        data: the store.
        out: folder for runs, scores and the table itself.
        options: of the training; `backbone_from` takes a trained backbone for all settings.
        split: that is scored.
        progress: told of every step.
        should_stop: asked after every step; True ends the run, to be gone on with.

    Returns:
        The table; None if it ended early.

    Raises:
        InputError: the paper has no such table for the hands of the store; settings that differ from those begun.
    """
    options = options or HTTOptions()
    require_one_process("a table")
    store = Store(data)
    hands = len(config_for([store]).hands)
    if hands not in TABLES[name]:
        which = {1: "FPHA, one hand", 2: "H2O, two hands"}[next(iter(TABLES[name]))]
        raise InputError(f"{name} is of {which}; {data} labels {hands}. Use a store like that one, or another table")
    table = TABLES[name][hands]
    last = PRESETS[options.preset].stages[-1].recipe
    camera = choose_camera(store, options.camera)
    features = options.features or out / FEATURES
    options = replace(options, features=features)
    wanted = {row.setting.name: row.setting for row in table.rows}
    if last.freeze_backbone and options.backbone_from is None:
        wanted = {FULL.name: FULL} | wanted  # first: all others have its backbone
    scores: dict[str, Any] = {}
    for setting in wanted.values():
        told = named(progress, setting.name)
        weights = train_htt([data], out / setting.name / RUN, options, setting.changes, told, should_stop)
        if weights is None:
            return None
        known = None
        if last.freeze_backbone:
            options = replace(options, backbone_from=options.backbone_from or weights)
            model = load_pretrained(HTT, HTTConfig, weights)
            precision = options.precision or last.precision
            given = (store, camera, split, options.seed, precision, options.device, told)
            known = known_features(model, features, *given)
        scored = out / setting.name / f"scores-{split}"
        if not (scored / SCORES).exists():
            evaluate(weights, data, split, scored, camera, options.device, "auto", told, known)
        scores[setting.name] = parse_json(scored / SCORES, read_text(scored / SCORES))
    measured = Measured(
        table,
        tuple(tuple(column.value(scores[row.setting.name]) for column in table.columns) for row in table.rows),
        _notes(scores[FULL.name]["data"] if FULL.name in scores else str(data), options, last.freeze_backbone),
    )
    write_text(out / f"{name}.json", json_text(measured.as_json(), indent=2) + "\n")
    write_text(out / f"{name}.md", measured.as_markdown())
    return measured


def _notes(data: str, options: HTTOptions, shared: bool) -> tuple[str, ...]:
    notes = [
        "The paper's numbers are of real recordings and cannot be compared one by one with those of other data; what "
        "can is how the rows differ.",
        setting_of(data, options.preset, options.seed, options.device, f", behaviour {options.behaviour}")
        + " One training for each row: small differences are chance.",
    ]
    if shared:
        notes.append("All rows have one trained, frozen backbone and are trained on its features.")
    return tuple(notes)
