"""Labelled segments as a verb classifier sees them: joints of both hands, with the frames around, at 30 per second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.datasets.motions import FRAME_RATE, MotionRecording, motion_of_track, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_write import INFO
from handloom.errors import InputError
from handloom.formats.tracks import read_any_track


@dataclass(frozen=True, eq=False)
class VerbSegment:
    """One action.

    Attributes:
        recording, start: whose, and its first frame there.
        verb: its true name.
        joints_m: of the segment and of the frames around it, world frame; NaN where missing.
        before, after: how many of the frames are context.
    """

    recording: str
    start: int
    verb: str
    joints_m: Float[np.ndarray, "T 2 21 3"]
    before: int
    after: int

    def __len__(self) -> int:
        """Frames without context."""
        return len(self.joints_m) - self.before - self.after


Poses = Mapping[str, Float[np.ndarray, "T 2 21 3"]]
"""Joints of recordings by their name, at 30 frames per second, NaN where missing."""


def verb_segments(
    recordings: Sequence[MotionRecording], verbs: Sequence[str] = (), context: int = 0, poses: Poses | None = None
) -> list[VerbSegment]:
    """All segments with one of the verbs, by default any; with up to `context` frames on both sides.

    Segments in which no joint is known are left out. `poses` are other joints than the recordings' own.

    Raises:
        InputError: no segment has one of the verbs.
    """
    found, known = [], set()
    for recording in recordings:
        for segment in recording.segments:
            known.add(segment.verb)
            start, end = max(segment.start - context, 0), min(segment.end + context, len(recording))
            joints = (recording.joints_m if poses is None else poses[recording.name])[start:end]
            wanted = segment.verb in verbs if verbs else segment.verb != ""
            if wanted and segment.end > segment.start and np.isfinite(joints).any():
                before, after = segment.start - start, end - segment.end
                found.append(VerbSegment(recording.name, segment.start, segment.verb, joints, before, after))
    if not found:
        raise InputError(
            f"no labelled segment has {'a verb' if not verbs else 'one of the verbs ' + ', '.join(verbs)}; "
            f"{len(recordings)} recordings have {', '.join(sorted(known - {''})) or 'none'}"
        )
    return found


def poses_of(recordings: Sequence[MotionRecording], path: Path) -> Poses:
    """What a store, or a folder of results, says of the joints of recordings.

    Args:
        recordings: whose names and lengths count.
        path: a store that has all of them by name; or a folder of results (or files that hold a track), one per
            recording, called as the recording is; "/" in a name is a folder more.

    Raises:
        InputError: a recording is missing, or does not last as long.
    """
    stored = _stored(path) if (path / INFO).exists() else None
    found = {}
    for recording in recordings:
        if stored is None:
            other = motion_of_track(read_any_track(path / recording.name), recording.name)
        elif recording.name in stored:
            other = stored[recording.name]
        else:
            raise InputError(f"{path} has no recording {recording.name}; it has {', '.join(sorted(stored)[:3])} ...")
        if abs(len(other) - len(recording)) > FRAME_RATE:
            raise InputError(
                f"{path}: {recording.name} lasts {len(other) / FRAME_RATE:.1f} s, its labels "
                f"{len(recording) / FRAME_RATE:.1f} s; poses of the whole recording are needed"
            )
        found[recording.name] = other.joints_m[np.minimum(np.arange(len(recording)), len(other) - 1)]
    return found


def network_input(
    joints_m: Float[np.ndarray, "T 2 21 3"], frames: int, step: int, centred: bool
) -> Float[np.ndarray, "3 frames 21 2"]:
    """What MS-G3D is shown: millimetres, every `step`-th frame, cut or looped to `frames` frames.

    Gaps are closed by straight lines; a hand that is never seen lies where the other one begins. `centred` counts from
    the middle of the known joints of the first frame, so that it does not matter where in the room the hands are.
    """
    joints = _filled(joints_m)
    if centred:
        joints = joints - joints[0].mean((0, 1))
    chosen = joints[np.arange(frames) * step % len(joints)]
    return np.asarray(1000 * chosen.transpose(3, 0, 2, 1), np.float32)


def _filled(joints: Float[np.ndarray, "T 2 21 3"]) -> Float[np.ndarray, "T 2 21 3"]:
    known = np.isfinite(joints).all(-1)
    if known.all():
        return joints
    first = joints[known.any((1, 2)).argmax()]
    elsewhere = np.nanmean(first.reshape(-1, 3), axis=0)
    filled, frames = np.empty_like(joints), np.arange(len(joints))
    for hand, joint in np.ndindex(known.shape[1:]):
        rows = np.flatnonzero(known[:, hand, joint])
        for axis in range(3):
            values = joints[rows, hand, joint, axis]
            filled[:, hand, joint, axis] = np.interp(frames, rows, values) if len(rows) else elsewhere[axis]
    return filled


def _stored(poses: Path) -> dict[str, MotionRecording]:
    store = Store(poses)
    splits = sorted({item.split for item in store.recordings if item.split is not None})
    return {recording.name: recording for split in splits for recording in stored_motions([store], split)}
