"""A made-up record: two anatomically plausible hands that move, turn, open and close, with gaps."""

from dataclasses import replace

import numpy as np

from handloom.geometry import Pinhole
from handloom.hands import CameraSource, HandTrack

CAMERA = Pinhole(width=720, height=720, fx=620.0, fy=620.0, cx=359.5, cy=359.5)

# A right hand seen from behind, fingers up: x right, y down, z away from the viewer; metres.
KNUCKLES_M = np.array([[-0.026, -0.088, 0], [-0.004, -0.092, 0], [0.017, -0.086, 0], [0.036, -0.076, 0]])
PHALANGES_M = np.array([[0.043, 0.026, 0.022], [0.047, 0.03, 0.023], [0.043, 0.028, 0.023], [0.034, 0.021, 0.02]])
FAN_RAD = np.radians([-9.0, -1.0, 6.0, 14.0])
THUMB_BASE_M, THUMB_M = np.array([-0.028, -0.024, 0.012]), np.array([0.045, 0.034, 0.028])


def hand_shape(curl: np.ndarray) -> np.ndarray:
    """Joints (T, 21, 3) of a right hand with its wrist at the origin; `curl` (T,) from 0 open to 1 fist."""
    joints = np.zeros((len(curl), 21, 3))
    bend = curl[:, None] * np.radians([68, 92, 55])
    for finger in range(4):
        angle = np.cumsum(bend, axis=1)
        fan = FAN_RAD[finger] * (1 - 0.7 * curl)[:, None]
        along = np.cos(angle)
        direction = np.stack([along * np.sin(fan), -along * np.cos(fan), np.sin(angle)], -1)
        base = 5 + 4 * finger
        joints[:, base] = KNUCKLES_M[finger]
        joints[:, base + 1 : base + 4] = KNUCKLES_M[finger] + np.cumsum(
            direction * PHALANGES_M[finger][:, None], axis=1
        )
    swing = np.radians(-50 + 75 * curl)[:, None] + curl[:, None] * np.radians([0, 25, 50])
    direction = np.stack([np.sin(swing), -np.cos(swing), 0.25 + 0.45 * curl[:, None] + 0 * swing], -1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    joints[:, 1] = THUMB_BASE_M
    joints[:, 2:5] = THUMB_BASE_M + np.cumsum(direction * THUMB_M[:, None], axis=1)
    return joints


def turn(roll: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) about z by `roll`, then about x by `pitch`."""
    zero, one = np.zeros_like(roll), np.ones_like(roll)
    c, s = np.cos(roll), np.sin(roll)
    about_z = np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(-1, 3, 3)
    c, s = np.cos(pitch), np.sin(pitch)
    about_x = np.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).reshape(-1, 3, 3)
    return about_x @ about_z


def make_track(frames: int = 120, rate: float = 30.0, gaps: bool = True, noise_m: float = 0.0005) -> HandTrack:
    """Both hands before an egocentric camera at about half a metre."""
    random = np.random.default_rng(7)
    times = np.arange(frames) / rate
    joints = np.empty((frames, 2, 21, 3))
    for hand, side in enumerate((-1.0, 1.0)):
        phase = 2 * np.pi * times / (2.3 + 0.4 * hand) + 1.3 * hand
        shape = hand_shape(0.42 - 0.4 * np.cos(phase)) * [side, 1, 1]
        shape = shape @ turn(-0.25 * side + 0.3 * np.sin(0.7 * phase), 0.5 + 0.25 * np.cos(0.5 * phase)).swapaxes(1, 2)
        centre = np.stack(
            [
                side * 0.12 + 0.04 * np.sin(0.6 * phase),
                0.1 + 0.03 * np.cos(phase),
                0.52 + 0.06 * np.sin(0.4 * phase),
            ],
            -1,
        )
        joints[:, hand] = shape + centre[:, None]
    joints += random.normal(0, noise_m, joints.shape)
    valid = np.ones((frames, 2, 21), bool)
    if gaps:
        valid[frames * 3 // 10 : frames * 9 // 20, 0] = False
        valid[: frames // 10, 1] = False
        valid[frames * 7 // 10 : frames * 7 // 10 + 2, 1] = False
        valid[frames // 2 :: 17, 1, 20] = False
    confidence = np.clip(0.85 + 0.12 * np.sin(np.arange(frames) / 9)[:, None, None] - 0.04 * np.arange(21) % 0.3, 0, 1)
    pixels, _ = CAMERA.project(joints)
    return HandTrack(
        times_s=times,
        joints_m=joints,
        valid=valid,
        confidence=np.broadcast_to(confidence, valid.shape),
        keypoints_px=pixels,
        camera=CAMERA,
        camera_source=CameraSource.GUESSED,
    )


def moving(positions_m: np.ndarray, times_s: np.ndarray, valid: np.ndarray | None = None) -> HandTrack:
    """Rigid hands, the left at `positions_m` (T, 3), the right at twice that; pixels = 1000 x metres."""
    shape = hand_shape(np.zeros(1))[0]
    joints = np.stack([positions_m[:, None] + shape, 2 * positions_m[:, None] + shape], 1)
    seen = np.ones(joints.shape[:3], bool) if valid is None else valid
    return HandTrack(times_s, joints, seen, np.ones(seen.shape), 1000 * joints[..., :2])


def scaled(track: HandTrack, factor: float) -> HandTrack:
    """The same record in another unit of length."""
    return replace(track, joints_m=track.joints_m * factor)
