"""The static parts of the report page, as HTML. Everything that comes from a user is escaped here."""

from collections.abc import Callable, Mapping
from html import escape
from math import isfinite
from pathlib import PurePath
from typing import Any

import numpy as np

from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.metrics.track import PALM_BONE_INDICES, HandSummary, bone_spread, summarise
from handloom.skeleton import BONES, FINGERS, HANDS, JOINT_NAMES, bone_lengths
from handloom.view.colours import HAND_RGB, hex_colour
from handloom.view.page import card_list, number, percent

_LISTED_PROBLEMS = 200

_CAMERA_TRUST = {
    CameraSource.CALIBRATED: (
        "good",
        "calibrated",
        "Absolute depth rests on the calibration that was given.",
    ),
    CameraSource.FIELD_OF_VIEW: (
        "",
        "field of view given",
        "Absolute depth is as good as that angle; lens distortion is not corrected.",
    ),
    CameraSource.GUESSED: (
        "warn",
        "guessed",
        "Absolute depth is only as good as the guess: "
        "a focal length 20 % too long puts the hands 20 % too far away. "
        "Give <code>--camera FILE</code> or <code>--fov DEG</code>.",
    ),
    CameraSource.UNKNOWN: (
        "warn",
        "unknown",
        "Absolute positions cannot be trusted; the shape of each hand can. "
        "Give <code>--camera FILE</code> or <code>--fov DEG</code>.",
    ),
}
_SCALE_TRUST = {
    ScaleSource.HAND_SIZE: (
        "good",
        "hand size given",
        "Metres follow from the size of the hand that was given.",
    ),
    ScaleSource.MEASURED: ("good", "measured", "Metres were measured by several cameras or sensors."),
    ScaleSource.TRACKER: (
        "warn",
        "tracker's own",
        "The scale is the tracker's own, an average hand: sizes, distances and speeds may all be off by one "
        "common factor, often 10 % and more. "
        "Give <code>--hand-size-mm</code>, measured from wrist to middle knuckle.",
    ),
}


def title(run: Mapping[str, Any]) -> str:
    """The input's name."""
    path = (run.get("input") or {}).get("path")
    return (PurePath(str(path)).name or str(path)) if path else "Tracked hands"


def subtitle(track: HandTrack, run: Mapping[str, Any]) -> str:
    """Size, rate, estimator, date: one line."""
    source = run.get("input") or {}
    width, height = source.get("width"), source.get("height")
    rate = source.get("frame_rate") or track.frame_rate
    facts = [
        f"{width} × {height}" if width and height else "",
        f"{rate:.4g} frames/s" if isfinite(rate) else "",
        "variable frame rate" if source.get("variable_frame_rate") else "",
        str(source.get("codec") or ""),
        f"tracked with {run['estimator']}" if run.get("estimator") else "",
        str(run.get("started") or ""),
    ]
    return " · ".join(fact for fact in facts if fact)


def cards(track: HandTrack, run: Mapping[str, Any], errors: Mapping[str, Any] | None = None) -> str:
    """The headline numbers; `errors` is the summary of a comparison with the truth."""
    left, right = summarise(track)
    frames, found = len(track), track.present
    share = found.any(1).mean() if frames else float("nan")
    both = found.all(1).mean() if frames else float("nan")
    duration = float(track.times_s[-1] - track.times_s[0]) if frames else 0.0
    seconds = _total_seconds(run)
    items = [
        ("Frames", f"{frames:,}", f"{duration:,.1f} s"),
        ("With a hand", percent(share), f"left {percent(left.coverage)}, right {percent(right.coverage)}"),
        ("With both hands", percent(both), f"{int(found.all(1).sum()):,} frames"),
        ("Wrist speed", *_best_and_both([left.speed_m_s, right.speed_m_s], lambda v: f"{v:.2f} m/s")),
        ("Jitter", *_best_and_both([left.jitter_m_s3, right.jitter_m_s3], lambda v: f"{v:.3g} m/s³")),
        (
            "Palm-bone spread",
            *_best_and_both([left.palm_spread, right.palm_spread], lambda v: percent(v, 1)),
        ),
    ]
    if errors:
        error, aligned = errors["mpjpe_mm"]["both"], errors["mpjpe_wrist_aligned_mm"]["both"]
        if error is not None and aligned is not None:
            items.insert(3, ("Error", f"{error:.1f} mm", f"MPJPE; {aligned:.1f} mm with wrists aligned"))
    if seconds and frames:
        items.append(("Processed at", f"{frames / seconds:.3g}/s", f"frames per second, {seconds:,.1f} s in all"))
    return card_list(items)


