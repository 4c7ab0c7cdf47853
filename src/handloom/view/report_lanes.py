"""Actions and objects on the report's time line."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

from handloom.hands import ActionSegment, HandTrack
from handloom.view.colours import RGB, hex_colour, label_colours
from handloom.view.page import pack

MAX_CELLS = 2000
_ROW_PX, _AXIS_PX = 28, 22
FOUND, TRUTH = "found", "truth"
Lane = dict[str, Any]


def lanes(track: HandTrack, truth: HandTrack | None, times: np.ndarray, step_s: float) -> list[Lane]:
    """What report_lanes.js reads: a lane of actions and one of objects, where they are known.

    Args:
        track, truth: of the same frames.
        times: seconds since the first frame. step_s: how long the last one lasts.
    """
    records = records_shown(track, truth)
    actions, objects = action_colours(records), object_colours(records)
    shown = []
    if actions:
        start = float(track.times_s[0]) if len(track) else 0.0
        rows = [_named(name, _runs(record.actions, list(actions), start)) for name, record in records.items()]
        shown.append(_lane("action", "Action", actions, rows))
    if objects:
        edges = np.append(times, times[-1] + step_s)
        rows = [_named(name, _cells(record, list(objects), edges)) for name, record in records.items()]
        shown.append(_lane("object", "Object in hand", objects, rows))
    return shown


def records_shown(track: HandTrack, truth: HandTrack | None) -> dict[str, HandTrack]:
    """What is shown, by the name of its row."""
    return {FOUND: track} if truth is None else {FOUND: track, TRUTH: truth}


def action_colours(records: Mapping[str, HandTrack]) -> dict[str, RGB]:
    """A colour for every action in the records; a record's own are those of its overlay."""
    return label_colours(action.label for record in records.values() for action in record.actions)


def object_colours(records: Mapping[str, HandTrack]) -> dict[str, RGB]:
    """A colour for every object that is the likeliest in some frame."""
    return label_colours(record.object_names[row] for record in records.values() for row in _seen(record))


def cell_cuts(frames: int) -> Int[np.ndarray, "cuts"]:
    """Where the time line is cut into at most `MAX_CELLS` cells of equally many frames, both ends included."""
    return np.linspace(0, frames, min(frames, MAX_CELLS) + 1).astype(int)


def lane_figure(lane: Lane) -> str:
    """The frame of one lane; report_lanes.js fills it."""
    lines = sum(row["lines"] for row in lane["rows"])
    height = _AXIS_PX + lines * _ROW_PX + 4 * (len(lane["rows"]) - 1)
    details = "".join(f'<dt>{row["name"]}</dt><dd><output class="key"></output></dd>' for row in lane["rows"])
    return (
        f'<figure class="chart lane" data-lane="{lane["name"]}"><figcaption>{lane["title"]} '
        f"<span>colour by label, stronger where surer</span></figcaption>"
        f'<div class="area"><canvas style="height:{height}px"></canvas><i class="cursor"></i></div>'
        f'<dl class="detail">{details}</dl></figure>'
    )


def _named(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "true": name == TRUTH, **row}


def _lane(name: str, title: str, labels: Mapping[str, RGB], rows: list[dict[str, Any]]) -> Lane:
    colours = [hex_colour(rgb) for rgb in labels.values()]
    return {"name": name, "title": title, "labels": list(labels), "colours": colours, "rows": rows}


def _seen(record: HandTrack) -> np.ndarray:
    """Rows of the objects that are the likeliest in some frame, in order of their first appearance."""
    rows, first = np.unique(record.object_labels, return_index=True)
    rows = rows[np.argsort(first)]
    return np.asarray(rows[rows >= 0])


def _runs(actions: Sequence[ActionSegment], labels: list[str], start_s: float) -> dict[str, Any]:
    """Segments as runs; those that overlap go to lines of their own."""
    ends: list[float] = []
    runs = []
    for action in actions:
        line = next((line for line, end in enumerate(ends) if end <= action.start_s), len(ends))
        ends[line : line + 1] = [action.end_s]
        runs.append(
            {
                "label": labels.index(action.label),
                "sure": action.score,
                "from": action.start_s - start_s,
                "to": action.end_s - start_s,
                "line": line,
            }
        )
    return {"runs": runs, "lines": max(1, len(ends))}


def _cells(record: HandTrack, labels: list[str], edges: np.ndarray) -> dict[str, Any]:
    """The likeliest object in each cell: the most frequent one."""
    index = {name: row for row, name in enumerate(labels)}
    own = np.array([*(index.get(name, -1) for name in record.object_names), -1])
    frames = own[record.object_labels]
    sure = np.zeros(len(record))
    if record.object_probabilities is not None:
        sure = np.where(frames >= 0, np.nan_to_num(record.object_probabilities).max(-1), 0)
    cuts = cell_cuts(len(record))
    label = np.array([_most_frequent(frames[a:b]) for a, b in pairwise(cuts)], int)
    mine = frames == np.repeat(label, np.diff(cuts))
    share = np.add.reduceat(np.where(mine, sure, 0), cuts[:-1]) / np.add.reduceat(mine, cuts[:-1], dtype=float)
    cells_data = {
        "edges": pack(edges[cuts], np.float32),
        "label": pack(label, np.int16),
        "sure": pack(np.rint(255 * share), np.uint8),
    }
    return {"cells": cells_data, "lines": 1}


def _most_frequent(labels: np.ndarray) -> int:
    values, counts = np.unique(labels, return_counts=True)
    return int(values[counts.argmax()])
