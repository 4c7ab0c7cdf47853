"""What a table of a paper compares, and what was measured instead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = tuple[float | None, ...]
"""One number per column; None where there is none."""

SHARE_OF_EFFECT = 2 / 3
"""An effect counts as reproduced if it has the sign and at least this share of the size of the published one."""


@dataclass(frozen=True)
class Setting:
    """A network that is compared with others.

    Attributes:
        name: of its folder.
        changes: of the network's config.
    """

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A number of an evaluation.

    Attributes:
        name: with its unit.
        value: finds it in what `evaluate` wrote into scores.json.
        digits: behind the point.
    """

    name: str
    value: Callable[[Mapping[str, Any]], float | None]
    digits: int = 2


@dataclass(frozen=True)
class Row:
    """One line: what is said of it, what is trained, and the published numbers."""

    label: str
    setting: Setting
    paper: Values


@dataclass(frozen=True)
class Effect:
    """What a table shows: how much one row differs from another in the mean of some columns.

    Attributes:
        label: in words.
        row, against: labels of the two rows.
        columns: names of the columns that are averaged.
        relative: in per cent of `against`; else as a plain difference.
    """

    label: str
    row: str
    against: str
    columns: tuple[str, ...]
    relative: bool = False


@dataclass(frozen=True)
class Table:
    """A table or figure of a paper."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Measured:
    """A table with what was measured: a line of values for every row.

    Attributes:
        table: what it stands beside.
        values: measured, in the order of the rows.
        notes: data, preset, seed, hardware.
    """

    table: Table
    values: tuple[Values, ...]
    notes: tuple[str, ...]

    def effect(self, effect: Effect) -> tuple[float | None, float | None]:
        """The effect as published, and as measured."""
        published = {row.label: row.paper for row in self.table.rows}
        measured = {row.label: values for row, values in zip(self.table.rows, self.values)}
        return self._size(effect, published), self._size(effect, measured)

    def shown(self, effect: Effect) -> bool | None:
        """Whether it has the published sign and two thirds of its size; None where a number is missing."""
        published, measured = self.effect(effect)
        if published is None or measured is None:
            return None
        return measured * published > 0 and abs(measured) >= SHARE_OF_EFFECT * abs(published)

    def _size(self, effect: Effect, rows: Mapping[str, Values]) -> float | None:
        wanted = [k for k, column in enumerate(self.table.columns) if column.name in effect.columns]
        here, there = ([rows[label][k] for k in wanted] for label in (effect.row, effect.against))
        if not wanted or None in (*here, *there):
            return None
        ours, theirs = (sum(value for value in values if value is not None) / len(values) for values in (here, there))
        return 100 * (ours / theirs - 1) if effect.relative else ours - theirs

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        columns = [column.name for column in self.table.columns]
        return {
            "table": self.table.name,
            "title": self.table.title,
            "columns": columns,
            "rows": [
                {"label": row.label, "paper": dict(zip(columns, row.paper)), "measured": dict(zip(columns, values))}
                for row, values in zip(self.table.rows, self.values)
            ],
            "effects": [
                {"effect": effect.label, "unit": "%" if effect.relative else "as the column"}
                | dict(zip(("paper", "measured"), self.effect(effect)))
                | {"same sign and two thirds of the size": self.shown(effect)}
                for effect in self.table.effects
            ],
            "notes": list(self.notes),
        }

    def as_markdown(self) -> str:
        """A table with two columns for every number, and one of the effects."""
        columns = self.table.columns
        heads = [f"{column.name}, {who}" for column in columns for who in ("paper", "measured")]
        lines = [f"# {self.table.title}", "", _line(["", *heads]), _line(["---"] * (1 + len(heads)))]
        for row, values in zip(self.table.rows, self.values):
            cells = [
                _number(value, column.digits) for column, *pair in zip(columns, row.paper, values) for value in pair
            ]
            lines.append(_line([row.label, *cells]))
        if self.table.effects:
            lines += [
                "",
                _line(["effect", "paper", "measured", "same sign, two thirds of the size"]),
                _line(["---"] * 4),
            ]
            for effect in self.table.effects:
                unit = " %" if effect.relative else ""
                sizes = [
                    _number(size, 1, signed=True) + (unit if size is not None else "") for size in self.effect(effect)
                ]
                lines.append(_line([effect.label, *sizes, {True: "yes", False: "no", None: "-"}[self.shown(effect)]]))
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes), ""])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int, signed: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if signed else ''}.{digits}f}"
