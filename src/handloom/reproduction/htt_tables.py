"""Tables 1 to 5 and Figures 4 and 5 of HTT (Wen et al., CVPR 2023)."""

from collections.abc import Callable, Mapping
from typing import Any

from handloom.reproduction.tables import Column, Effect, Row, Setting, Table

FULL = Setting("full", {})
"""t = 16, T = 128, cascaded, block A reads all three."""


def _window(t: int) -> Setting:
    return FULL if t == 16 else Setting(f"t{t}", {"pose_window": t})


def _span(T: int) -> Setting:
    return FULL if T == 128 else Setting(f"T{T}", {"clip_frames": T})


_PARALLEL = Setting("parallel", {"cascaded": False})
_NO_OBJECT = Setting("no-object", {"use_object": False})
_NO_POSE = Setting("no-pose", {"use_pose": False})
_NO_FEATURE = Setting("no-feature", {"use_feature": False})


def _pose(hand: str, space: str, what: str) -> Callable[[Mapping[str, Any]], float | None]:
    def value(scores: Mapping[str, Any]) -> float | None:
        rows = (row for row in scores["pose"] if (row["hand"], row["space"]) == (hand, space))
        row = next(rows, None)
        return None if row is None else row[what]["value"]

    return value


def _accuracy(scores: Mapping[str, Any]) -> float | None:
    share = scores.get("action", {}).get("top_1")
    return None if share is None else 100 * share


def _both(space: str, short: str, what: str, hands: tuple[str, ...]) -> tuple[Column, ...]:
    name, digits = (f"AUC{short}", 3) if what == "auc" else (f"MEPE{short} mm", 2)
    sides = {"left": " L", "right": " R"} if len(hands) > 1 else {"right": ""}
    return tuple(Column(name + sides[hand], _pose(hand, space, what), digits) for hand in hands)


_BOTH, _RIGHT = ("left", "right"), ("right",)
_ACCURACY = Column("accuracy %", _accuracy)


def _pose_columns(hands: tuple[str, ...]) -> tuple[Column, ...]:
    camera, aligned = ("camera", ""), ("root-aligned", "-RA")
    return tuple(
        column for space in (camera, aligned) for what in ("auc", "mepe") for column in _both(*space, what, hands)
    )


_T4_H2O = {
    1: (0.563, 0.551, 40.12, 40.62, 0.648, 0.590, 17.97, 21.22),
    8: (0.607, 0.600, 35.91, 36.00, 0.674, 0.629, 16.58, 18.89),
    16: (0.614, 0.604, 35.02, 35.63, 0.674, 0.648, 16.59, 17.91),
    32: (0.594, 0.573, 36.78, 38.48, 0.676, 0.650, 16.56, 17.85),
    64: (0.599, 0.567, 36.47, 39.02, 0.684, 0.643, 16.23, 18.10),
    128: (0.599, 0.564, 36.41, 39.36, 0.673, 0.636, 16.71, 18.66),
}
_T4_FPHA = {
    1: (0.776, 18.78, 0.707, 15.01),
    8: (0.802, 16.54, 0.750, 12.77),
    16: (0.810, 15.81, 0.763, 12.13),
    32: (0.805, 16.14, 0.766, 11.96),
    64: (0.805, 16.19, 0.767, 11.92),
    128: (0.800, 16.73, 0.761, 12.20),
}
_T5 = (
    ("T = 16", _span(16), 74.38, 90.96),
    ("T = 32", _span(32), 79.34, 91.65),
    ("T = 64", _span(64), 78.51, 92.35),
    ("T = 128", FULL, 86.36, 94.09),
    ("parallel", _PARALLEL, 80.17, 93.22),
    ("no object label", _NO_OBJECT, 82.65, 93.57),
    ("no hand pose", _NO_POSE, 85.12, 91.65),
    ("no image feature", _NO_FEATURE, 75.21, 90.26),
)


def _table4(hands: tuple[str, ...], paper: Mapping[int, tuple[float, ...]]) -> Table:
    columns = _pose_columns(hands)
    camera = tuple(column.name for column in columns if column.name.startswith("MEPE mm"))
    aligned = tuple(column.name for column in columns if column.name.startswith("MEPE-RA"))
    return Table(
        "htt-table4",
        "HTT, Table 4: the time span t of block P",
        columns,
        tuple(Row(f"t = {t}", _window(t), values) for t, values in paper.items()),
        (
            Effect("MEPE: t = 16 against t = 1", "t = 16", "t = 1", camera, relative=True),
            Effect("MEPE-RA: t = 16 against t = 1", "t = 16", "t = 1", aligned, relative=True),
            Effect("MEPE: t = 128 against t = 16", "t = 128", "t = 16", camera, relative=True),
        ),
    )


def _table5(place: int) -> Table:
    rows = tuple(Row(label, setting, (paper[place],)) for label, setting, *paper in _T5)
    effects = (
        Effect("T = 128 against T = 16, points", "T = 128", "T = 16", (_ACCURACY.name,)),
        *(
            Effect(f"{label} against all, points", label, "T = 128", (_ACCURACY.name,))
            for label in ("parallel", "no object label", "no hand pose", "no image feature")
        ),
    )
    return Table("htt-table5", "HTT, Table 5: the time span T, and what block A reads", (_ACCURACY,), rows, effects)


def _full(name: str, title: str, columns: tuple[Column, ...], paper: tuple[float, ...]) -> Table:
    return Table(name, title, columns, (Row("HTT", FULL, paper),))


def _only(hands: tuple[str, ...], what: str, values: tuple[float, ...]) -> tuple[tuple[Column, ...], tuple[float, ...]]:
    pairs = [pair for pair in zip(_pose_columns(hands), values) if pair[0].name.startswith(what)]
    return tuple(column for column, _ in pairs), tuple(value for _, value in pairs)


TABLES: dict[str, dict[int, Table]] = {
    "htt-table1": {1: _full("htt-table1", "HTT, Table 1: actions on FPHA", (_ACCURACY,), (94.09,))},
    "htt-table2": {2: _full("htt-table2", "HTT, Table 2: hand poses on H2O", *_only(_BOTH, "MEPE", _T4_H2O[16]))},
    "htt-table3": {2: _full("htt-table3", "HTT, Table 3: actions on H2O", (_ACCURACY,), (86.36,))},
    "htt-table4": {1: _table4(_RIGHT, _T4_FPHA), 2: _table4(_BOTH, _T4_H2O)},
    "htt-table5": {1: _table5(1), 2: _table5(0)},
    "htt-fig4": {1: _full("htt-fig4", "HTT, Figure 4: 3D PCK on FPHA", *_only(_RIGHT, "AUC", _T4_FPHA[16]))},
    "htt-fig5": {2: _full("htt-fig5", "HTT, Figure 5: 3D PCK on H2O", *_only(_BOTH, "AUC", _T4_H2O[16]))},
}
"""By name, and by the number of hands that a store labels: FPHA has the right one alone."""