def warnings(track: HandTrack, run: Mapping[str, Any]) -> str:
    """What must be known before any number is believed, worst first."""
    counts, problems = run.get("counts") or {}, list(run.get("problems") or ())
    items: list[tuple[str, str, str, str]] = []
    if run.get("partial"):
        items.append(
            (
                "bad",
                "Partial result.",
                "The run was stopped before the end; this page covers the frames done.",
                "",
            )
        )
    if not track.present.any():
        items.append(("bad", "No hand was found in any frame.", "", ""))
    if problems or counts.get("skipped"):
        number = int(counts.get("skipped") or len(problems))
        text = f"{_count(number, 'frame was', 'frames were')} skipped; nothing was filled in."
        items.append(("bad", "Damaged input.", text, _problem_list(problems)))
    if counts.get("dropped"):
        text = f"{int(counts['dropped']):,} live frames came faster than they could be tracked and were dropped."
        items.append(("warn", "Frames dropped.", text, ""))
    if counts.get("duplicates_removed"):
        number = int(counts["duplicates_removed"])
        text = f"{_count(number, 'sighting', 'sightings')} of a hand that was already there removed."
        items.append(("warn", "Doubled hands.", text, ""))
    for name, (level, word, text) in (
        ("Camera", _CAMERA_TRUST[track.camera_source]),
        ("Scale", _SCALE_TRUST[track.scale_source]),
    ):
        if level == "warn":
            items.append(("warn", f"{name}: {word}.", text, ""))
    if not items:
        return ""
    lines = "".join(
        f'<li class="{level}"><strong>{head}</strong> {text}{more}</li>' for level, head, text, more in items
    )
    return f'<ul class="warnings" aria-label="Warnings">{lines}</ul>'


def plot(data: Mapping[str, Any]) -> str:
    """The frame of one plot over time; report_charts.js draws it."""
    cut = f", axis cut, peak {data['peak']:.3g}" if data["peak"] > data["top"] else ""
    legend = " ".join(
        f'<span class="key" style="--c:{hex_colour(rgb)}">{name} <output></output></span>'
        for name, rgb in zip(HANDS, HAND_RGB)
    )
    return (
        f'<figure class="chart" data-plot="{data["name"]}"><figcaption>{data["title"]}'
        f"<span>{legend} {data['unit']}{cut}</span></figcaption>"
        f'<div class="area"><canvas style="height:150px"></canvas><i class="cursor"></i></div></figure>'
    )


def summary(track: HandTrack) -> str:
    """Every number per hand, with its unit."""
    hands = summarise(track)
    rows: list[tuple[str, Callable[[HandSummary], str]]] = [
        ("Frames with the hand", lambda hand: f"{hand.frames:,} ({percent(hand.coverage)})"),
        ("Longest gap between sightings", lambda hand: number(hand.longest_gap_s, "s")),
        ("Wrist speed, median", lambda hand: number(hand.speed_m_s, "m/s")),
        ("Wrist speed, 95th percentile", lambda hand: number(hand.speed_95_m_s, "m/s")),
        ("Jitter: mean ‖Δ³p‖·fps³ over all joints", lambda hand: number(hand.jitter_m_s3, "m/s³")),
        ("High-pass RMS of the keypoints (4th difference)", lambda hand: number(hand.high_pass_px, "px")),
        ("Palm-bone length spread", lambda hand: percent(hand.palm_spread, 2)),
        ("Hand size, wrist to middle knuckle", lambda hand: number(1000 * hand.hand_size_m, "mm")),
    ]
    head = "".join(
        f'<th class="number"><span class="key" style="--c:{hex_colour(rgb)}">{name}</span></th>'
        for name, rgb in zip(HANDS, HAND_RGB)
    )
    body = "".join(
        f"<tr><th>{name}</th>" + "".join(f'<td class="number">{show(hand)}</td>' for hand in hands) + "</tr>"
        for name, show in rows
    )
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{body}</table></div>'


