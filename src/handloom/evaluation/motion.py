"""How good forecasts and refinements are on recordings, beside what costs nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from handloom.datasets.motions import FRAME_RATE, MotionRecording
from handloom.errors import InputError
from handloom.forecast.against import ForecastErrors, errors_of, plain_forecasts
from handloom.forecast.agreement import smoothed
from handloom.forecast.forecaster import Forecaster
from handloom.forecast.gaps import straight
from handloom.forecast.own_past import OwnPast
from handloom.forecast.refine import refine_joints
from handloom.geometry.motion_features import hand_motion
from handloom.metrics.means import known_mean
from handloom.metrics.motion import acceleration_errors, equalised_errors
from handloom.models.ghtt_pose import PoseBlock

OBSERVED, STRIDE = 16, 8
HORIZONS_S = (0.25, 0.5, 1.0)
PLAIN = ("static", "constant velocity")
_MEASURES = *(name + suffix for name in ("ra", "pa", "a") for suffix in "012"), "fill", "line"

Predict = Callable[[MotionRecording, int, int], Float[np.ndarray, "samples frames 2 21 3"]]
"""From a recording, the first frame that is not observed, and a number of frames: samples in the recording's frame."""


class ForecastScore(NamedTuple):
    """Means over windows and hands, metres: the wrist's average and final error, the wrist-relative joint error."""

    ade: float
    fde: float
    relative: float
    windows: int


def by_short_path(forecaster: Forecaster, samples: int = 1, seed: int = 0, own_past: bool = False) -> Predict:
    """Path P.a from the 16 frames before; the first sample is the mean. `own_past` weighs it by all before that."""
    pasts: dict[int, OwnPast] = {}  # by identity: recordings of several stores may have one name

    def predict(recording: MotionRecording, start: int, frames: int) -> Float[np.ndarray, "samples frames 2 21 3"]:
        observed = recording.motion.part(slice(start - OBSERVED, start))
        joints = forecaster.predict(observed, frames, samples, "a", seed=seed)[0]
        if not own_past:
            return joints
        if id(recording) not in pasts:
            # What is foretold anywhere is known once; at every start counts only what has come by then.
            pasts[id(recording)] = OwnPast.of(forecaster.pose, recording)
        return pasts[id(recording)].corrected(joints, recording.joints_m[:start])

    return predict


def score_forecasts(
    recordings: Sequence[MotionRecording],
    models: Mapping[str, Predict],
    horizons_s: Sequence[float] = HORIZONS_S,
    stride: int = STRIDE,
) -> dict[float, dict[str, ForecastScore]]:
    """Errors of models and of the two plain forecasts, by horizon, in the same windows.

    A window observes 16 frames and begins every `stride` frames; it needs a hand that is whole in all observed frames,
    and counts those future joints that are known. Errors are averaged over a window's frames and joints, then over all
    windows and hands. A model with several samples counts with the best one of each window, and says so by its name.

    Raises:
        InputError: no recording has such a window.
    """
    longest = round(max(horizons_s) * FRAME_RATE)
    found: dict[float, dict[str, list[ForecastErrors]]] = {seconds: {} for seconds in horizons_s}
    for recording in recordings:
        for start in range(OBSERVED, len(recording) - round(min(horizons_s) * FRAME_RATE) + 1, stride):
            whole = np.asarray(recording.motion.present[start - OBSERVED : start].all(0))
            if not whole.any():
                continue
            truth = recording.joints_m[start : start + longest]
            valid = np.isfinite(truth).all(-1) & whole[:, None] & recording.motion.known[start - 1]
            candidates = {name: predict(recording, start, longest) for name, predict in models.items()}
            past = recording.joints_m[start - OBSERVED : start]
            candidates |= {name: joints[None] for name, joints in plain_forecasts(past, longest).items()}
            for seconds in horizons_s:
                frames = round(seconds * FRAME_RATE)
                if len(truth) < frames or not valid[:frames].any():
                    continue
                for name, joints in candidates.items():
                    errors = errors_of(joints[:, :frames], truth[:frames], valid[:frames])
                    found[seconds].setdefault(name, []).append(errors)
    if not any(found.values()):
        raise InputError("no recording is long enough, with a hand, to score forecasts on")
    return {
        seconds: {name: _score(errors) for name, errors in by_model.items()}
        for seconds, by_model in found.items()
        if by_model
    }


