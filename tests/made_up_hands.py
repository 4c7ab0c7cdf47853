"""Hands and detections with known answers, for tests."""

import numpy as np

from handloom.estimators.detections import Detection
from handloom.estimators.lifting import ADULT_BONES_M
from handloom.skeleton import BONES


def open_hand() -> np.ndarray:
    """A relaxed hand (21, 3) in metres with average bones, wrist at the origin, fingers up, palm to the camera."""
    joints = np.zeros((21, 3))
    spread = {1: -0.7, 5: -0.25, 9: 0.0, 13: 0.2, 17: 0.42}
    for (parent, child), length in zip(BONES, ADULT_BONES_M):
        finger = max(base for base in spread if base <= child)
        curl = 0.12 * (child - finger)
        direction = np.array([np.sin(spread[finger]), -np.cos(spread[finger]) * np.cos(curl), -np.sin(curl)])
        joints[child] = joints[parent] + length * direction / np.linalg.norm(direction)
    return joints


def rotations(angles: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) from Euler angles (T, 3): about x, then y, then z."""
    cos, sin = np.cos(angles), np.sin(angles)
    zero, one = np.zeros(len(angles)), np.ones(len(angles))
    x = np.stack([one, zero, zero, zero, cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0]], -1)
    y = np.stack([cos[:, 1], zero, sin[:, 1], zero, one, zero, -sin[:, 1], zero, cos[:, 1]], -1)
    z = np.stack([cos[:, 2], -sin[:, 2], zero, sin[:, 2], cos[:, 2], zero, zero, zero, one], -1)
    return z.reshape(-1, 3, 3) @ y.reshape(-1, 3, 3) @ x.reshape(-1, 3, 3)


def moving_hand(frames: int, seed: int = 0, start=(0.05, 0.02, 0.5), growth=0.2) -> np.ndarray:
    """A hand (T, 21, 3) that turns about and recedes, its distance growing exponentially."""
    random = np.random.default_rng(seed)
    t = np.linspace(0, 1, frames)
    angles = 0.6 * np.sin(2 * np.pi * random.uniform(0.5, 1.5, 3) * t[:, None] + random.uniform(0, 6, 3))
    turned = open_hand() @ rotations(angles).transpose(0, 2, 1)
    return turned + np.array(start) * np.exp(growth * t)[:, None, None]


def detect(
    camera,
    joints: np.ndarray,
    right_probability: float = 0.95,
    score: float = 0.9,
    axis: np.ndarray | None = None,
) -> Detection:
    """What a perfect detector says of a hand (21, 3) in camera space; depth counts along `axis`, by default z."""
    pixels, _ = camera.project(joints)
    depth = joints @ (np.array([0.0, 0.0, 1.0]) if axis is None else axis)
    relative = depth / depth[0] - 1
    return Detection(
        keypoints_px=pixels.astype(np.float32),
        depth_px=(relative * np.sqrt(camera.fx * camera.fy)).astype(np.float32),
        world_m=(joints - joints.mean(0)).astype(np.float32),
        score=score,
        right_probability=right_probability,
    )
