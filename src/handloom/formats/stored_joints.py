"""`StoredJoints`: what any other tracker left in a file, brought into our joint order, hands and metres."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.skeleton import HANDS, JOINT_ORDERS, SOURCE_JOINT_COUNTS, STAND_INS, reorder

FORMAT, VERSION = "handloom-joints", 1
HEADER_FIELDS = ("format", "version", "order", "unit", "space", "frame_rate")
SPACES = ("camera", "root_relative", "world")
_UNITS_PER_METRE = {"m": 1.0, "cm": 100.0, "mm": 1000.0}


@dataclass(frozen=True, eq=False)
class StoredJoints:
    """Joints of both hands over T frames. Axis 1 is the hand: 0 left, 1 right; 21 joints in our order.

    A joint is valid where its 3D position exists, or its 2D position in a file without 3D. Under invalid
    joints all coordinates are NaN and the confidence is 0.

    Attributes:
        valid, confidence: per joint; confidence is 1 where the file has none.
        frames: video frame of each row, strictly increasing, gaps allowed; None if the file gives times only.
        times_s: time of each row, strictly increasing; None if the file gives frame numbers only.
        keypoints_px: image positions, or None.
        joints_m: positions in metres, or None.
        space: of joints_m: "camera", "world", or "root_relative" (camera axes, unknown position).
        zero_hands: hands that were all zeros in the file, which some trackers write for a hand that they did
            not find; they are not valid.
    """

    valid: Bool[np.ndarray, "T 2 21"]
    confidence: Float[np.ndarray, "T 2 21"]
    frames: Int[np.ndarray, "T"] | None
    times_s: Float[np.ndarray, "T"] | None
    keypoints_px: Float[np.ndarray, "T 2 21 2"] | None
    joints_m: Float[np.ndarray, "T 2 21 3"] | None
    space: str | None
    zero_hands: int = 0

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.valid)


@dataclass(frozen=True)
class Header:
    """What the numbers of a joints file mean: joint order, unit, space, and frames per second if given."""

    order: str
    unit: str | None
    space: str | None
    frame_rate: float | None

    @property
    def joint_count(self) -> int:
        """Joints per hand in the file."""
        return SOURCE_JOINT_COUNTS[self.order]


def read_header(path: Path, found: Mapping[str, Any], order: str | None, unit: str | None, space: str | None) -> Header:
    """The header of a file, completed by what the caller knows.

    Raises:
        InputError: another format or version, an unknown or missing order, or file and caller disagree.
    """
    if found.get("format", FORMAT) != FORMAT:
        raise InputError(f'{path}: "format" must be "{FORMAT}", found {found["format"]!r}')
    if found.get("version", VERSION) != VERSION:
        raise InputError(f"{path}: this Handloom reads version {VERSION} of {FORMAT}, found {found['version']!r}")
    order = _agreed(path, "order", found.get("order"), order, JOINT_ORDERS)
    if order is None:
        raise InputError(f'{path} does not say its joint "order"; give one of {", ".join(sorted(JOINT_ORDERS))}')
    rate = found.get("frame_rate")
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise InputError(f"{path}: frame_rate must be a positive number, found {rate!r}")
    return Header(
        order,
        _agreed(path, "unit", found.get("unit"), unit, _UNITS_PER_METRE),
        _agreed(path, "space", found.get("space"), space, SPACES),
        None if rate is None else float(rate),
    )


def refuse_unknown(path: Path, place: str, found: Iterable[str], known: Iterable[str]) -> None:
    """A misspelled name must not silently lose data. Raises InputError."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise InputError(f"{path}: unknown {place} {', '.join(unknown)}; known: {', '.join(known)}")