def bones(track: HandTrack) -> str:
    """Bars of each bone's length spread, finger by finger, left above right; a hand never seen has none."""
    spread = bone_spread(track)
    hands = [hand for hand in range(len(HANDS)) if np.isfinite(bone_lengths(track.joints_m)[:, hand]).any()]
    if not hands:
        return '<p class="note">no hand found</p>'
    longest = max(0.05, float(np.nanmax(spread)) if np.isfinite(spread).any() else 0)

    def bar(hand: int, bone: int) -> str:
        value = float(spread[hand, bone])
        width = 100 * value / longest if isfinite(value) else 0
        colour = hex_colour(HAND_RGB[hand])
        filled = f'<div class="bar" style="--c:{colour}"><i style="width:{width:.1f}%"></i></div>'
        return f"{filled}<b>{percent(value, 1)}</b>"

    def row(bone: int) -> str:
        mark = " ●" if bone in PALM_BONE_INDICES else ""
        part = JOINT_NAMES[BONES[bone][1]].split("_")[1]
        bars = "".join(bar(hand, bone) for hand in hands)
        return f'<div class="bone" style="--hands:{len(hands)}"><span>to {part}{mark}</span>{bars}</div>'

    fingers = "".join(
        f"<div><h3>{name.capitalize()}</h3>{''.join(row(4 * finger + part) for part in range(4))}</div>"
        for finger, name in enumerate(FINGERS)
    )
    return f'<div class="bones">{fingers}</div>'


def trust(track: HandTrack, run: Mapping[str, Any]) -> str:
    """Camera and scale, and how far each can be trusted."""
    camera, scale = dict(run.get("camera") or {}), dict(run.get("scale") or {})
    shown = []
    for name, (level, word, text), facts in (
        ("Camera", _CAMERA_TRUST[track.camera_source], camera),
        ("Scale", _SCALE_TRUST[track.scale_source], scale),
    ):
        facts.pop("source", None)
        facts["from"] = facts.pop("note", None) or word
        if isinstance(size := facts.pop("hand_size_mm", None), int | float):
            facts["wrist to middle knuckle"] = f"{size:.1f} mm"
        shown.append(
            f'<div><h3>{name}<span class="badge {level}">{escape(word)}</span></h3><p>{text}</p>{table(facts)}</div>'
        )
    return f'<div class="sure">{"".join(shown)}</div>'


def timings(run: Mapping[str, Any]) -> str:
    """Seconds of each stage and its share."""
    stages = {str(name): float(value) for name, value in (run.get("timings_s") or {}).items()}
    total = _total_seconds(run)
    if not total:
        return '<p class="note">not recorded</p>'
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="number">{seconds:.3f} s</td>'
        f'<td class="number">{percent(seconds / total)}</td></tr>'
        for name, seconds in stages.items()
    )
    return f"<table>{rows}</table>"


def run_table(run: Mapping[str, Any]) -> str:
    """Arguments and versions."""
    facts = {
        name: run[name]
        for name in ("handloom", "python", "platform", "started", "estimator", "smoothing")
        if name in run
    }
    return table(facts | {f"--{name}": value for name, value in (run.get("arguments") or {}).items()})


def table(facts: Mapping[str, Any]) -> str:
    """Two columns, name and value."""
    if not facts:
        return '<p class="note">not recorded</p>'
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(_plain(value))}</td></tr>" for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _problem_list(problems: list[Mapping[str, Any]]) -> str:
    if not problems:
        return ""
    lines = "".join(
        f"<br>frame {escape(_plain(problem.get('index')))} at {escape(_plain(problem.get('time_s')))} s: "
        f"{escape(_plain(problem.get('reason')))}"
        for problem in problems[:_LISTED_PROBLEMS]
    )
    more = len(problems) - _LISTED_PROBLEMS
    tail = f"<br>and {more:,} more, all in run.json" if more > 0 else ""
    return f"<details><summary>which frames</summary>{lines}{tail}</details>"


def _total_seconds(run: Mapping[str, Any]) -> float:
    stages = run.get("timings_s") or {}
    return float(stages["total"]) if "total" in stages else float(sum(stages.values()))


def _best_and_both(values: list[float], show: Callable[[float], str]) -> tuple[str, str]:
    """One hand's number, or the span of both."""
    known = {name: show(value) for name, value in zip(HANDS, values) if isfinite(value)}
    if not known:
        return "–", "no hand long enough in view"
    if len(known) == 1:
        (name, text), *_ = known.items()
        return text, f"{name} hand"
    worse = HANDS[0] if values[0] >= values[1] else HANDS[1]
    other = HANDS[1] if worse == HANDS[0] else HANDS[0]
    return known[worse], f"{worse}; {other} {known[other]}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or "–"
    return str(value)
