"""Recordings as motion alone: features at one frame rate, with labels; no pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from handloom.datasets.clips import recordings_of
from handloom.datasets.store import Store, StoredRecording
from handloom.geometry import apply_rigid
from handloom.geometry.motion_features import HandMotion, hand_motion
from handloom.hands import HandTrack
from handloom.resampling import even_times, resample_joints

FRAME_RATE = 30.0
"""At which G-HTT works."""


class MotionSegment(NamedTuple):
    """A labelled stretch of frames, end exclusive; noun and verb of the action are "" if unknown."""

    label: str
    noun: str
    start: int
    end: int
    verb: str = ""


@dataclass(frozen=True, eq=False)
class MotionRecording:
    """One recording.

    Attributes:
        name: of the recording.
        subject: whose hands.
        motion: features at `FRAME_RATE`, world frame.
        joints_m: the joints behind them, NaN where missing.
        segments: those with a label.
    """

    name: str
    subject: str
    motion: HandMotion
    joints_m: Float[np.ndarray, "T 2 21 3"]
    segments: tuple[MotionSegment, ...] = ()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.joints_m)


def stored_motions(stores: Iterable[Store], split: str) -> list[MotionRecording]:
    """The recordings of a split of several stores, in double precision; another rate than 30 is resampled.

    Raises:
        InputError: a store has no such split, or is damaged.
    """
    return [_recording(store, item) for store in stores for item in recordings_of(store, split)]


def motion_of_track(track: HandTrack, name: str, subject: str = "", last: int | None = None) -> MotionRecording:
    """A track as a recording at 30 frames per second, in the world if it says where the camera was.

    Args:
        track: of one frame or more.
        name, subject: of the recording.
        last: keep at most so many frames of its end; they are then counted back from its last frame, which else lies
            up to a frame behind the recording's.
    """
    first_s, last_s = float(track.times_s[0]), float(track.times_s[-1])
    if last is not None:
        count = min(last, len(even_times(first_s, last_s, FRAME_RATE)))
        first_s = last_s - (count - 1) / FRAME_RATE
        # One frame more in front, to interpolate from.
        track = track[max(int(np.searchsorted(track.times_s, first_s)) - 1, 0) :]
    joints, valid = world_joints(track)
    times = even_times(first_s, last_s, FRAME_RATE)
    joints, valid = resample_joints(track.times_s, joints, valid, times)
    ends = [(np.searchsorted(times, [action.start_s - 1e-6, action.end_s - 1e-6]), action) for action in track.actions]
    segments = tuple(MotionSegment(a.label, "", int(start), int(end)) for (start, end), a in ends if end > start)
    return MotionRecording(name, subject, hand_motion(joints, valid), joints, segments)


def world_joints(track: HandTrack) -> tuple[Float[np.ndarray, "T 2 21 3"], Bool[np.ndarray, "T 2 21"]]:
    """Joints in double precision, in the world where the camera's pose is known; else in the camera's frame.

    With camera poses, frames without one have no joints.
    """
    joints = track.joints_m.astype(np.float64)
    if track.frame == "world" or track.world_from_camera is None:
        return joints, track.valid
    known = np.isfinite(track.world_from_camera).all((1, 2))
    moved = apply_rigid(np.where(known[:, None, None], track.world_from_camera, np.eye(4))[:, None], joints)
    return moved, track.valid & known[:, None, None]


def action_vocabulary(recordings: Sequence[MotionRecording]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of all actions and of all their nouns, in alphabetical order."""
    segments = [segment for recording in recordings for segment in recording.segments]
    return tuple(sorted({s.label for s in segments})), tuple(sorted({s.noun for s in segments if s.noun}))


def open_stores(paths: Sequence[Path]) -> list[Store]:
    """The stores of several folders."""
    return [Store(path) for path in paths]


def _recording(store: Store, item: StoredRecording) -> MotionRecording:
    columns = store.columns(item.index, ["hand.joints", "hand.valid"])
    joints, valid = columns["hand.joints"].astype(np.float64), columns["hand.valid"]
    rate = FRAME_RATE / store.layout.fps
    if rate != 1:
        times = np.arange(len(joints)) / store.layout.fps
        joints, valid = resample_joints(times, joints, valid, even_times(0.0, float(times[-1]), FRAME_RATE))
    joints = np.where(valid[..., None], joints, np.nan)
    segments = tuple(
        MotionSegment(s.label, s.noun or "", round(s.start * rate), min(round(s.end * rate), len(joints)), s.verb or "")
        for s in item.segments
        if s.label is not None
    )
    return MotionRecording(item.name, item.subject, hand_motion(joints, valid), joints, segments)