class Refined(NamedTuple):
    """One measure of disturbed joints: as they are, refined, and merely smoothed (`agreement.smoothed`)."""

    before: float
    after: float
    smoothed: float


@dataclass(frozen=True)
class RefinementScore:
    """Errors of disturbed recordings, metres and m/s², and of joints in gaps cut on purpose.

    Attributes:
        ra_m, pa_m: MPJPE-RA and -PA after equalising palms.
        acceleration: acceleration error.
        filled_m: error of joints that the network puts into gaps; NaN without gaps.
        straight_m: that of straight lines through the gaps.
    """

    ra_m: Refined
    pa_m: Refined
    acceleration: Refined
    filled_m: float
    straight_m: float


def score_refinement(
    block: PoseBlock, recordings: Sequence[MotionRecording], noise_m: float, gap_frames: int = 0, seed: int = 0
) -> RefinementScore:
    """Disturb recordings, refine them, and compare with what they were.

    Args:
        block: P.
        recordings: the truth.
        noise_m: standard deviation of the noise on every coordinate of every joint, independent in every frame; and
            three times as much, likewise, on the whole hand.
        gap_frames: each hand vanishes for so many frames in every second.
        seed: of the noise.
    """
    sums: dict[str, list[np.ndarray]] = {name: [] for name in _MEASURES}
    for number, recording in enumerate(recordings):
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        truth, known = recording.joints_m, recording.motion.known
        noisy = truth + noise_m * (rng.normal(size=truth.shape) + 3 * rng.normal(size=(*truth.shape[:2], 1, 3)))
        hidden = _gaps(len(truth), gap_frames)
        seen = known & ~hidden[..., None]
        given = MotionRecording(recording.name, "", hand_motion(noisy, seen), np.where(seen[..., None], noisy, np.nan))
        refined, valid = refine_joints(block, given)
        both = seen & valid
        plain = smoothed(given.joints_m, given.motion.known, FRAME_RATE)
        for suffix, joints in (("0", noisy), ("1", refined), ("2", plain)):
            ra, pa = equalised_errors(np.where(both[..., None], joints, np.nan), truth, both)
            sums["ra" + suffix].append(ra.ravel())
            sums["pa" + suffix].append(pa.ravel())
            sums["a" + suffix].append(acceleration_errors(joints, truth, both, FRAME_RATE).ravel())
        inside = known & hidden[..., None] & valid
        if inside.any():
            sums["fill"].append(np.linalg.norm(refined - truth, axis=-1)[inside])
            sums["line"].append(np.linalg.norm(straight(noisy, seen) - truth, axis=-1)[inside])
    mean = {name: float(known_mean(np.concatenate(parts))) if parts else np.nan for name, parts in sums.items()}

    def of(name: str) -> Refined:
        return Refined(*(mean[name + suffix] for suffix in "012"))

    return RefinementScore(of("ra"), of("pa"), of("a"), mean["fill"], mean["line"])


def _gaps(frames: int, length: int) -> Bool[np.ndarray, "T 2"]:
    """The left hand vanishes at the start of the second third of each second, the right one in its middle."""
    place = np.arange(frames)[:, None] % int(FRAME_RATE) - np.array([10, 15])
    return np.asarray((place >= 0) & (place < length))


def _score(errors: Sequence[ForecastErrors]) -> ForecastScore:
    means = (float(known_mean(np.stack(values).ravel())) for values in zip(*errors))
    ade, fde, relative = means
    return ForecastScore(ade, fde, relative, len(errors))
