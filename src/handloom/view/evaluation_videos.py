"""The part of the evaluation page on videos: which have the worst and the best poses, which actions are the hardest."""

from collections.abc import Callable
from html import escape

import numpy as np
from jaxtyping import Int

from handloom.metrics.actions import vote
from handloom.metrics.predictions import Predictions
from handloom.view.evaluation_frames import video_errors
from handloom.view.page import number, percent

_LISTED = 5


def videos(predictions: Predictions) -> str:
    """Tables of the videos at either end, by pose error and by the score of the true action."""
    html = _by_pose(predictions) + _by_action(predictions)
    return f'<section><h2>Videos</h2><div class="tables ends">{html}</div></section>' if html else ""


def _by_pose(predictions: Predictions) -> str:
    errors = 1000 * video_errors(predictions)
    known = np.flatnonzero(np.isfinite(errors))
    order = known[np.argsort(-errors[known], kind="stable")]
    return _ends(predictions, order, ("Worst poses", "Best poses"), lambda video: number(errors[video], "mm"))


def _by_action(predictions: Predictions) -> str:
    labelled = np.flatnonzero(predictions.action_truth >= 0)
    if not len(labelled):
        return ""
    scores = vote(predictions.action_probabilities, predictions.clip_video, len(predictions.video_names))
    said, of_true = scores.argmax(1), scores[labelled, predictions.action_truth[labelled]]

    def verdict(video: int) -> str:
        chosen, true = said[video], predictions.action_truth[video]
        if chosen == true:
            return f"right, {percent(scores[video, true])} sure"
        name = escape(predictions.action_names[chosen])
        return f"said {name} ({percent(scores[video, chosen])}, true {percent(scores[video, true])})"

    order = labelled[np.argsort(of_true, kind="stable")]
    return _ends(predictions, order, ("Hardest actions", "Surest actions"), verdict)


def _ends(
    predictions: Predictions, order: Int[np.ndarray, "videos"], names: tuple[str, str], verdict: Callable[[int], str]
) -> str:
    """Two tables, of the first and of the last in order; no video stands in both."""
    half = -(-len(order) // 2)
    first, last = order[: min(half, _LISTED)], order[half:][::-1][:_LISTED]
    return "".join(
        f"<div><h3>{name}</h3><table>{''.join(_row(predictions, int(video), verdict) for video in end)}</table></div>"
        for name, end in zip(names, (first, last))
        if len(end)
    )


def _row(predictions: Predictions, video: int, verdict: Callable[[int], str]) -> str:
    label = predictions.action_truth[video]
    true = f"<br><small>{escape(predictions.action_names[label])}</small>" if label >= 0 else ""
    return f"<tr><td>{escape(predictions.video_names[video])}{true}</td><td>{verdict(video)}</td></tr>"
