"""The parts of the evaluation page on numbers, as HTML and chart data."""

from html import escape
from math import isfinite
from typing import Any

from handloom.metrics.predictions import Predictions
from handloom.metrics.published import Published
from handloom.metrics.scores import ALIGNMENTS, BOTH, CAMERA, IMAGE, PROCRUSTES, ROOT_ALIGNED, PoseScore, Scores
from handloom.skeleton import FINGERS, HANDS, JOINT_NAMES
from handloom.view.colours import HAND_RGB, hex_colour
from handloom.view.page import figure, number, percent, plain

_COLOURS = dict(zip(HANDS, map(hex_colour, HAND_RGB)))
_SPACES = {
    CAMERA: "Camera space",
    ROOT_ALIGNED: "Root-aligned",
    PROCRUSTES: "Procrustes-aligned",
    IMAGE: "In the image",
}


def cards(predictions: Predictions, scores: Scores) -> list[tuple[str, str, str]]:
    """The headline numbers."""
    hand = BOTH if len(predictions.hands) > 1 else predictions.hands[0]
    items = []
    for space, name in ((CAMERA, "MEPE"), (ROOT_ALIGNED, "MEPE-RA")):
        if row := scores.pose(hand, space):
            items.append((name, number(row.mean_error, row.unit), f"{_hand(hand)}{_auc(row)}"))
    if actions := scores.actions:
        items += [
            ("Actions right", percent(actions.top_1, 1), f"of {actions.videos:,} videos"),
            ("Among the first 5", percent(actions.top_5, 1), f"mean over classes {percent(actions.mean_class, 1)}"),
        ]
    if scores.object_accuracy is not None:
        items.append(("Objects right", percent(scores.object_accuracy, 1), f"of {scores.object_frames:,} frames"))
    items.append(("Frames", f"{len(predictions):,}", f"{len(predictions.video_names):,} videos"))
    return items


def pose_table(scores: Scores, paper: Published | None) -> str:
    """Every pose number with its range and joints, and the paper's where the range is the same."""
    head = ["Space", "Hand", "Mean error", "AUC", "over", "joints", "frames"]
    columns = "".join(f"<th{_number(i > 1)}>{name}</th>" for i, name in enumerate(head))
    if paper:
        columns += '<th class="number paper">paper, MEPE</th><th class="number paper">paper, AUC</th>'
    return f'<div class="scroll wide"><table><tr>{columns}</tr>{"".join(_rows(scores, paper))}</table></div>'


def _rows(scores: Scores, paper: Published | None) -> list[str]:
    rows: list[str] = []
    before = None
    for row in scores.poses:
        first, before = row.space != before, row.space
        name = f'<span title="alignment: {escape(ALIGNMENTS[row.space])}">{_SPACES[row.space]}</span>' if first else ""
        span = f"0–{row.span.top_mm:g} mm, {row.span.points} points" if row.span else "–"
        cells = [
            f"{row.mean_error:,.2f} {row.unit}" if isfinite(row.mean_error) else "–",
            "–" if row.auc is None or not isfinite(row.auc) else f"{row.auc:.3f}",
            span,
            f"{row.joints}{f', without {row.root}' if row.root else ''}",
            f"{row.frames:,}",
        ]
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        if paper:
            quoted = paper.pose.get((row.hand, row.space))
            mepe, area = (f"{quoted[0]:.2f} mm", f"{quoted[1]:.3f}") if quoted else ("", "")
            numbers += f'<td class="number paper">{mepe}</td><td class="number paper">{area}</td>'
        group = ' class="group"' if first and rows else ""
        rows.append(f"<tr{group}><th>{name}</th><td>{_hand(row.hand)}</td>{numbers}</tr>")
    return rows


