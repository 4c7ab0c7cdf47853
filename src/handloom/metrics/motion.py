"""How well motion is refined and predicted (G-HTT, section 4.2, and the released code).

Joints are metres, errors come in metres; joints that are not valid have no part. Frames count the same, and within a
frame all its valid joints.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import sqrtm

from handloom.errors import InputError
from handloom.geometry.hand_frames import palm_size
from handloom.metrics.means import known_mean
from handloom.metrics.pose import procrustes_errors, root_aligned_errors
from handloom.skeleton import WRIST


def with_palm_of(
    predicted_m: Float[np.ndarray, "N H 21 3"], truth_m: Float[np.ndarray, "N H 21 3"]
) -> Float[np.ndarray, "N H 21 3"]:
    """The prediction with the wrist and the palm size of the truth, frame by frame."""
    scale = palm_size(truth_m) / palm_size(predicted_m)
    relative = (predicted_m - predicted_m[..., WRIST, None, :]) * scale[..., None, None]
    return np.asarray(relative + truth_m[..., WRIST, None, :])


def equalised_errors(
    predicted_m: Float[np.ndarray, "N H 21 3"],
    truth_m: Float[np.ndarray, "N H 21 3"],
    valid: Bool[np.ndarray, "N H 21"],
) -> tuple[Float[np.ndarray, "N H"], Float[np.ndarray, "N H"]]:
    """MPJPE-RA and MPJPE-PA of every frame and hand after `with_palm_of`; NaN where a palm is not whole.

    RA leaves out the wrist; PA fits a similarity on all valid joints.
    """
    scaled = with_palm_of(predicted_m, truth_m)
    return (
        known_mean(root_aligned_errors(scaled, truth_m, valid), -1),
        known_mean(procrustes_errors(scaled, truth_m, valid), -1),
    )


def wrist_relative_errors(
    predicted_m: Float[np.ndarray, "*batch T H 21 3"],
    truth_m: Float[np.ndarray, "*batch T H 21 3"],
    valid: Bool[np.ndarray, "*batch T H 21"],
) -> Float[np.ndarray, "*batch T H"]:
    """Mean error of the joints when both wrists are in one place; no scale. NaN without the wrist."""
    apart = (predicted_m - predicted_m[..., WRIST, None, :]) - (truth_m - truth_m[..., WRIST, None, :])
    errors = np.where(valid & valid[..., WRIST, None], np.linalg.norm(apart, axis=-1), np.nan)
    errors[..., WRIST] = np.nan
    return known_mean(errors, -1)


def path_errors(
    predicted_m: Float[np.ndarray, "samples T H points 3"],
    truth_m: Float[np.ndarray, "T H points 3"],
    valid: Bool[np.ndarray, "T H points"],
) -> tuple[Float[np.ndarray, "samples H"], Float[np.ndarray, "samples H"]]:
    """ADE and FDE of each sample and hand: the error averaged over frames, and that of the last frame that is valid.

    With the wrist as only point they are the usual ones; with all joints those of the golden file. The best of N is the
    minimum over samples, taken by whoever reports it.
    """
    errors = np.where(valid, np.linalg.norm(predicted_m - truth_m, axis=-1), np.nan)
    each = known_mean(errors, -1)
    present = np.isfinite(each[0])
    last = len(present) - 1 - present[::-1].argmax(0)
    final = np.where(present.any(0), each[:, last, np.arange(each.shape[2])], np.nan)
    return known_mean(each, 1), final


def pairwise_diversity(
    samples_m: Float[np.ndarray, "samples T H points 3"], valid: Bool[np.ndarray, "T H points"]
) -> Float[np.ndarray, "H"]:
    """APD: the distance between two samples, averaged over points and frames and over all pairs; NaN for one sample.

    Raises:
        InputError: no samples.
    """
    count = len(samples_m)
    if not count:
        raise InputError("diversity needs samples, found none")
    means = []
    for k in range(1, count):
        apart = np.linalg.norm(samples_m[k:] - samples_m[:-k], axis=-1)
        each = known_mean(np.where(valid, apart, np.nan), -1)
        means.append(known_mean(each, 1))
    return known_mean(np.concatenate(means)) if means else np.full(samples_m.shape[2], np.nan)


def acceleration_errors(
    predicted_m: Float[np.ndarray, "T H joints 3"],
    truth_m: Float[np.ndarray, "T H joints 3"],
    valid: Bool[np.ndarray, "T H joints"],
    frame_rate: float,
) -> Float[np.ndarray, "windows H joints"]:
    """Size of the difference of second differences, m/s² at this rate; NaN unless three frames in a row are valid."""
    whole = valid[2:] & valid[1:-1] & valid[:-2]
    apart = np.diff(predicted_m - truth_m, 2, axis=0) * frame_rate**2
    return np.where(whole, np.linalg.norm(apart, axis=-1), np.nan)


def frechet_distance(a: Float[np.ndarray, "n features"], b: Float[np.ndarray, "m features"]) -> float:
    """FID: the distance of two normal distributions with the means and covariances (n - 1) of two sets of features.

    Only distances of features of one and the same network can be compared.

    Raises:
        InputError: fewer than two rows, numbers that are not finite, or sets of different width.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"FID needs two sets of 2 or more features of one width, found {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("FID: features that are not finite; the motion they are from went wrong")
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(first @ second)
    if not np.isfinite(root).all():
        ridge = 1e-6 * np.eye(len(first))
        root = sqrtm((first + ridge) @ (second + ridge))
    return float(mean + np.trace(first) + np.trace(second) - 2 * np.trace(np.real(root)))
