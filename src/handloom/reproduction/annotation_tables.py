"""Tables 2 and 3 of AssemblyHands (Ohkawa et al., CVPR 2023)."""

from collections.abc import Callable, Mapping
from typing import Any

from handloom.evaluation.rounds import ALGEBRAIC, EGO, TRIANGULATED, round_name
from handloom.reproduction.tables import Column, Effect, Row, Setting, Table

_R1, _R2, _R3 = (round_name(number) for number in (1, 2, 3))


def _value(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda scores: scores.get(name)


_COLUMNS = (Column("MPJPE mm", _value("mpjpe_mm")), Column("PCK-AUC %", _value("auc"), 1))


def _row(label: str, *paper: float | None) -> Row:
    return Row(label, Setting(label, {}), paper)


def _effect(row: str, against: str) -> Effect:
    return Effect(f"{row} against {against}", row, against, ("MPJPE mm",), relative=True)


_EFFECTS = (
    _effect(_R1, TRIANGULATED),
    _effect(_R3, TRIANGULATED),
    _effect(_R3, _R1),
    Effect(f"{_R3} against {TRIANGULATED}, AUC", _R3, TRIANGULATED, ("PCK-AUC %",)),
)
TABLES = {
    "assemblyhands-table2": Table(
        "assemblyhands-table2",
        "AssemblyHands, Table 2: annotation methods",
        _COLUMNS,
        (
            _row(EGO, 27.55, 29.4),
            _row(TRIANGULATED, 7.97, 63.8),
            _row(ALGEBRAIC, None, None),
            _row(_R1, 5.42, 79.2),
            _row(_R2, 4.30, 83.1),
            _row(_R3, 4.20, 83.4),
        ),
        (_effect(TRIANGULATED, EGO), *_EFFECTS),
    ),
    "assemblyhands-table3": Table(
        "assemblyhands-table3",
        "AssemblyHands, Table 3: an unseen rig (Desktop Activities)",
        _COLUMNS,
        (
            _row(TRIANGULATED, 49.21, 23.9),
            _row(ALGEBRAIC, None, None),
            _row(_R1, 21.20, 51.3),
            _row(_R2, 14.57, 67.2),
            _row(_R3, 13.38, 70.4),
        ),
        _EFFECTS,
    ),
}
