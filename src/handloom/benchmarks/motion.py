"""`handloom bench forecast`, `refine`, `moving-camera`, `blend` and `transitions`: G-HTT on recordings."""

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from handloom.datasets.motions import FRAME_RATE, MotionRecording, motion_of_track, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_write import INFO
from handloom.errors import InputError
from handloom.evaluation.blending import score_blends
from handloom.evaluation.motion import OBSERVED, PLAIN, ForecastScore, by_short_path, score_forecasts, score_refinement
from handloom.evaluation.moving_camera import KNOWN, RAW, STILL, moving_views, score_moving_camera
from handloom.evaluation.transitions import score_transitions
from handloom.forecast.forecaster import Forecaster
from handloom.forecast.paths import device_of
from handloom.forecast.refine import Refiner
from handloom.formats.tracks import read_any_track
from handloom.geometry.motion_features import HandMotion
from handloom.resampling import evenly_chosen
from handloom.rows import Rows

REPETITIONS = 5
LONG_FRAMES = 96
"""G-HTT's longest evaluated prediction."""
LONGEST_GAP = 15


def motion_recordings(paths: Sequence[Path], split: str = "test", limit: int | None = None) -> list[MotionRecording]:
    """Recordings of stores (of their split), results, and device recordings; `limit` of them, evenly chosen.

    Raises:
        InputError: nothing there, or a store without the split.
    """
    recordings: list[MotionRecording] = []
    for path in paths:
        if (path / INFO).is_file():
            recordings += stored_motions([Store(path)], split)
        else:
            recordings.append(motion_of_track(read_any_track(path), path.name))
    if not recordings:
        raise InputError("give stores, results or recordings to measure on")
    return recordings if limit is None else evenly_chosen(recordings, limit)


def measure_forecasts(
    paths: Sequence[Path], weights: Path | None, split: str, limit: int | None, samples: int
) -> tuple[str, Rows]:
    """Wrist ADE, FDE and wrist-relative error at 0.25, 0.5 and 1 s, of path P.a and of the plain forecasts.

    Of P.a with and without the track's own past; a recording's past is what lies before each window.
    """
    recordings = motion_recordings(paths, split, limit)
    forecaster = Forecaster.from_pretrained(weights)
    models = {
        "P.a, own past": by_short_path(forecaster, own_past=True),
        f"P.a, own past, best of {samples}": by_short_path(forecaster, samples, own_past=True),
        "P.a as published": by_short_path(forecaster),
    }
    rows: Rows = []
    for seconds, scores in score_forecasts(recordings, models).items():
        better = [min(getattr(scores[name], kind) for name in PLAIN) for kind in ("ade", "relative")]
        for name, score in scores.items():
            gain = ""
            if name in models and "best" not in name:
                shares = [1 - value / best for value, best in zip((score.ade, score.relative), better)]
                gain = f"; {100 * shares[0]:+.0f} % and {100 * shares[1]:+.0f} % against the better plain forecast"
            rows.append((f"{seconds:g} s, {name}", _said(score) + gain))
        rows.append((f"{seconds:g} s, windows", str(next(iter(scores.values())).windows)))
    rows += _speed(forecaster, recordings, samples)
    return f"Forecasts on {len(recordings)} recordings", rows


def _speed(forecaster: Forecaster, recordings: Sequence[MotionRecording], samples: int) -> Rows:
    """How long it takes to predict `LONG_FRAMES` from one observation of both hands, the median of a few times."""
    observed = next((part for recording in recordings if (part := _with_both_hands(recording)) is not None), None)
    if observed is None:
        return []
    paths: tuple[Literal["a", "b"], ...] = ("a",) if forecaster.recogniser is None else ("a", "b")
    rows: Rows = []
    for path in paths:
        taken = []
        for _ in range(1 + REPETITIONS):
            start = time.perf_counter()
            forecaster.predict(observed, LONG_FRAMES, samples, path)
            taken.append(time.perf_counter() - start)
        rows.append(
            (
                f"{samples} futures of {LONG_FRAMES} frames, P.{path}",
                f"{statistics.median(taken[1:]):.2f} s, {torch.get_num_threads()} threads, "
                f"{device_of(forecaster.pose).type}",
            )
        )
    return rows


def _with_both_hands(recording: MotionRecording) -> HandMotion | None:
    present = np.asarray(recording.motion.present.all(1))
    starts = (start for start in range(len(recording) - OBSERVED + 1) if present[start : start + OBSERVED].all())
    first = next(starts, None)
    return None if first is None else recording.motion.part(slice(first, first + OBSERVED))


