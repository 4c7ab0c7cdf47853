"""G-HTT's noise on observed hand motion (numbers as in the released code)."""

from math import pi

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
