"""One motion as several: faster, slower, and with left and right exchanged. Recordings of devices are short."""

from dataclasses import replace

import numpy as np

from handloom.datasets.motions import MotionRecording, motion_of_track
from handloom.geometry.motion_features import hand_motion
from handloom.hands import HandTrack

SPEEDS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.45, 1.6)
_MIRROR = np.array([-1.0, 1.0, 1.0])


def variants_of_track(track: HandTrack, name: str) -> list[MotionRecording]:
    """A track at 30 frames per second, at each of `SPEEDS`, as it is and in the mirror; labels are left out.

    Raises:
        InputError: as `motion_of_track`.
    """
    found = []
    for speed in SPEEDS:
        start = track.times_s[:1]
        retimed = replace(track, times_s=start + (track.times_s - start) / speed, actions=())
        recording = motion_of_track(retimed, f"{name} x {speed:g}")
        found += [recording, mirrored(recording)]
    return found


def mirrored(recording: MotionRecording) -> MotionRecording:
    """What a mirror shows: the left hand is a right one, and the other way about."""
    joints = recording.joints_m[:, ::-1] * _MIRROR
    known = np.isfinite(joints).all(-1)
    return replace(recording, name=f"{recording.name}, mirrored", motion=hand_motion(joints, known), joints_m=joints)
