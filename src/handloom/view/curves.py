"""The page of a training: every loss and metric of its CSV log over steps, epochs or time."""

import os
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from handloom.formats.atomic import write_text
from handloom.formats.training_log import LOG_SPLITS, TrainingLog, read_training_log
from handloom.view.colours import HAND_RGB, hex_colour
from handloom.view.page import card_list, figure, plain, shell
from handloom.view.report_data import extremes

_COLOURS = dict(zip(LOG_SPLITS, map(hex_colour, HAND_RGB)))
_MAX_POINTS, _FEW_POINTS = 2000, 200
_CONTROLS = """<div class="controls small"><label>along <select id="along">
<option value="step">step</option><option value="epoch">epoch</option><option value="minutes">minutes</option>
</select></label> <label><input id="log" type="checkbox"> logarithmic</label></div>"""


def write_curves(csv_path: str | os.PathLike[str], html_path: str | os.PathLike[str], title: str | None = None) -> None:
    """Write the page of a log; a training calls this now and then, and whoever looks reloads.

    Args:
        csv_path: the log, as `formats.training_log` describes it.
        html_path: the page; it is written under a temporary name and renamed.
        title: headline; by default the name of the log's folder.

    Raises:
        InputError: the log is malformed.
        OutputError: the page cannot be written.
    """
    path = Path(csv_path)
    logs = read_training_log(path)
    names = list(logs[LOG_SPLITS[0]].values)
    charts = {name: _chart(logs, name) for name in names}
    longest = max(logs.values(), key=lambda log: log.step[-1] if len(log) else -1)
    rows = [f"{len(log):,} {split} rows" for split, log in logs.items() if len(log)]
    page = shell(
        title=title or path.resolve().parent.name or path.name,
        brand="Handloom training",
        subtitle=f"{path.name} · {', '.join(rows)}",
        cards=card_list(
            [
                ("Step", f"{longest.step[-1]:,.0f}", f"epoch {longest.epoch[-1]:.4g}"),
                ("Time", _clock(longest.wall_s[-1]), _pace(longest)),
                *(_card(logs, name) for name in names[:4]),
            ]
        ),
        body=_body(logs, names, charts),
        data={"charts": charts},
        scripts=("lines.js", "curves.js"),
    )
    write_text(Path(html_path), page)


def _body(logs: dict[str, TrainingLog], names: list[str], charts: dict[str, Any]) -> str:
    figures = "".join(
        figure(name, name, [(series["name"], series["colour"]) for series in charts[name]["series"]]) for name in names
    )
    return (
        f'{_not_finite(logs)}<section><h2>Curves</h2>{_CONTROLS}<div class="grid">{figures}</div></section>'
        f"<section><h2>Values</h2>{_table(logs, names)}</section>"
    )


def _chart(logs: dict[str, TrainingLog], name: str) -> dict[str, Any]:
    """Lines of both splits; one of many points is drawn faint, with its running mean."""
    series = []
    for split, log in logs.items():
        measured = np.flatnonzero(np.isfinite(log.values[name]))
        if not (count := len(measured)):
            continue
        values = log.values[name][measured]
        line: dict[str, Any] = {"name": split, "colour": _COLOURS[split], "dots": count <= _FEW_POINTS}
        if count > _FEW_POINTS:
            at = np.linspace(0, count - 1, _FEW_POINTS).round().astype(int)
            line["mean"] = _points(log, measured[at], _running_mean(values, count // 50)[at])
        kept = np.union1d(extremes(values, _MAX_POINTS), [0, count - 1])
        series.append(line | _points(log, measured[kept], values[kept]))
    return {"series": series, "last": True}


def _points(log: TrainingLog, at: Int[np.ndarray, "P"], values: Float[np.ndarray, "P"]) -> dict[str, Any]:
    x = {"step": log.step, "epoch": log.epoch, "minutes": log.wall_s / 60}
    return {"x": {name: plain(column[at]) for name, column in x.items()}, "y": plain(values)}


def _running_mean(values: Float[np.ndarray, "R"], half: int) -> Float[np.ndarray, "R"]:
    """Mean of the values up to `half` places before and after each, of fewer at the ends."""
    total = np.concatenate([[0], np.cumsum(values)])
    place = np.arange(len(values))
    first, end = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    return np.asarray((total[end] - total[first]) / (end - first))


def _table(logs: dict[str, TrainingLog], names: list[str]) -> str:
    """Last, least and greatest of every value, with the step where it stood."""
    rows = []
    for name in names:
        for split, log in logs.items():
            values = log.values[name]
            at = np.flatnonzero(np.isfinite(values))
            if at.size:
                picks = at[-1], at[values[at].argmin()], at[values[at].argmax()]
                cells = "".join(
                    f'<td class="number">{values[i]:.4g} <small>step {log.step[i]:,.0f}</small></td>' for i in picks
                )
                rows.append(f"<tr><th>{escape(name)}, {split}</th>{cells}</tr>")
    head = "".join(f'<th class="number">{word}</th>' for word in ("last", "least", "greatest"))
    return f'<div class="scroll wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _not_finite(logs: dict[str, TrainingLog]) -> str:
    bad = [(name, step, split) for split, log in logs.items() for name, step in log.not_finite]
    if not bad:
        return ""
    name, step, split = bad[0]
    return (
        '<ul class="warnings" aria-label="Warnings"><li class="bad"><strong>Not finite.</strong> '
        f"{len(bad):,} values are NaN or infinite, the first is {escape(name)} ({split}) at step {step:,}; "
        "they are gaps in the curves.</li></ul>"
    )


def _card(logs: dict[str, TrainingLog], name: str) -> tuple[str, str, str]:
    last = {}
    for split, log in logs.items():
        values = log.values[name]
        if np.isfinite(values).any():
            last[split] = f"{values[np.isfinite(values)][-1]:.4g}"
    if not last:
        return name, "–", "not measured yet"
    split = LOG_SPLITS[1] if LOG_SPLITS[1] in last else LOG_SPLITS[0]
    others = ", ".join(f"{other} {value}" for other, value in last.items() if other != split)
    return name, last[split], f"last of {split}" + (f"; {others}" if others else "")


def _clock(seconds: float) -> str:
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds % 60:.0f} s"


def _pace(log: TrainingLog) -> str:
    seconds, steps = log.wall_s[-1] - log.wall_s[0], log.step[-1] - log.step[0]
    return f"{seconds / steps:.3g} s per step" if steps > 0 and seconds > 0 else ""
