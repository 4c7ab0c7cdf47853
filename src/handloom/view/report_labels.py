"""The sections of the report on actions, objects and the truth, as HTML. Every label is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from handloom.hands import ActionSegment, HandTrack
from handloom.metrics.labels import object_shares
from handloom.view.colours import RGB, hex_colour
from handloom.view.report_lanes import action_colours, object_colours, records_shown

_LISTED = 200


def label_tables(track: HandTrack, truth: HandTrack | None) -> str:
    """The section that lists segments and objects; nothing where none are known."""
    records = records_shown(track, truth)
    actions, objects = action_colours(records), object_colours(records)
    tables = [_action_table(name, record.actions, actions) for name, record in records.items() if record.actions]
    tables += [_object_table(name, record, objects) for name, record in records.items() if object_shares(record)]
    if not tables:
        return ""
    return f'<section><h2>Actions and objects</h2><div class="tables labels">{"".join(tables)}</div></section>\n'


def truth_section(summary: Mapping[str, Any] | None) -> str:
    """The section on the errors against the truth; nothing without one."""
    if not summary:
        return ""
    columns = ("left", "right", "both")
    rows = "".join(
        f"<tr><th>{title}</th>"
        + "".join(f'<td class="number">{_millimetres((summary.get(name) or {}).get(hand))}</td>' for hand in columns)
        + "</tr>"
        for name, title in (
            ("mpjpe_mm", "Mean joint error in camera space (MPJPE)"),
            ("mpjpe_wrist_aligned_mm", "The same, wrists aligned, over the 20 other joints"),
        )
    )
    head = "".join(f'<th class="number">{hand}</th>' for hand in columns)
    facts = [f"{summary['hands_found']:,} of {summary['hands_expected']:,} hands that the truth shows were found"]
    for name in ("object", "action"):
        if (accuracy := summary.get(f"{name}_accuracy")) is not None:
            facts.append(f"the {name} is right in {100 * accuracy:.1f} % of the frames that the truth labels")
    return (
        "<section><h2>Against the truth</h2>"
        f'<p class="note">{"; ".join(facts)}. Errors are over joints that both have.</p>'
        f'<div class="scroll"><table><tr><th></th>{head}</tr>{rows}</table></div></section>\n'
    )


def _action_table(name: str, actions: Sequence[ActionSegment], colours: Mapping[str, RGB]) -> str:
    rows = "".join(
        f"<tr><td>{_key(action.label, colours)}</td>"
        f'<td class="number"><button data-seek="{action.start_s:.6f}">{action.start_s:.2f} s</button></td>'
        f'<td class="number">{action.end_s:.2f} s</td><td class="number">{action.score:.2f}</td></tr>'
        for action in actions[:_LISTED]
    )
    more = len(actions) - _LISTED
    note = f'<p class="note">and {more:,} more, all in hands.parquet</p>' if more > 0 else ""
    head = '<tr><th>action</th><th class="number">from</th><th class="number">to</th><th class="number">score</th></tr>'
    return f'<div><h3>Actions, {name}</h3><div class="scroll"><table>{head}{rows}</table></div>{note}</div>'


def _object_table(name: str, track: HandTrack, colours: Mapping[str, RGB]) -> str:
    rows = "".join(
        f'<tr><td>{_key(share.name, colours)}</td><td class="number">{share.frames:,}</td>'
        f'<td class="number">{share.mean_probability:.2f}</td></tr>'
        for share in object_shares(track)
    )
    head = '<tr><th>object</th><th class="number">frames</th><th class="number">mean probability</th></tr>'
    return f'<div><h3>Objects, {name}</h3><div class="scroll"><table>{head}{rows}</table></div></div>'


def _key(label: str, colours: Mapping[str, RGB]) -> str:
    return f'<span class="key" style="--c:{hex_colour(colours[label])}">{escape(label)}</span>'


def _millimetres(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} mm"
