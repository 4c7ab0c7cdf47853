"""Optional clean-up of a whole record: smoothing, constant bones, true size."""

from dataclasses import replace

import numpy as np

from handloom.errors import InputError
from handloom.geometry import lift_keypoints
from handloom.hands import HandTrack, ScaleSource
from handloom.skeleton import BONES, HANDS, JOINT_COUNT, MIDDLE_MCP, WRIST
from handloom.smoothing import smooth_zero_phase
from handloom.tracking.options import TrackOptions


def postprocessed(track: HandTrack, options: TrackOptions) -> HandTrack:
    """Apply what the options ask for: smoothing, then constant bones, then the true size."""
    if options.smooth_hz is not None:
        track = smoothed(track, options.smooth_hz)
    if options.constant_bones:
        track = with_constant_bones(track)
    if options.hand_size_mm is not None:
        track = with_hand_size(track, options.hand_size_mm / 1000)
    return track


def with_hand_size(track: HandTrack, size_m: float) -> HandTrack:
    """Scale the scene about its camera so that the median distance from wrist to middle knuckle is `size_m`.

    Both hands count together: they belong to one person. Keypoints stay where they are.

    Raises:
        InputError: the record is in world space, where there is no camera to scale about.
    """
    if track.frame == "world":
        raise InputError("the hand size scales a scene about its camera; these joints are in world space")
    size = np.linalg.norm(track.joints_m[:, :, MIDDLE_MCP] - track.joints_m[:, :, WRIST], axis=-1)
    factor = size_m / np.nanmedian(size) if np.isfinite(size).any() else 1.0
    return replace(track, joints_m=track.joints_m * factor, scale_source=ScaleSource.HAND_SIZE)


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
