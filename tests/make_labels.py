"""A made-up track that also holds objects and actions, and what is true of it."""

from dataclasses import replace

import numpy as np

from handloom.hands import ActionSegment, HandTrack
from make_track import CAMERA, make_track

OBJECTS = ("milk", "spray büchse", "</script><b>cup")


def make_truth(frames: int = 120) -> HandTrack:
    """Milk for the first half, then nothing; two actions, one after the other."""
    track = make_track(frames, gaps=False, noise_m=0)
    held = np.full((frames, 3), np.nan)
    held[: frames // 2] = [1, 0, 0]
    end = track.times_s[-1] + 1 / 30
    actions = (ActionSegment("take milk", 0, end / 2), ActionSegment("pour & spill", end / 2, end))
    return replace(track, object_names=OBJECTS, object_probabilities=held, actions=actions)


def make_found(frames: int = 120, offset_m: float = 0.01) -> HandTrack:
    """The truth moved away from the camera; the left hand is lost for a while, labels are partly wrong and unsure."""
    truth = make_truth(frames)
    held = np.tile([0.7, 0.2, 0.1], (frames, 1))
    held[frames // 4 : frames // 2] = [0.1, 0.3, 0.6]
    held[frames * 3 // 4 :] = np.nan
    joints = truth.joints_m + np.array([0, 0, offset_m])
    valid = truth.valid.copy()
    valid[10:20, 0] = False
    end = truth.actions[-1].end_s
    actions = (
        ActionSegment("take milk", 0, end / 4, 0.9),
        ActionSegment("</script><i>open", end / 4, end * 3 / 4, 0.4),
        ActionSegment("pour & spill", end / 2, end, 0.8),
    )
    pixels, _ = CAMERA.project(joints.astype(np.float64))
    return replace(truth, joints_m=joints, valid=valid, keypoints_px=pixels, object_probabilities=held, actions=actions)
