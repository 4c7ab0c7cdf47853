"""`handloom bench forecast` and `refine`: G-HTT on recordings, against what costs nothing."""

from collections.abc import Sequence
from pathlib import Path

from handloom.datasets.motions import MotionRecording, motion_of_track, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_write import INFO
from handloom.errors import InputError
from handloom.evaluation.motion import PLAIN, by_short_path, score_forecasts, score_refinement
from handloom.forecast.forecaster import Forecaster
from handloom.forecast.refine import Refiner
from handloom.formats.tracks import read_any_track
from handloom.rows import Rows


def motion_recordings(paths: Sequence[Path], split: str = "test") -> list[MotionRecording]:
    """Recordings of stores (of their split), results, and device recordings.

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
    return recordings


def measure_forecasts(paths: Sequence[Path], weights: Path | None, split: str, samples: int) -> tuple[str, Rows]:
    """Wrist ADE, FDE and wrist-relative error at 0.25, 0.5 and 1 s, of path P.a and of the plain forecasts."""
    recordings = motion_recordings(paths, split)
    forecaster = Forecaster.from_pretrained(weights)
    models = {"P.a, mean": by_short_path(forecaster), f"P.a, best of {samples}": by_short_path(forecaster, samples)}
    rows: Rows = []
    for seconds, scores in score_forecasts(recordings, models).items():
        better = [min(getattr(scores[name], kind) for name in PLAIN) for kind in ("ade", "relative")]
        for name, score in scores.items():
            gain = ""
            if name == "P.a, mean":
                shares = [1 - value / best for value, best in zip((score.ade, score.relative), better)]
                gain = f"; {100 * shares[0]:+.0f} % and {100 * shares[1]:+.0f} % against the better plain forecast"
            rows.append(
                (
                    f"{seconds:g} s, {name}",
                    f"wrist ADE {1000 * score.ade:.1f}, FDE {1000 * score.fde:.1f}, "
                    f"wrist-relative {1000 * score.relative:.1f} mm{gain}",
                )
            )
        rows.append((f"{seconds:g} s, windows", str(next(iter(scores.values())).windows)))
    return f"Forecasts on {len(recordings)} recordings", rows


def measure_refinement(
    paths: Sequence[Path], weights: Path | None, split: str, noise_mm: float, gap_frames: int
) -> tuple[str, Rows]:
    """Errors of disturbed recordings before and after refinement, and in gaps cut on purpose."""
    recordings = motion_recordings(paths, split)
    score = score_refinement(Refiner.from_pretrained(weights).block, recordings, noise_mm / 1000, gap_frames)
    rows = [
        (name, f"{scale * before:.2f} -> {scale * after:.2f} {unit}")
        for name, (before, after), scale, unit in (
            ("MPJPE-RA", score.ra_m, 1000, "mm"),
            ("MPJPE-PA", score.pa_m, 1000, "mm"),
            ("acceleration error", score.acceleration, 1, "m/s²"),
        )
    ]
    if gap_frames:
        rows.append(
            (
                f"in gaps of {gap_frames} frames",
                f"{1000 * score.filled_m:.2f} mm, straight lines {1000 * score.straight_m:.2f} mm",
            )
        )
    return f"Refinement of {len(recordings)} recordings with {noise_mm:g} mm of noise", rows
