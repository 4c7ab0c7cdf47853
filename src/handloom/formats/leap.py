"""Recordings of Leap Motion controllers as LeapJS Playback writes them: .json, or .json.xz.

Lengths are millimetres in the controller's frame (x right, y up, z towards the user), which becomes our world frame
(x right, y down, z away from the user). A thumb has no metacarpal there: its "mcp" is our base of the thumb.

The wrist is not recorded. It is placed behind the mean knuckle, against the hand's direction, by 1.9 times the first
phalanx of the middle finger, which is an average hand's proportion; its confidence is halved.
"""

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.hands import HandTrack, ScaleSource
from handloom.skeleton import HANDS, JOINT_COUNT, KNUCKLES, WRIST

WRIST_PER_PHALANX = 1.9
WRIST_CONFIDENCE = 0.5
_PARTS = ("mcpPosition", "pipPosition", "dipPosition", "tipPosition")
_MOST_BYTES = 1 << 30


def is_leap(path: Path) -> bool:
    """Whether a file is named as such a recording is."""
    return path.name.lower().endswith((".json", ".json.xz"))


def read_leap(path: Path) -> HandTrack:
    """A recording as a track in the world frame. Of several hands of one side the surest counts.

    Raises:
        InputError: not there, damaged, not such a recording; names the frame.
    """
    frames = _frames(path)
    T = len(frames)
    times, joints = np.zeros(T), np.full((T, 2, JOINT_COUNT, 3), np.nan)
    confidence = np.zeros((T, 2, JOINT_COUNT))
    for t, frame in enumerate(frames):
        try:
            times[t] = frame["timestamp"] / 1e6
            surest = np.zeros(2)
            for hand in frame.get("hands", []):
                side, sure = HANDS.index(hand["type"]), float(np.clip(hand.get("confidence", 1.0), 0, 1))
                fingers = [p for p in frame.get("pointables", []) if p["handId"] == hand["id"] and not p.get("tool")]
                if sure >= surest[side] and sorted(p["type"] for p in fingers) == [0, 1, 2, 3, 4]:
                    surest[side] = sure
                    joints[t, side] = _hand(hand, fingers)
                    confidence[t, side] = sure
        except (KeyError, TypeError, ValueError, AttributeError) as failure:
            raise InputError(f"{path}, frame {t}: no frame of a Leap Motion recording ({failure!r})") from None
    confidence[..., WRIST] *= WRIST_CONFIDENCE
    if (np.diff(times) <= 0).any():
        late = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 1
        raise InputError(f"{path}, frame {late}: its time is not later than that of the frame before")
    valid = np.isfinite(joints).all(-1)
    return HandTrack(
        times_s=times - times[0],
        joints_m=joints,
        valid=valid,
        confidence=np.where(valid, confidence, 0),
        keypoints_px=np.full((T, 2, JOINT_COUNT, 2), np.nan),
        frame="world",
        scale_source=ScaleSource.TRACKER,
    )


def _hand(hand: dict[str, Any], fingers: list[dict[str, Any]]) -> Float[np.ndarray, "21 3"]:
    joints = np.full((JOINT_COUNT, 3), np.nan)
    for finger in fingers:
        base = 1 + 4 * finger["type"]
        joints[base : base + 4] = [_point(finger[part]) for part in _PARTS]
    phalanx = float(np.linalg.norm(joints[10] - joints[9]))
    joints[WRIST] = joints[list(KNUCKLES)].mean(0) - WRIST_PER_PHALANX * phalanx * _point(hand["direction"])
    return joints * [0.001, -0.001, -0.001]


def _point(values: Any) -> Float[np.ndarray, "3"]:
    point = np.array(values, np.float64)
    if point.shape != (3,):
        raise ValueError(f"a position needs three numbers, found {values!r}")
    return point


def _frames(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".xz":
            with lzma.open(path) as file:
                content = file.read(_MOST_BYTES)
        else:
            content = path.read_bytes()
        recording = json.loads(content)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except (OSError, lzma.LZMAError, EOFError, ValueError) as failure:
        raise InputError(f"{path} is damaged or no JSON: {failure}") from None
    frames = recording.get("frames") if isinstance(recording, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} is no recording of LeapJS Playback: expected an object with a list of frames")
    return frames
