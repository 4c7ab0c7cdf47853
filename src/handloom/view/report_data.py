"""The numbers inside the report page: small enough for an hour of video, as base64 arrays in JSON."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from handloom.hands import HandTrack
from handloom.metrics.against_truth import compare
from handloom.metrics.track import jerk, speed
from handloom.skeleton import HANDS, WRIST
from handloom.view.colours import HAND_RGB, hex_colour
from handloom.view.page import pack
from handloom.view.page_skeletons import skeleton_data
from handloom.view.report_lanes import cell_cuts, lanes

MAX_POSES = 3000
MAX_POINTS = 4000
_NOMINAL_STEP_S = 1 / 30  # The length of a lone frame on the time axis.


def page_data(track: HandTrack, problem_times_s: list[float], truth: HandTrack | None = None) -> dict[str, Any]:
    """What the scripts read: poses, plot series, lanes, coverage; times in seconds since the first frame."""
    start = float(track.times_s[0]) if len(track) else 0.0
    times = track.times_s - start
    step = float(np.median(np.diff(times))) if len(track) > 1 else _NOMINAL_STEP_S
    plots = [
        _plot("speed", "Wrist speed", "m/s", times, speed(track)),
        _plot("jitter", "Jitter, mean ‖Δ³p‖·fps³", "m/s³", times, jerk(track)),
    ]
    if track.frame == "camera":
        depth = track.joints_m[:, :, WRIST, 2].astype(np.float64)
        plots.append(_plot("depth", "Wrist depth from the camera", "m", times, depth, from_zero=False))
    if truth is not None:
        errors = compare(track, truth)
        plots[:0] = [
            _plot("error", "Joint error in camera space", "mm", times, errors.error_mm),
            _plot("aligned", "Joint error, wrists aligned", "mm", times, errors.aligned_mm),
        ]
    shown = np.arange(0, len(track), pose_stride(len(track)))
    with_hand = times[shown[track.present[shown].any(1)]]
    return {
        "start_s": start,
        "end_s": float(times[-1]) + step if len(track) else step,
        "step_s": step,
        "first_s": float(with_hand[0]) if len(with_hand) else 0.0,
        "poses": {"t": pack(times[shown], np.float32), "frame": pack(shown, np.int32)},
        "scene": _scene(track, truth, shown),
        "lanes": lanes(track, truth, times, step),
        "coverage": _coverage(track, times, step),
        "plots": plots,
        "problems_s": [time - start for time in problem_times_s],
    }


def pose_stride(frames: int) -> int:
    """Every how many-th frame the 3D player shows."""
    return max(1, -(-frames // MAX_POSES))


def extremes(values: Float[np.ndarray, "T"], limit: int = MAX_POINTS) -> Int[np.ndarray, "points"]:
    """At most `limit` increasing indices that keep the least and greatest known value of every stretch."""
    count = len(values)
    if count <= limit:
        return np.arange(count)
    size = -(-count // (limit // 2))
    rows = -(-count // size)
    padded = np.full(rows * size, np.nan)
    padded[:count] = values
    table = padded.reshape(rows, size)
    known = np.isfinite(table)
    low = np.where(known, table, np.inf).argmin(1)
    high = np.where(known, table, -np.inf).argmax(1)
    first = np.arange(rows) * size
    return np.unique(np.concatenate([first + low, first + high]))


def _plot(
    name: str, title: str, unit: str, times: np.ndarray, values: np.ndarray, from_zero: bool = True
) -> dict[str, Any]:
    series = []
    for hand in range(len(HANDS)):
        at = extremes(values[:, hand])
        series.append({"t": pack(times[at], np.float32), "v": pack(values[at, hand], np.float32)})
    axis = _axis(values[np.isfinite(values)], from_zero)
    return {"name": name, "title": title, "unit": unit, "series": series, **axis}


def _axis(values: np.ndarray, from_zero: bool) -> dict[str, float]:
    """Ends of the y axis. A few wild frames must not flatten the rest: the page cuts them and says so."""
    if not values.size:
        return {"bottom": 0.0, "top": 1.0, "peak": 1.0}
    low, high, peak = (float(value) for value in np.percentile(values, [1, 99, 100]))
    room = max(0.5 * (high - (0 if from_zero else low)), 1e-3 * abs(high), 1e-9)
    return {
        "bottom": 0.0 if from_zero else low - 0.3 * room,
        "top": max(min(peak, high + 2 * room), room),
        "peak": peak,
    }


def _scene(track: HandTrack, truth: HandTrack | None, shown: Int[np.ndarray, "poses"]) -> dict[str, Any]:
    camera = track.camera if track.frame == "camera" else None
    return skeleton_data(
        track.joints_m[shown],
        None if truth is None else truth.joints_m[shown],
        [(name, hex_colour(rgb)) for name, rgb in zip(HANDS, HAND_RGB)],
        camera=(camera.width / camera.fx / 2, camera.height / camera.fy / 2) if camera else None,
    )


def _coverage(track: HandTrack, times: np.ndarray, step: float) -> dict[str, Any]:
    """Share of frames with each hand in each cell, 0 ... 255."""
    if not len(track):
        return {"edges": "", "hands": ["", ""]}
    cuts = cell_cuts(len(track))
    seen = np.add.reduceat(track.present.astype(np.float64), cuts[:-1], axis=0) / np.diff(cuts)[:, None]
    edges = np.append(times, times[-1] + step)[cuts]
    return {"edges": pack(edges, np.float32), "hands": [pack(255 * hand, np.uint8) for hand in seen.T]}