def joint_bars(scores: Scores, hands: tuple[str, ...]) -> str:
    """Bars of each joint's camera-space error, finger by finger, left above right."""
    errors = {hand: found.joint_errors for hand in hands if (found := scores.pose(hand, CAMERA))}
    known = [value for values in errors.values() for value in values if isfinite(value)]
    if not known:
        return '<p class="note">no joint with a truth</p>'
    longest = max(*known, 1e-9)

    def bar(hand: str, joint: int) -> str:
        value = float(errors[hand][joint])
        width = 100 * value / longest if isfinite(value) else 0
        filled = f'<div class="bar" style="--c:{_COLOURS[hand]}"><i style="width:{width:.1f}%"></i></div>'
        return f"{filled}<b>{f'{value:.1f}' if isfinite(value) else '–'}</b>"

    def row(joint: int) -> str:
        part = JOINT_NAMES[joint].split("_")[-1]
        bars = "".join(bar(hand, joint) for hand in errors)
        return f'<div class="bone" style="--hands:{len(errors)}"><span>{part}</span>{bars}</div>'

    # The wrist goes with the thumb, which leaves five columns.
    fingers = [range(4 * i + bool(i), 4 * i + 5) for i in range(len(FINGERS))]
    names = ("Wrist and thumb", *map(str.capitalize, FINGERS[1:]))
    shown = "".join(f"<div><h3>{name}</h3>{''.join(map(row, joints))}</div>" for name, joints in zip(names, fingers))
    return f'<div class="bones">{shown}</div>'


def action_table(scores: Scores, paper: Published | None) -> str:
    """Accuracies of actions and objects."""
    rows: list[tuple[str, float | None, str]] = []
    if actions := scores.actions:
        quoted = percent(paper.action_accuracy, 2) if paper else ""
        rows += [
            ("Action, by the vote of a video's clips", actions.top_1, quoted),
            ("Action among the first 5", actions.top_5, ""),
            ("Action, mean over classes", actions.mean_class, ""),
            ("Verb of the action said", actions.verb, ""),
            ("Noun of the action said", actions.noun, ""),
        ]
    rows.append(("Object, per frame", scores.object_accuracy, ""))
    body = "".join(
        f'<tr><th>{name}</th><td class="number">{percent(value, 2)}</td>'
        + (f'<td class="number paper">{quoted}</td>' if paper else "")
        + "</tr>"
        for name, value, quoted in rows
        if value is not None
    )
    head = '<tr><th></th><th class="number">right</th><th class="number paper">paper</th></tr>' if paper else ""
    return f"<table>{head}{body}</table>"


def pck_charts(scores: Scores) -> tuple[str, dict[str, Any]]:
    """PCK curves of every aligned space, a line per hand: HTML and data."""
    html, data = "", {}
    for space in (CAMERA, ROOT_ALIGNED, PROCRUSTES):
        lines = [row for row in scores.poses if row.space == space and (row.hand != BOTH) and row.pck is not None]
        if lines:
            keys = [(f"{row.hand}{_auc(row)}", _COLOURS[row.hand]) for row in lines]
            html += figure(f"pck-{space}", f"3D PCK, {_SPACES[space].lower()}", keys)
            series = [
                {"colour": _COLOURS[row.hand], "x": plain(1000 * row.span.thresholds_m), "y": plain(row.pck)}
                for row in lines
                if row.span
            ]
            data[f"pck-{space}"] = {"x_label": "error at most, mm", "bottom": 0, "top": 1, "left": 0, "series": series}
    return html, data


def early_chart(scores: Scores) -> tuple[str, dict[str, Any]]:
    """Accuracy against the observed share of each video."""
    actions = scores.actions
    if not actions or actions.early is None or actions.early_fractions is None:
        return "", {}
    colour = _COLOURS[HANDS[0]]
    series = [{"colour": colour, "x": plain(100 * actions.early_fractions), "y": plain(actions.early), "dots": True}]
    html = figure("early", "Early recognition: action accuracy", [("accuracy", colour)])
    chart = {"x_label": "share of the video seen, %", "bottom": 0, "top": 1, "left": 0, "right": 100, "series": series}
    return html, {"early": chart}


def _auc(row: PoseScore) -> str:
    return f", AUC {row.auc:.3f}" if row.auc is not None and isfinite(row.auc) else ""


def _hand(hand: str) -> str:
    return "both hands" if hand == BOTH else hand


def _number(yes: bool) -> str:
    return ' class="number"' if yes else ""
