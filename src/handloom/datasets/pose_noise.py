"""Noise on hand motion: G-HTT's on what it observes (numbers as in the released code), and a tracker's errors."""

from math import exp, pi, sqrt

import numpy as np
from jaxtyping import Float

from handloom.geometry import rotation_from_vector
from handloom.geometry.motion_features import LEFT_TO_RIGHT, LOCAL_JOINTS, VELOCITIES

JOINT_STD = 0.002 / 0.08
"""2 mm, in sizes of a hand of 80 mm."""
PAIR_STD = pi / 36, 0.05
"""5 degrees; metres."""
VELOCITY_STD = pi / 144, 0.0075 * 10
"""1.25 degrees; 7.5 mm in the unit of the features, 10 per metre. Both per frame of spacing."""
SHORT_OBSERVATION, SHORTEST = 0.25, 2
"""How often training observes fewer frames than there are, and the fewest."""

ERROR_SECONDS = 0.3
"""Made up: how long a tracker's error lasts. A tracker that smooths is wrong for a while, not from frame to frame."""
SHARED = 0.5
"""Made up: the share of a joint's squared error that all joints of its hand but the wrist have in common."""


def tracker_errors(
    frames: int, mpjpe_m: float, rate: float, rng: np.random.Generator
) -> Float[np.ndarray, "frames 2 21 3"]:
    """Errors of the joints of two hands whose wrist-relative MPJPE over all 42 joints is expected to be as said.

    Normally distributed, alike in all directions, correlated over time as exp(-t / 0.3 s) (AR(1)). The wrist's own
    error is as large as another joint's is beside it. A stand-in for a tracker: real ones err most along their line of
    sight and where something hides the hand.
    """
    # The wrist has no error beside itself, and the mean length of a normal vector is sqrt(8 / pi) deviations.
    std = mpjpe_m * 21 / 20 / sqrt(8 / pi)
    keep = exp(-1 / (rate * ERROR_SECONDS))
    steps = rng.normal(size=(frames, 2, 22, 3))
    steps[1:] *= sqrt(1 - keep * keep)
    for frame in range(1, frames):
        steps[frame] += keep * steps[frame - 1]
    own, common = steps[:, :, :21], steps[:, :, 21:]
    errors = sqrt(1 - SHARED) * own + sqrt(SHARED) * common
    wrist = own[:, :, :1]
    errors[:, :, :1] = 0
    return np.asarray(std * (errors + wrist))


def add_pose_noise(
    features: Float[np.ndarray, "*batch 153"], rng: np.random.Generator, strength: float = 1.0, spacing: int = 1
) -> Float[np.ndarray, "*batch 153"]:
    """Observed motion features with noise, independent for every frame; `spacing` frames lie between two.

    `strength` multiplies all standard deviations.

    Rotations turn by a normally distributed angle about an axis of uniformly random direction.
    """
    noisy = features.copy()
    noisy[..., LOCAL_JOINTS] += rng.normal(0, strength * JOINT_STD, noisy[..., LOCAL_JOINTS].shape)
    angle, length = VELOCITY_STD
    for part in VELOCITIES:
        noisy[..., part] = _moved(features[..., part], rng, strength * angle * spacing, strength * length * spacing)
    noisy[..., LEFT_TO_RIGHT] = _moved(features[..., LEFT_TO_RIGHT], rng, *(strength * std for std in PAIR_STD))
    return noisy


def draw_observed_length(rng: np.random.Generator, frames: int) -> int:
    """How many of `frames` frames training observes: all, or with probability 1/4 any number from 2 on."""
    return int(rng.integers(SHORTEST, frames + 1)) if rng.uniform() < SHORT_OBSERVATION else frames


def _moved(
    transform: Float[np.ndarray, "*batch 9"], rng: np.random.Generator, angle_std: float, length_std: float
) -> Float[np.ndarray, "*batch 9"]:
    batch = transform.shape[:-1]
    axis = rng.normal(size=(*batch, 3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    turn = rotation_from_vector(axis * rng.normal(0, angle_std, (*batch, 1)))
    rows = transform[..., :6].reshape(*batch, 2, 3) @ turn
    shifted = transform[..., 6:] + rng.normal(0, length_std, (*batch, 3))
    return np.concatenate([rows.reshape(*batch, 6), shifted], -1).astype(transform.dtype)
