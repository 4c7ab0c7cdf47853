"""Optional clean-up of a whole record: smoothing, constant bones, another scale."""

from dataclasses import replace

import numpy as np

from handloom.geometry import lift_keypoints
from handloom.hands import HandTrack
from handloom.skeleton import BONES, HANDS, JOINT_COUNT
from handloom.smoothing import smooth_zero_phase
from handloom.tracking.options import TrackOptions


def postprocessed(track: HandTrack, options: TrackOptions) -> HandTrack:
    """Apply what the options ask for."""
    if options.constant_bones:
        track = with_constant_bones(track)
    if options.smooth_hz is not None:
        track = smoothed(track, options.smooth_hz)
    return track


def smoothed(track: HandTrack, cutoff_hz: float) -> HandTrack:
    """Remove motion faster than `cutoff_hz`, without delay. Keypoints become the projection of the joints."""
    joints = np.array(track.joints_m, np.float64)
    for hand in range(len(HANDS)):
        for joint in range(JOINT_COUNT):
            joints[:, hand, joint] = smooth_zero_phase(track.times_s, joints[:, hand, joint], cutoff_hz)
    return with_joints(track, joints)


def with_constant_bones(track: HandTrack) -> HandTrack:
    """Give every bone its median length over the clip, in its own direction; then put the hand on its keypoints."""
    joints = np.array(track.joints_m, np.float64)
    for parent, child in BONES:
        bone = track.joints_m[:, :, child] - track.joints_m[:, :, parent]
        length = np.linalg.norm(bone, axis=-1)
        if not np.isfinite(length).any():
            continue
        joints[:, :, child] = joints[:, :, parent] + bone * (np.nanmedian(length) / length)[..., None]
    if track.camera is not None and track.frame == "camera":
        relative = joints - joints[:, :, :1]
        lift = lift_keypoints(track.camera, track.keypoints_px.astype(np.float64), relative, track.confidence)
        joints = np.where(lift.valid[..., None, None], relative + lift.translation[..., None, :], joints)
    return with_joints(track, joints)


def with_joints(track: HandTrack, joints_m: np.ndarray) -> HandTrack:
    """The record with other joints; keypoints become their projection where there is a camera."""
    valid = track.valid & np.isfinite(joints_m).all(-1)
    keypoints = track.keypoints_px
    if track.camera is not None and track.frame == "camera":
        keypoints, seen = track.camera.project(joints_m)
        valid &= seen
    return replace(track, joints_m=joints_m, valid=valid, keypoints_px=keypoints)
