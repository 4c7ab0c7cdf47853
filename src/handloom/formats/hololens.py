"""Hand tracking of a HoloLens 2 as Unity apps log it: a CSV with 26 joints of both hands per row, and gesture labels.

Columns without a suffix are the right hand, those with ".1" the left one; a joint is "(x/ y/ z)" in metres, 0 where
the hand is not tracked. Unity's world has y up and is left-handed; ours has y down.
"""

import csv
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.hands import ActionSegment, HandTrack, ScaleSource
from handloom.skeleton import JOINT_COUNT, LEFT, RIGHT

_FINGER = ("Knuckle", "MiddleJoint", "DistalJoint", "Tip")
COLUMNS = (
    "Wrist",
    *(f"Thumb{part}" for part in ("MetacarpalJoint", "ProximalJoint", "DistalJoint", "Tip")),
    *(f"{finger}{part}" for finger in ("Index", "Middle", "Ring", "Pinky") for part in _FINGER),
)
"""Our 21 joints under their names there; palm and the fingers' metacarpals have no place."""
SUFFIXES = {LEFT: ".1", RIGHT: ""}
NO_GESTURE = ("8", "9")
"""Labels of frames in which nothing is shown."""


def is_hololens(path: Path) -> bool:
    """Whether a file is named as such a log is."""
    return path.suffix.lower() == ".csv"


def read_hololens(path: Path) -> HandTrack:
    """A log as a track in the world frame, with its gestures as actions "gesture N".

    Raises:
        InputError: not there, not such a log, or a value that is none; names row and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            names = reader.fieldnames or []
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise InputError(f"{path} is damaged or no CSV: {failure}") from None
    wanted = ["Time", *(name + suffix for suffix in SUFFIXES.values() for name in COLUMNS)]
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"{path} is no log of HoloLens hand tracking: it has no column {missing[0]!r}")
    if not rows:
        raise InputError(f"{path} holds no rows")
    T = len(rows)
    joints, times = np.full((T, 2, JOINT_COUNT, 3), np.nan), np.zeros(T)
    for t, row in enumerate(rows):
        try:
            times[t] = datetime.fromisoformat(row["Time"]).timestamp()
        except (ValueError, TypeError):
            raise InputError(f"{path}, row {t + 2}: Time is no time, found {row['Time']!r}") from None
        for hand, suffix in SUFFIXES.items():
            for joint, name in enumerate(COLUMNS):
                joints[t, hand, joint] = _position(path, t, name + suffix, row[name + suffix])
    if (np.diff(times) <= 0).any():
        late = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 1
        raise InputError(f"{path}, row {late + 2}: its time is not later than that of the row before")
    times -= times[0]
    valid = np.isfinite(joints).all(-1)
    return HandTrack(
        times_s=times,
        joints_m=joints,
        valid=valid,
        confidence=valid.astype(np.float32),
        keypoints_px=np.full((T, 2, JOINT_COUNT, 2), np.nan),
        frame="world",
        actions=_gestures([row.get("Label") or "" for row in rows], times),
        scale_source=ScaleSource.TRACKER,
    )


def _position(path: Path, t: int, name: str, text: str | None) -> Float[np.ndarray, "3"]:
    if text is not None and text.strip() in ("0", "0.0", ""):
        return np.full(3, np.nan)
    try:
        x, y, z = (float(number) for number in (text or "").strip("() ").split("/"))
    except ValueError:
        raise InputError(f"{path}, row {t + 2}, column {name!r}: expected (x/ y/ z) or 0, found {text!r}") from None
    return np.array([x, -y, z])


def _gestures(labels: list[str], times: Float[np.ndarray, "T"]) -> tuple[ActionSegment, ...]:
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    segments, start = [], 0
    for label, run in groupby(labels):
        end = start + len(list(run))
        number = label.removesuffix(".0")
        if number and number not in NO_GESTURE:
            last = float(times[end]) if end < len(times) else float(times[-1] + step)
            segments.append(ActionSegment(f"gesture {number}", float(times[start]), last))
        start = end
    return tuple(segments)
