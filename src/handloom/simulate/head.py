"""How the head moves while its eyes follow the hands: the poses of head-mounted cameras."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from handloom.geometry import rotation_from_vector
from handloom.simulate.rigs import looking_at

# Our estimates of a calm, seated head.
_GAZE_S, _SWAY_HZ = 0.35, (0.11, 0.19, 0.31, 0.53)
_SWAY_M, _SWAY_RAD = 0.009, 0.012


def head_poses(
    gaze: Float[np.ndarray, "T 3"],
    seat: Float[np.ndarray, "3"],
    frame_rate: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "T 4 4"]:
    """`world_from_head` (x right, y down, z forward) of a person who looks at moving points.

    The head turns smoothly after the gaze, leans a little towards it, sways with breathing and posture, rolls
    and shakes by fractions of a degree.

    Args:
        gaze: points that are looked at, metres in the world.
        seat: mean position of the head.
        frame_rate: frames per second.
        rng: sway and shake.
    """
    T = len(gaze)
    smooth = gaussian_filter1d(gaze, _GAZE_S * frame_rate, axis=0, mode="nearest")
    times = np.arange(T) / frame_rate
    centre = smooth.mean(0)
    position = seat + 0.18 * (smooth - centre) + _sway(times, rng) * (_SWAY_M, _SWAY_M, 0.6 * _SWAY_M)
    pose = looking_at(position, smooth)
    shake = gaussian_filter1d(rng.normal(0, 1, (T, 3)), 0.03 * frame_rate, axis=0, mode="nearest")
    turn = (_sway(times, rng) * (1, 1, 2.5)) * _SWAY_RAD + 0.002 * shake
    pose[:, :3, :3] = pose[:, :3, :3] @ rotation_from_vector(turn)
    return np.asarray(pose)


def _sway(times: Float[np.ndarray, "T"], rng: np.random.Generator) -> Float[np.ndarray, "T 3"]:
    """Slow oscillations of about unit size: a few sines of random phase."""
    phases = rng.uniform(0, 2 * np.pi, (len(_SWAY_HZ), 3))
    size = rng.uniform(0.3, 1.0, (len(_SWAY_HZ), 3))
    waves = np.sin(2 * np.pi * np.array(_SWAY_HZ)[:, None, None] * times[None, :, None] + phases[:, None])
    return np.asarray((size[:, None] * waves).sum(0))