def assemble(
    path: Path,
    header: Header,
    *,
    frames: Int[np.ndarray, "T"] | None,
    times_s: Float[np.ndarray, "T"] | None,
    keypoints: Float[np.ndarray, "T 2 joints 2"] | None,
    joints: Float[np.ndarray, "T 2 joints 3"] | None,
    confidence: Float[np.ndarray, "T 2 joints"] | None,
    valid: Bool[np.ndarray, "T 2 joints"] | None = None,
) -> StoredJoints:
    """Check arrays in the file's own order and unit, and bring them into ours. The shapes agree already.

    Raises:
        InputError: nothing stored, no unit or space for 3D joints, times or frames that do not increase,
            infinite coordinates, confidence outside 0 ... 1.
    """
    coordinates = keypoints if joints is None else joints
    if coordinates is None:
        raise InputError(f"{path} holds neither 2D keypoints nor 3D joints")
    if joints is not None and (header.unit is None or header.space is None):
        missing, choices = ("space", SPACES) if header.space is None else ("unit", tuple(_UNITS_PER_METRE))
        raise InputError(f'{path} holds 3D joints but does not say their "{missing}"; give one of {", ".join(choices)}')
    if frames is None and times_s is None:
        frames = np.arange(len(coordinates))
    if frames is not None:
        _check_increasing(path, "frame", frames)
        if len(frames) and frames[0] < 0:
            raise InputError(f"{path}: frame numbers start at 0, found {frames[0]}")
        if header.frame_rate is not None and times_s is None:
            times_s = frames / header.frame_rate
    if times_s is not None:
        _check_increasing(path, "time", times_s)

    labels = np.arange(len(coordinates)) if frames is None else frames
    for name, array in (("keypoints_px", keypoints), ("joints", joints)):
        if array is not None:
            _refuse(
                path,
                name,
                np.isinf(array).any(-1),
                labels,
                "is infinite; mark a missing joint with NaN or null",
            )

    present = np.isfinite(coordinates).all(-1)
    present &= True if valid is None else valid
    present[..., list(STAND_INS.get(header.order, ()))] = False
    # Trackers that know no missing joint write zeros for it, with confidence 0.
    if confidence is not None:
        present &= ~((coordinates == 0).all(-1) & (confidence == 0))
    zero = present.any(-1) & ((coordinates == 0).all(-1) | ~present).all(-1)
    present[zero] = False
    if confidence is None:
        confidence = present.astype(np.float64)
    outside = present & ~((confidence >= 0) & (confidence <= 1))
    _refuse(path, "confidence", outside, labels, "must lie in 0 ... 1")
    confidence = np.where(present, confidence, 0)

    metres = None if joints is None else joints / _UNITS_PER_METRE[str(header.unit)]
    return StoredJoints(
        valid=reorder(present[..., None], header.order)[..., 0],
        confidence=reorder(confidence[..., None], header.order)[..., 0],
        frames=frames,
        times_s=times_s,
        keypoints_px=_wiped(keypoints, present, header.order),
        joints_m=_wiped(metres, present, header.order),
        space=None if joints is None else header.space,
        zero_hands=int(zero.sum()),
    )


def _wiped(array: np.ndarray | None, present: np.ndarray, order: str) -> np.ndarray | None:
    return None if array is None else reorder(np.where(present[..., None], array, np.nan), order)


def _agreed(path: Path, name: str, in_file: Any, given: str | None, known: Iterable[str]) -> str | None:
    for value in (in_file, given):
        if value is not None and str(value) not in known:
            raise InputError(f"{path}: unknown {name} {value!r}; known: {', '.join(sorted(known))}")
    if None not in (in_file, given) and in_file != given:
        raise InputError(f'{path} says its {name} is "{in_file}", but "{given}" was given; correct one of the two')
    return given if in_file is None else str(in_file)


def _check_increasing(path: Path, name: str, values: np.ndarray) -> None:
    rising = np.diff(values) > 0
    if not np.isfinite(values).all():
        raise InputError(f"{path}: the {name} of row {int(np.argmin(np.isfinite(values)))} is not finite")
    if not rising.all():
        row = int(np.argmin(rising)) + 1
        fault = "appears twice" if values[row] == values[row - 1] else f"comes after {values[row - 1]}"
        raise InputError(f"{path}: {name} {values[row]} in row {row} {fault}; {name}s must increase")


def _refuse(path: Path, name: str, bad: np.ndarray, labels: np.ndarray, fault: str) -> None:
    if bad.any():
        row, hand, joint = np.argwhere(bad)[0]
        raise InputError(
            f"{path}: {name} of frame {labels[row]}, {HANDS[hand]} hand, joint {joint} {fault} ({int(bad.sum())} such)"
        )
