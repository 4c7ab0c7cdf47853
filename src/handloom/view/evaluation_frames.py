"""The part of the evaluation page on frames: predicted and true skeletons over the picture and in 3D."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from handloom.metrics.means import known_mean
from handloom.metrics.pose import joint_errors, mepe
from handloom.metrics.predictions import Predictions
from handloom.skeleton import BONES
from handloom.view.page import jpeg, number
from handloom.view.page_skeletons import skeleton_data

PREDICTED, TRUE = "#2f80ed", "#1ea45a"
"""Blue and green, as in Figure 6 of HTT's paper."""

_SHOT_WIDTH = 480


def frames_to_show(predictions: Predictions, count: int = 12) -> list[int]:
    """Rows of the frames worth a look: a third the worst, a third around the median, a third the best; by MEPE.

    At most one frame of each third comes from the same video, as long as there are enough videos.
    """
    errors = frame_errors(predictions)
    ranked = np.argsort(-errors, kind="stable")
    ranked = ranked[np.isfinite(errors[ranked])]
    third = -(-count // 3)
    middle = np.argsort(np.abs(np.arange(len(ranked)) - (len(ranked) - 1) / 2), kind="stable")
    chosen: list[int] = []
    for order, how_many in ((ranked, third), (ranked[middle], third), (ranked[::-1], count - 2 * third)):
        videos = predictions.frame_video[order]
        first_of_video = np.zeros(len(order), bool)
        first_of_video[np.unique(videos, return_index=True)[1]] = True
        spread = np.concatenate([order[first_of_video], order[~first_of_video]])
        new = [row for row in spread.tolist() if row not in chosen]
        chosen += sorted(new[: max(how_many, 0)], key=lambda row: -errors[row])
    return chosen


def frame_errors(predictions: Predictions) -> Float[np.ndarray, "N"]:
    """Mean camera-space error of each frame over its valid joints, metres; NaN where it has none."""
    return known_mean(joint_errors(predictions.joints_m, predictions.truth_m, predictions.valid), axis=(1, 2))


def video_errors(predictions: Predictions) -> Float[np.ndarray, "V"]:
    """Camera-space MEPE of each video, metres."""
    errors = joint_errors(predictions.joints_m, predictions.truth_m, predictions.valid)
    return np.array([mepe(errors[predictions.frame_video == video]) for video in range(len(predictions.video_names))])


def shots(predictions: Predictions, rows: Sequence[int], pictures: Mapping[int, UInt8[np.ndarray, "H W 3"]]) -> str:
    """A button per frame: the picture, if there is one, with the true skeleton below the predicted one."""
    errors = frame_errors(predictions)
    return "".join(
        f'<button data-pose="{i}" aria-pressed="{str(i == 0).lower()}">'
        f"{_overlay(predictions, row, pictures.get(row))}"
        f"<span>{number(1000 * errors[row], 'mm')} <small>{escape(_place(predictions, row))}</small></span></button>"
        for i, row in enumerate(rows)
    )


def scene_data(predictions: Predictions, rows: Sequence[int]) -> dict[str, Any]:
    """What skeleton.js reads: of each frame the predicted hands and the true ones."""
    at = np.array(rows, int)
    hands = [(name, PREDICTED) for name in predictions.hands]
    return skeleton_data(predictions.joints_m[at], predictions.truth_m[at], hands, plain=True, truth_colour=TRUE)


def _place(predictions: Predictions, row: int) -> str:
    return f"{predictions.video_names[predictions.frame_video[row]]} · {predictions.frame_index[row]}"


def _overlay(predictions: Predictions, row: int, picture: np.ndarray | None) -> str:
    drawn = (predictions.truth_px[row], TRUE), (predictions.keypoints_px[row], PREDICTED)
    if picture is not None:
        # Pixel centres are at integers, so the picture begins half a pixel before.
        left, top, (height, width) = -0.5, -0.5, picture.shape[:2]
        image = f'<image x="-0.5" y="-0.5" width="{width}" height="{height}" href="{jpeg(picture, _SHOT_WIDTH)}"/>'
    else:
        points = np.concatenate([hands.reshape(-1, 2) for hands, _ in drawn])
        points = points[np.isfinite(points).all(-1)]
        if not len(points):
            return ""
        image, (left, top, width, height) = "", _box(points)
    line = width / 160
    paths = "".join(
        f'<path stroke="{colour}" stroke-width="{line:.2f}" d="{_bones(hands)}"/>' for hands, colour in drawn
    )
    box = f"{left:.1f} {top:.1f} {width:.1f} {height:.1f}"
    return f'<svg viewBox="{box}" role="img" aria-label="predicted and true skeleton">{image}{paths}</svg>'


def _box(points: np.ndarray) -> tuple[float, float, float, float]:
    """Around the points, as wide and high as a picture."""
    low, high = points.min(0), points.max(0)
    width = max(1.15 * (high[0] - low[0]), 1.15 * (high[1] - low[1]) * 16 / 9, 1)
    middle = (low + high) / 2
    return float(middle[0] - width / 2), float(middle[1] - width * 9 / 32), float(width), float(width * 9 / 16)


def _bones(hands: np.ndarray) -> str:
    steps = []
    for points in hands:
        for start, end in BONES:
            a, b = points[start], points[end]
            if np.isfinite(a).all() and np.isfinite(b).all():
                steps.append(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}")
    return "".join(steps)
