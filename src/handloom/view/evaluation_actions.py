"""The parts of the evaluation page on actions, as HTML: confusion matrix, accuracy per class."""

from html import escape

import numpy as np
from jaxtyping import Int

from handloom.metrics.actions import class_accuracies
from handloom.view.page import percent

MOST_CLASSES = 60
_CELL, _LETTER = 22, 6.3


def confusion_matrix(
    counts: Int[np.ndarray, "A A"], names: tuple[str, ...], unit: str = "video", what: str = "action"
) -> str:
    """True class down, predicted class across; the strength is the share of the true class's videos, or segments."""
    shown = _shown(counts)
    if not shown:
        return f'<p class="note">no labelled {unit}</p>'
    left = 30 + _LETTER * max(len(names[i]) for i in shown)
    top, side = left * 0.82, _CELL * len(shown)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    parts = [_lines(left, top, len(shown))]
    for row, true in enumerate(shown):
        y, x = top + _CELL * row, left + _CELL * row
        parts.append(f'<text x="{left - 7:.1f}" y="{y + 15:.1f}" text-anchor="end">{escape(names[true])}</text>')
        parts.append(
            f'<text transform="translate({x + 14:.1f} {top - 7:.1f}) rotate(-55)">{escape(names[true])}</text>'
        )
        for column, said in enumerate(shown):
            if number := int(counts[true, said]):
                parts.append(_cell(left + _CELL * column, y, number, float(share[true, said]), names, true, said))
    svg = (
        f'<svg class="confusion" width="{left + side + 0.45 * left:.0f}" height="{top + side + 2:.0f}" role="img" '
        f'aria-label="confusion matrix">{"".join(parts)}'
        f'<text class="axis" x="2" y="{top - 7:.1f}">true ↓ said →</text></svg>'
    )
    used = int((counts.sum(0) + counts.sum(1) > 0).sum())
    note = f" {used} of {len(names)} {what}s occur." if used < len(names) else ""
    if len(shown) < used:
        note += f" Only the {len(shown)} with most mistakes are shown."
    return (
        f'<p class="note">{unit.capitalize()}s by true {what} (down) and the one said (across); blue is right, red is '
        f'wrong, and the strength is the share of the true {what}\'s {unit}s.{note}</p><div class="scroll">{svg}</div>'
    )


def class_bars(counts: Int[np.ndarray, "A A"], names: tuple[str, ...]) -> str:
    """Accuracy of every class that occurs, with how many of its videos are right."""
    shares, videos = class_accuracies(counts), counts.sum(1)
    rows = "".join(
        f'<div><span title="{escape(name)}">{escape(name)}</span>'
        f'<div class="bar" style="--c:var(--accent)"><i style="width:{100 * shares[i]:.1f}%"></i></div>'
        f'<b title="{percent(float(shares[i]))}">{counts[i, i]}/{videos[i]}</b></div>'
        for i, name in enumerate(names)
        if videos[i]
    )
    return f'<div class="classes">{rows}</div>' if rows else '<p class="note">no labelled video</p>'


def _shown(counts: np.ndarray) -> list[int]:
    """Classes that occur or were said; of too many those in most mistakes."""
    used = np.flatnonzero(counts.sum(0) + counts.sum(1))
    if len(used) <= MOST_CLASSES:
        return [int(number) for number in used]
    mistakes = (counts.sum(0) + counts.sum(1) - 2 * np.diag(counts))[used]
    return sorted(int(number) for number in used[np.argsort(-mistakes, kind="stable")[:MOST_CLASSES]])


def _lines(left: float, top: float, count: int) -> str:
    side = _CELL * count
    steps = [_CELL * i for i in range(count + 1)]
    path = "".join(f"M{left:.1f} {top + d:.1f}h{side}M{left + d:.1f} {top:.1f}v{side}" for d in steps)
    return f'<path class="grid-line" d="{path}"/>'


def _cell(x: float, y: float, number: int, share: float, names: tuple[str, ...], true: int, said: int) -> str:
    kind = "right" if true == said else "wrong"
    title = f"{names[true]} called {names[said]}: {number} ({percent(share)})"
    return (
        f"<g><title>{escape(title)}</title>"
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{_CELL}" height="{_CELL}" '
        f'opacity="{0.15 + 0.85 * share:.2f}"/><text class="{"on" if share > 0.5 else ""}" x="{x + _CELL / 2:.1f}" '
        f'y="{y + 15:.1f}" text-anchor="middle">{number}</text></g>'
    )
