"""Futures against what came, beside the two plain forecasts."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from handloom.datasets.motions import FRAME_RATE, world_joints
from handloom.forecast.baselines import constant_velocity, static
from handloom.futures import Futures
from handloom.geometry import apply_rigid
from handloom.hands import HandTrack
from handloom.metrics.means import known_mean
from handloom.metrics.motion import path_errors, wrist_relative_errors
from handloom.resampling import even_times, resample_joints
from handloom.rows import Rows
from handloom.skeleton import HANDS, WRIST

HORIZONS_S = (0.25, 0.5, 1.0, 2.0, 3.0)


class ForecastErrors(NamedTuple):
    """Errors up to a horizon, per hand, in metres: of the first future, of the best, and of the plain forecasts.

    Attributes:
        ade: of the wrist, averaged over the frames up to the horizon.
        fde: of the wrist at the last of these frames.
        relative: wrist-relative error of the joints, averaged over the same frames.
    """

    ade: Float[np.ndarray, "2"]
    fde: Float[np.ndarray, "2"]
    relative: Float[np.ndarray, "2"]


def errors_of(
    joints_m: Float[np.ndarray, "samples F 2 21 3"],
    truth_m: Float[np.ndarray, "F 2 21 3"],
    valid: Bool[np.ndarray, "F 2 21"],
) -> ForecastErrors:
    """The smallest error among samples, each measure by itself; of one sample simply its error."""
    wrist = slice(WRIST, WRIST + 1)
    ade, fde = path_errors(joints_m[..., wrist, :], truth_m[..., wrist, :], valid[..., wrist])
    relative = np.stack([known_mean(wrist_relative_errors(sample, truth_m, valid)) for sample in joints_m])
    return ForecastErrors(*(_smallest(values) for values in (ade, fde, relative)))


def plain_forecasts(observed_m: Float[np.ndarray, "T 2 21 3"], frames: int) -> dict[str, np.ndarray]:
    """Static and constant velocity."""
    return {"static": static(observed_m, frames), "constant velocity": constant_velocity(observed_m, frames)}


def forecast_rows(track: HandTrack, observed: HandTrack, futures: Futures) -> Rows:
    """For the terminal: how far futures and plain forecasts are from what came; nothing if nothing did."""
    joints, valid = world_joints(track)
    if track.times_s[-1] < futures.times_s[0]:
        return []
    truth, known = resample_joints(track.times_s, joints, valid, futures.times_s)
    times = even_times(float(track.times_s[0]), float(observed.times_s[-1]), FRAME_RATE)
    past, _ = resample_joints(track.times_s, joints, valid, times)
    mine = futures.joints_m
    if track.frame == "camera" and track.world_from_camera is not None:
        mine = apply_rigid(track.world_from_camera[len(observed) - 1][None, None, None], mine)
    known &= futures.valid
    rows: Rows = []
    for seconds in HORIZONS_S:
        frames = round(seconds * FRAME_RATE)
        if frames > len(futures.times_s) or not known[:frames].any():
            continue
        candidates = {"mean": mine[:1], f"best of {len(mine)}": mine}
        candidates |= {name: value[None] for name, value in plain_forecasts(past, frames).items()}
        for name, value in candidates.items():
            found = errors_of(value[:, :frames], truth[:frames], known[:frames])
            shown = ", ".join(
                f"{side} {1000 * ade:.0f} / {1000 * relative:.0f}"
                for side, ade, relative in zip(HANDS, found.ade, found.relative)
                if np.isfinite(ade)
            )
            rows.append((f"{seconds:g} s, {name}", f"{shown} mm (wrist ADE / wrist-relative error)"))
    return rows


def _smallest(values: Float[np.ndarray, "samples 2"]) -> Float[np.ndarray, "2"]:
    return np.where(np.isfinite(values).any(0), np.where(np.isfinite(values), values, np.inf).min(0), np.nan)
