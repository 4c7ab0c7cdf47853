"""Speed of the pose metrics on one core, against the loop over frames that evaluation scripts usually are."""

import json
import sys
import time
from statistics import median

import numpy as np

from handloom.errors import InputError
from handloom.metrics.pose import (
    H2O_CAMERA,
    ROOT_ALIGNED,
    auc,
    joint_errors,
    mepe,
    pck,
    procrustes_errors,
    root_aligned_errors,
)
from handloom.skeleton import WRIST
from handloom.threads import run_single_threaded

H2O_TEST_FRAMES = 23_391
_REPETITIONS = 5
_ERROR_M = 0.02


def measure_metrics(frames: int) -> tuple[str, list[tuple[str, str]]]:
    """Title and rows of a table of `bench_metrics`."""
    if frames < 1:
        raise InputError(f"metrics need at least 1 frame, found {frames}")
    seconds = bench_metrics(frames)
    whole, loop = seconds["metrics"], seconds["loop"]
    return f"Pose metrics of {frames:,} frames x 42 joints on one core", [
        ("camera and root-aligned: MEPE, PCK, AUC", f"{whole:7.3f} s   {loop / whole:5.1f} x loop"),
        ("the same numbers by a loop over frames", f"{loop:7.3f} s"),
        ("Procrustes-aligned: MEPE, PCK, AUC", f"{seconds['procrustes']:7.3f} s"),
    ]


def bench_metrics(frames: int = H2O_TEST_FRAMES, seed: int = 0) -> dict[str, float]:
    """Seconds on made-up poses: "metrics", "loop" (the same numbers) and "procrustes"; medians of five runs, in turn.

    Runs in a process of its own, since the number of threads of NumPy's linear algebra is fixed when it is loaded.
    """
    seconds: dict[str, float] = run_single_threaded(__name__, frames, seed)
    return seconds


def _measure(frames: int, seed: int) -> dict[str, float]:
    random = np.random.default_rng(seed)
    truth = random.uniform(-0.2, 0.2, (frames, 2, 21, 3)).astype(np.float32)
    predicted = truth + _ERROR_M * random.standard_normal(truth.shape, np.float32)
    valid = np.ones(truth.shape[:-1], bool)
    runs = {"metrics": _metrics, "loop": _loop, "procrustes": _procrustes}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_REPETITIONS):
        for name, run in runs.items():
            start = time.perf_counter()
            run(predicted, truth, valid)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def _metrics(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> list[tuple[float, float]]:
    """MEPE and AUC per hand, in camera space and root-aligned."""
    camera, aligned = joint_errors(predicted, truth, valid), root_aligned_errors(predicted, truth, valid)
    return [
        (mepe(errors[:, hand]), auc(pck(errors[:, hand], span), span))
        for errors, span in ((camera, H2O_CAMERA), (aligned, ROOT_ALIGNED))
        for hand in (0, 1)
    ]


def _procrustes(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> list[tuple[float, float]]:
    errors = procrustes_errors(predicted, truth, valid)
    return [(mepe(errors[:, hand]), auc(pck(errors[:, hand], ROOT_ALIGNED), ROOT_ALIGNED)) for hand in (0, 1)]


def _loop(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> list[tuple[float, float]]:
    """The same numbers the usual way: each frame appends its errors to a list per joint, then joint by joint."""
    results = []
    for root, span in ((None, H2O_CAMERA), (WRIST, ROOT_ALIGNED)):
        for hand in range(2):
            lists: list[list[float]] = [[] for _ in range(truth.shape[2])]
            for frame in range(len(truth)):
                mine, true = predicted[frame, hand], truth[frame, hand]
                if root is not None:
                    mine, true = mine - mine[root], true - true[root]
                distances = np.sqrt(((mine - true) ** 2).sum(-1))
                seen = valid[frame, hand] if root is None else valid[frame, hand] & valid[frame, hand, root]
                for values, distance, known in zip(lists, distances, seen):
                    if known:
                        values.append(distance)
            means, areas = [], []
            for joint, values in enumerate(lists):
                if joint == root or not values:
                    continue
                errors = np.array(values)
                curve = [np.mean(errors <= threshold) for threshold in span.thresholds_m]
                means.append(errors.mean())
                areas.append(np.trapezoid(curve, span.thresholds_m) / span.thresholds_m[-1])
            results.append((float(np.mean(means)), float(np.mean(areas))))
    return results


if __name__ == "__main__":
    json.dump(_measure(*map(int, sys.argv[1:])), sys.stdout)
