"""`report.html`: one self-contained page about a tracked video."""

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.formats.atomic import write_text
from handloom.hands import HandTrack
from handloom.metrics.against_truth import compare
from handloom.skeleton import FINGERS
from handloom.view import report_parts as parts
from handloom.view.colours import FINGER_RGB, hex_colour
from handloom.view.page import jpeg, shell
from handloom.view.page_skeletons import stage, view_controls
from handloom.view.report_data import MAX_POINTS, page_data, pose_stride
from handloom.view.report_labels import label_tables, truth_section
from handloom.view.report_lanes import lane_figure

SAMPLE_WIDTH = 640
_SCRIPTS = ("skeleton.js", "report_clock.js", "report_lanes.js", "report_charts.js", "report_controls.js")
_SCENE = "3D skeleton of both hands; drag to turn, wheel or pinch to zoom, arrow keys to step"
_FOLLOW = '<label><input id="follow" type="checkbox" checked> follow hands</label>'
_TRUTH_KEY = '<span class="key" style="--c:var(--truth)">truth, thin</span>'


def write_report(
    path: str | os.PathLike[str],
    track: HandTrack,
    run: Mapping[str, Any],
    samples: Sequence[tuple[int, UInt8[np.ndarray, "H W 3"]]] = (),
    truth: HandTrack | None = None,
) -> None:
    """Write the page; it needs no network and opens from a file.

    Long videos are thinned out (see `view.report_data`), which the page states.

    Args:
        path: the page. It is written under a temporary name and renamed.
        track: what was tracked.
        run: the content of run.json; what is missing is left out of the page.
        samples: frames to show, as (index in `track`, RGB image with the overlay already drawn).
        truth: what is true of the same frames, to show beside.

    Raises:
        InputError: a sample is not a frame of the track, or the truth has other frames.
        OutputError: the page cannot be written.
    """
    for index, _ in samples:
        if not 0 <= index < len(track):
            raise InputError(f"sample frame {index} is outside the record, which has {len(track)} frames")
    page = _page(track, run, samples, truth)
    write_text(Path(path), page)


def _page(
    track: HandTrack,
    run: Mapping[str, Any],
    samples: Sequence[tuple[int, np.ndarray]],
    truth: HandTrack | None,
) -> str:
    problems = [problem for problem in run.get("problems") or () if problem.get("time_s") is not None]
    data = page_data(track, [float(problem["time_s"]) for problem in problems], truth)
    errors = None if truth is None else compare(track, truth).summary()
    body = Template(files("handloom.view").joinpath("report.html").read_text("utf-8")).substitute(
        warnings=parts.warnings(track, run),
        stage=stage(_SCENE),
        views=view_controls(truth is not None, _FOLLOW),
        plots="".join(parts.plot(plot) for plot in data["plots"]),
        lanes="".join(lane_figure(lane) for lane in data["lanes"]),
        labels=label_tables(track, truth),
        truth=truth_section(errors),
        truth_key="" if truth is None else _TRUTH_KEY,
        fingers="".join(
            f'<span class="key" style="--c:{hex_colour(rgb)}">{name}</span>' for name, rgb in zip(FINGERS, FINGER_RGB)
        ),
        decimation=_decimation(len(track)),
        summary=parts.summary(track),
        bones=parts.bones(track),
        samples=_samples(track, samples),
        trust=parts.trust(track, run),
        timings=parts.timings(run),
        counts=parts.table(run.get("counts") or {}),
        input=parts.table(run.get("input") or {}),
        run=parts.run_table(run),
    )
    return shell(
        title=parts.title(run),
        brand="Handloom report",
        subtitle=parts.subtitle(track, run),
        cards=parts.cards(track, run, errors),
        body=body,
        data=data,
        scripts=_SCRIPTS,
        version=str(run.get("handloom", "")),
    )


def _decimation(frames: int) -> str:
    stride, notes = pose_stride(frames), []
    if stride > 1:
        notes.append(f"The 3D view shows every {stride}th of {frames:,} frames.")
    if frames > MAX_POINTS:
        notes.append(f"Plots keep the least and the greatest value of every stretch ({MAX_POINTS:,} points).")
    return " ".join(notes)


def _samples(track: HandTrack, samples: Sequence[tuple[int, np.ndarray]]) -> str:
    if not samples:
        return ""
    shown = "".join(
        f'<button data-seek="{track.times_s[index]:.6f}">'
        f'<img alt="frame {index} with the skeletons drawn" src="{jpeg(image, SAMPLE_WIDTH)}">'
        f"<span>frame {index} · {track.times_s[index]:.2f} s</span></button>"
        for index, image in samples
    )
    return f'<section><h2>Sample frames</h2><div class="samples">{shown}</div></section>'
