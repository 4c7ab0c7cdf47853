"""Stored joints as JSON: a list of frames, each with a list of hands."""

from pathlib import Path
from typing import Any

import numpy as np

from handloom.errors import InputError
from handloom.formats.stored_joints import (
    FORMAT,
    HEADER_FIELDS,
    Header,
    StoredJoints,
    assemble,
    read_header,
    refuse_unknown,
)
from handloom.formats.text_files import parse_json, read_text
from handloom.skeleton import HANDS

_FILE_FIELDS = (*HEADER_FIELDS, "times_s", "frames")
_FRAME_FIELDS = ("frame", "time_s", "hands")
_HAND_FIELDS = ("side", "keypoints_px", "joints", "confidence")

Hand = tuple[int, int, dict[str, Any]]
"""Row, side (0 left, 1 right), and the fields as they stand in the file."""


def read_joints_json(path: Path, order: str | None, unit: str | None, space: str | None) -> StoredJoints:
    """Read the JSON layout; see `formats.joints.read_joints`."""
    document = parse_json(path, read_text(path))
    if "format" not in document:
        raise InputError(f'{path} has no "format": "{FORMAT}"; is it a file of stored joints? See docs/formats.md')
    refuse_unknown(path, "field", document, _FILE_FIELDS)
    header = read_header(path, document, order, unit, space)
    entries = document.get("frames")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f'{path}: "frames" must be a list of objects, one per frame')

    hands = _hands(path, entries)
    count, joints = len(entries), header.joint_count
    frames = _per_frame(path, entries, "frame")
    if frames is not None:
        broken = frames[~(np.abs(frames) < 2**53) | (frames != np.floor(frames))]
        if len(broken):
            raise InputError(f"{path}: frame numbers must be whole, found {broken[0]:g}")
    return assemble(
        path,
        header,
        frames=None if frames is None else frames.astype(np.int64),
        times_s=_times(path, document, entries),
        keypoints=_stacked(path, header, hands, "keypoints_px", np.full((count, 2, joints, 2), np.nan)),
        joints=_stacked(path, header, hands, "joints", np.full((count, 2, joints, 3), np.nan)),
        confidence=_confidence(path, header, hands, count),
    )


def _hands(path: Path, entries: list[dict[str, Any]]) -> list[Hand]:
    hands: list[Hand] = []
    for row, entry in enumerate(entries):
        if not entry.keys() <= set(_FRAME_FIELDS):
            refuse_unknown(path, f"field in frames[{row}]:", entry, _FRAME_FIELDS)
        found = entry.get("hands")
        if not isinstance(found, list) or not all(isinstance(hand, dict) for hand in found):
            raise InputError(
                f'{path}: frames[{row}] must have "hands", a list of objects; an empty list if none was seen'
            )
        sides = [hand.get("side") for hand in found]
        for side, hand in zip(sides, found):
            if side not in HANDS:
                raise InputError(
                    f'{path}: the side of a hand in frames[{row}] must be "left" or "right", found {side!r}'
                )
            if not hand.keys() <= set(_HAND_FIELDS):
                refuse_unknown(path, f"field in frames[{row}], {side} hand:", hand, _HAND_FIELDS)
            hands.append((row, HANDS.index(side), hand))
        if len(set(sides)) < len(sides):
            twice = next(side for side in HANDS if sides.count(side) > 1)
            raise InputError(f"{path}: frames[{row}] holds two {twice} hands; a frame holds at most one of each side")
    return hands


def _stacked(path: Path, header: Header, hands: list[Hand], name: str, array: np.ndarray) -> np.ndarray | None:
    """Fill (T, 2, joints, dim) from the hands that have the field; None if none has."""
    having = [hand for hand in hands if hand[2].get(name) is not None]
    if not having:
        return None
    shape = array.shape[2:]
    values = [fields[name] for _, _, fields in having]
    block = _numbers(values)
    if block is None or block.shape[1:] != shape:
        for row, side, fields in having:
            one = _numbers(fields[name])
            if one is None or one.shape != shape:
                raise InputError(
                    f"{path}: {name} of frames[{row}], {HANDS[side]} hand must have shape {shape} for order "
                    f"{header.order!r}, found {'ragged rows or text' if one is None else one.shape}"
                )
    rows, sides = np.array([row for row, _, _ in having]), np.array([side for _, side, _ in having])
    array[rows, sides] = block
    return array


def _confidence(path: Path, header: Header, hands: list[Hand], count: int) -> np.ndarray | None:
    """One number may stand for the whole hand; a hand without confidence has 1."""
    spread: list[Hand] = []
    for row, side, fields in hands:
        value = 1.0 if fields.get("confidence") is None else fields["confidence"]
        value = [value] * header.joint_count if isinstance(value, int | float) else value
        spread.append((row, side, {"confidence": value}))
    return _stacked(path, header, spread, "confidence", np.zeros((count, 2, header.joint_count)))


def _per_frame(path: Path, entries: list[dict[str, Any]], name: str) -> np.ndarray | None:
    values = [entry[name] for entry in entries if name in entry]
    if not values:
        return None
    if len(values) < len(entries):
        row = next(row for row, entry in enumerate(entries) if name not in entry)
        raise InputError(f'{path}: frames[{row}] has no "{name}", but other frames have; give it in all or none')
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{path}: {name} of frames[{row}] must be a number, found {value!r}")
    return np.array(values, dtype=np.float64)


def _times(path: Path, document: dict[str, Any], entries: list[dict[str, Any]]) -> np.ndarray | None:
    in_frames = _per_frame(path, entries, "time_s")
    if "times_s" not in document:
        return in_frames
    if in_frames is not None:
        raise InputError(f'{path} gives times in "times_s" and in every frame; keep one')
    times = _numbers(document["times_s"])
    if times is None or times.shape != (len(entries),):
        found = "something else" if times is None else f"shape {times.shape}"
        raise InputError(f'{path}: "times_s" must be a list of {len(entries)} numbers, one per frame, found {found}')
    return times


def _numbers(values: Any) -> np.ndarray | None:
    """A float array, null as NaN; None for ragged lists and for anything but numbers."""
    try:
        array = np.array(values)
    except ValueError:
        return None
    if array.dtype == object:
        try:
            array = np.array(values, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            return None
    return array.astype(np.float64) if array.dtype.kind in "fiu" else None
