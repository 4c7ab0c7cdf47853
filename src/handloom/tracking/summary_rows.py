"""Objects, actions and the comparison with the truth of a run.json, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

_LISTED = 5
Rows = list[tuple[str, str]]


def label_rows(objects: Sequence[Mapping[str, Any]], actions: Sequence[Mapping[str, Any]]) -> Rows:
    """What was held and done: the most frequent objects and the first actions."""
    rows = []
    if objects:
        shown = [f"{item['name']} in {item['frames']:,} frames ({item['mean_probability']:.2f})" for item in objects]
        rows.append(("objects", _first(shown, "objects")))
    if actions:
        shown = [
            f"{action['label']} {action['start_s']:.2f} to {action['end_s']:.2f} s ({action['score']:.2f})"
            for action in actions
        ]
        rows.append(("actions", _first(shown, "segments")))
    return rows


def truth_rows(truth: Mapping[str, Any]) -> Rows:
    """How far the poses are from the truth, and how often the labels agree with it."""
    found, expected = truth["hands_found"], truth["hands_expected"]
    share = f" ({100 * found / expected:.1f} %)" if expected else ""
    rows = [
        ("hands found", f"{found:,} of {expected:,}{share} that the truth shows in the picture"),
        ("error (MPJPE)", f"{_errors(truth['mpjpe_mm'])}, camera space"),
        ("  wrists aligned", _errors(truth["mpjpe_wrist_aligned_mm"])),
    ]
    for name in ("object", "action"):
        if (accuracy := truth[f"{name}_accuracy"]) is not None:
            rows.append((f"right {name}", f"in {100 * accuracy:.1f} % of the frames that the truth labels"))
    return rows


def _errors(errors_mm: Mapping[str, float | None]) -> str:
    known = {name: f"{error:.1f} mm" for name, error in errors_mm.items() if error is not None}
    if not known:
        return "unknown: no joint is in both"
    sides = ", ".join(f"{side} {known[side]}" for side in ("left", "right") if side in known)
    return f"{known['both']} ({sides})"


def _first(shown: list[str], what: str) -> str:
    more = len(shown) - _LISTED
    return ", ".join(shown[:_LISTED]) + (f", and {more} more {what}" if more > 0 else "")