def measure_refinement(
    paths: Sequence[Path], weights: Path | None, split: str, limit: int | None, noise_mm: Sequence[float], gaps: int
) -> tuple[str, Rows]:
    """Errors of disturbed recordings before and after refinement and plain smoothing, and in gaps cut on purpose.

    Raises:
        InputError: impossible noise or gaps, or see `motion_recordings`.
    """
    if wrong := [noise for noise in noise_mm if not (math.isfinite(noise) and noise >= 0)]:
        raise InputError(f"noise must be a number of millimetres, 0 or more, found {wrong[0]:g}")
    if not 0 <= gaps <= LONGEST_GAP:
        raise InputError(f"gaps must have 0 to {LONGEST_GAP} frames, found {gaps}")
    recordings, block = motion_recordings(paths, split, limit), Refiner.from_pretrained(weights).block
    rows: Rows = []
    for noise in noise_mm:
        score = score_refinement(block, recordings, noise / 1000, gaps)
        rows += [
            (
                f"{noise:g} mm, {name}",
                f"{scale * value.before:.2f} -> {scale * value.after:.2f} {unit}, "
                f"smoothing alone {scale * value.smoothed:.2f}",
            )
            for name, value, scale, unit in (
                ("MPJPE-RA", score.ra_m, 1000, "mm"),
                ("MPJPE-PA", score.pa_m, 1000, "mm"),
                ("acceleration error", score.acceleration, 1, "m/s²"),
            )
        ]
        if gaps:
            filled = f"{1000 * score.filled_m:.2f} mm, straight lines {1000 * score.straight_m:.2f} mm"
            rows.append((f"{noise:g} mm, in gaps of {gaps} frames", filled))
    return f"Refinement of {len(recordings)} recordings disturbed by noise", rows


def measure_moving_camera(
    store: Path,
    weights: Path | None,
    split: str,
    limit: int | None,
    camera: str | None,
    seconds: float,
    videos: bool,
) -> tuple[str, Rows]:
    """Forecasts where the camera moves: its poses known, estimated, taken to stay, and the model on what it sees.

    Raises:
        InputError: a time without a frame, or see `moving_views` and `score_moving_camera`.
    """
    if not (math.isfinite(seconds) and round(seconds * FRAME_RATE) >= 1):
        raise InputError(f"seconds must be a positive time of a frame (1/{FRAME_RATE:g} s) or more, found {seconds:g}")
    views = moving_views(Store(store), split, camera, videos, limit)
    score = score_moving_camera(Forecaster.from_pretrained(weights), views, seconds)
    rows: Rows = [
        *((f"in the world, {name}", _said(found)) for name, found in score.world.items()),
        *((f"in each frame's camera, {name}", _said(found)) for name, found in score.own.items()),
    ]
    known = score.world[KNOWN].ade
    for against, other in (("raw camera-space poses", score.own[RAW]), (STILL, score.world[STILL])):
        rows.append((f"{KNOWN} / {against}", f"{known / other.ade:.2f} of the wrist ADE"))
    rows.append(("windows", str(score.world[KNOWN].windows)))
    return f"Forecasts of {seconds:g} s on {len(views)} recordings of moving cameras", rows


def measure_blends(
    paths: Sequence[Path], weights: Path | None, split: str, limit: int | None, pairs: int
) -> tuple[str, Rows]:
    """How futures change between those of two observations, as their mid-levels are blended."""
    recordings = motion_recordings(paths, split, limit)
    score = score_blends(Forecaster.from_pretrained(weights), recordings, pairs)
    return f"Blended mid-levels of {score.pairs} pairs from {len(recordings)} recordings", [
        ("from one future to the other", f"{100 * score.monotone:.0f} % of pairs without turning back"),
        ("both ends apart", f"{1000 * score.apart_m:.1f} mm (mean of joints)"),
        ("blend of equal shares", f"{100 * score.halfway:.0f} % of the way, a detour of {score.detour:.2f}"),
    ]


def measure_transitions(
    paths: Sequence[Path], weights: Path | None, split: str, limit: int | None, samples: int
) -> tuple[str, Rows]:
    """What is foretold at the end of actions, beside what came."""
    recordings = motion_recordings(paths, split)
    scores = score_transitions(Forecaster.from_pretrained(weights), recordings, samples, limit)
    rows: Rows = [
        (
            name,
            f"goes over to the next action in {100 * score.gone_over:.0f} %; wrist ADE {1000 * score.ade_m:.1f} mm; "
            f"acceleration at the seam {score.acceleration:.2f} m/s²",
        )
        for name, score in scores.items()
    ]
    return f"Transitions between actions, {next(iter(scores.values())).windows} windows", rows


def _said(score: ForecastScore) -> str:
    return (
        f"wrist ADE {1000 * score.ade:.1f}, FDE {1000 * score.fde:.1f}, wrist-relative {1000 * score.relative:.1f} mm"
    )
