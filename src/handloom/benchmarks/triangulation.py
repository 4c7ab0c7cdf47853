"""Speed of triangulation on one core, against the textbook loop over points."""

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from handloom.errors import InputError
from handloom.geometry import Pinhole, Robust, apply_rigid, triangulate, triangulate_dlt
from handloom.skeleton import JOINT_COUNT
from handloom.threads import run_single_threaded

_LOOP_POINTS = 3_000
_REPETITIONS = 5
_NOISE_PX = 1.0


def measure_triangulation(points: int, views: int) -> tuple[str, list[tuple[str, str]]]:
    """Title and rows of a table of `bench_triangulation`."""
    if points < 1 or views < 2:
        raise InputError(f"triangulation needs at least 1 point and 2 views, found {points} and {views}")
    measured = bench_triangulation(points, views)
    rows = [
        (str(row["method"]), f"{row['points_per_s']:9,.0f} points/s   {row['times_loop']:5.1f} x loop")
        for row in measured
    ]
    robust = next(row for row in measured if row["method"] == "triangulate, RANSAC")
    rows.append(("two hands, RANSAC", f"{robust['points_per_s'] / (2 * JOINT_COUNT):9,.0f} frames/s"))
    return f"Triangulation of {points:,} points in {views} views on one core", rows


def bench_triangulation(points: int = 200_000, views: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """Points per second on one core, for simulated points seen by cameras around them.

    Methods: the weighted DLT; a loop over points that stacks two rows per view and calls
    `numpy.linalg.svd`; the whole `triangulate`, linear, refined, and robust with one point in ten wrong in
    one view. Medians of five runs, in turn, of the core's time rather than the clock's: what else the machine does
    does not count. Runs in a process of its own, since the number of threads of NumPy's linear algebra is fixed when
    it is loaded.

    Returns:
        One row per method: method, points, points_per_s and times_loop (speed relative to the loop).
    """
    rows: list[dict[str, Any]] = run_single_threaded(__name__, points, views, seed)
    return rows


def _measure(n: int, views: int, seed: int) -> list[dict[str, float | str]]:
    random = np.random.default_rng(seed)
    cam_from_world = np.stack([_aimed_at_origin(random) for _ in range(views)])
    camera = Pinhole.from_fov(1280, 720, 70)
    points = 0.08 * random.standard_normal((n, 3))
    keypoints = camera.project(apply_rigid(cam_from_world, points))[0]
    keypoints += _NOISE_PX * random.standard_normal(keypoints.shape)
    confidence = random.uniform(0.2, 1, (views, n))
    wrong = keypoints.copy()
    wrong[random.integers(0, views, len(wrong[0, ::10])), np.arange(0, n, 10)] += 80

    P = cam_from_world[:, :3]
    coordinates = (keypoints - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    few = slice(0, min(n, _LOOP_POINTS))
    cameras = [camera] * views

    def whole(positions: np.ndarray, robust: Robust, refine: bool) -> Callable[[], object]:
        return lambda: triangulate(cameras, cam_from_world, positions, confidence, robust=robust, refine=refine)

    methods: dict[str, tuple[int, Callable[[], object]]] = {
        "DLT": (n, lambda: triangulate_dlt(P, coordinates, confidence)),
        "loop of SVDs": (few.stop, lambda: _loop(P, coordinates[:, few], confidence[:, few])),
        "triangulate, linear": (n, whole(keypoints, Robust.NONE, False)),
        "triangulate, refined": (n, whole(keypoints, Robust.NONE, True)),
        "triangulate, RANSAC": (n, whole(wrong, Robust.RANSAC, False)),
        "triangulate, leave one out": (n, whole(wrong, Robust.LEAVE_ONE_OUT, False)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(_REPETITIONS):
        for name, (_, run) in methods.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    speed = {name: count / median(seconds[name]) for name, (count, _) in methods.items()}
    return [
        {
            "method": name,
            "points": count,
            "points_per_s": speed[name],
            "times_loop": speed[name] / speed["loop of SVDs"],
        }
        for name, (count, _) in methods.items()
    ]


def _loop(P: np.ndarray, coordinates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The textbook: for every point two rows per view and a singular value decomposition."""
    points = np.empty((coordinates.shape[1], 3))
    for i in range(len(points)):
        rows = []
        for view in range(len(P)):
            x, y = coordinates[view, i]
            rows.append(weights[view, i] * (x * P[view, 2] - P[view, 0]))
            rows.append(weights[view, i] * (y * P[view, 2] - P[view, 1]))
        vector = np.linalg.svd(np.stack(rows))[2][-1]
        points[i] = vector[:3] / vector[3]
    return points


def _aimed_at_origin(random: np.random.Generator) -> np.ndarray:
    """Pose of a camera 0.7 from the origin that looks at it."""
    z = random.standard_normal(3)
    z /= np.linalg.norm(z)
    x = np.cross(z, random.standard_normal(3))
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = x, np.cross(z, x), z
    pose[2, 3] = 0.7
    return pose


if __name__ == "__main__":
    json.dump(_measure(*map(int, sys.argv[1:])), sys.stdout)
