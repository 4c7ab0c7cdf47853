"""The page of an evaluation: scores beside the paper's, curves, confusion, videos, skeletons, attention."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.formats.atomic import write_text
from handloom.metrics.predictions import Predictions
from handloom.metrics.published import Published, published
from handloom.metrics.scores import Scores
from handloom.view import evaluation_parts as parts
from handloom.view.attention import ActionAttention, WindowAttention, action_attention, window_attention
from handloom.view.evaluation_actions import class_bars, confusion_matrix
from handloom.view.evaluation_frames import PREDICTED, TRUE, frames_to_show, scene_data, shots
from handloom.view.evaluation_videos import videos
from handloom.view.page import card_list, shell
from handloom.view.page_skeletons import stage, view_controls

_SCENE = "predicted and true hands in 3D; drag to turn, wheel to zoom"


def write_evaluation(
    path: str | os.PathLike[str],
    predictions: Predictions,
    scores: Scores,
    *,
    title: str,
    frames: Sequence[int] | None = None,
    pictures: Mapping[int, UInt8[np.ndarray, "H W 3"]] | None = None,
    action_attentions: Sequence[ActionAttention] = (),
    window_attentions: Sequence[WindowAttention] = (),
) -> None:
    """Write the page; it needs no network and opens from a file.

    Args:
        path: the page. It is written under a temporary name and renamed.
        predictions, scores: what `metrics.scores.score` made of the predictions.
        title: what was evaluated: the model, the run.
        frames: rows of the frames to show; by default those of `evaluation_frames.frames_to_show`.
        pictures: RGB pictures of frames, by row, of the size in which `keypoints_px` counts.
        action_attentions, window_attentions: where blocks A and P look.

    Raises:
        InputError: a row that is not there, or scores of other predictions.
        OutputError: the page cannot be written.
    """
    if scores.data != predictions.data:
        raise InputError(f"the scores are those of {scores.data!r}, the predictions those of {predictions.data!r}")
    pictures = pictures or {}
    rows = list(frames_to_show(predictions) if frames is None else frames)
    if bad := [row for row in (*rows, *pictures) if not 0 <= row < len(predictions)]:
        raise InputError(f"frame {bad[0]} is outside the predictions, which have {len(predictions)} frames")
    paper = published(scores.ranges)
    curves, charts = parts.pck_charts(scores)
    early, early_data = parts.early_chart(scores)
    body = [
        "".join(f'<p class="note">{escape(note)}</p>' for note in scores.notes),
        _pose_section(scores, paper),
        f'<section><h2>Error curves</h2><div class="grid three">{curves}</div></section>',
        '<section><h2>Error of each joint, mm</h2><p class="note">Camera space, mean over the frames in which it is '
        f"valid.</p>{parts.joint_bars(scores, predictions.hands)}</section>",
        _action_section(scores, paper, early),
        videos(predictions),
        _frame_section(predictions, rows, pictures),
        _attention_section(action_attentions, window_attentions),
    ]
    data: dict[str, Any] = {"charts": charts | early_data, "scene": scene_data(predictions, rows) if rows else None}
    page = shell(
        title=title,
        brand="Handloom evaluation",
        subtitle=f"measured on {predictions.data}",
        cards=card_list(parts.cards(predictions, scores)),
        body="".join(body),
        data=data,
        scripts=("skeleton.js", "lines.js", "evaluation.js"),
    )
    write_text(Path(path), page)


def _pose_section(scores: Scores, paper: Published | None) -> str:
    note = (
        "Mean end-point error: per joint over its valid frames, then over joints. AUC: area under the PCK curve over "
        "the range named, by the trapezoid rule, as a share of it."
    )
    return (
        f"<section><h2>Pose</h2>{parts.pose_table(scores, paper)}"
        f'<p class="measured">{note} Measured on {escape(scores.data)}.{_source(paper)}</p></section>'
    )


def _source(paper: Published | None) -> str:
    if not paper:
        return " No published numbers have these ranges."
    return (
        f" Numbers of the paper are those of {escape(paper.source)}, on that data set's real video; where ours are of "
        "other data, they stand beside them and do not reproduce them."
    )


def _action_section(scores: Scores, paper: Published | None, early: str) -> str:
    table = parts.action_table(scores, paper)
    if not scores.actions:
        return f"<section><h2>Objects</h2>{table}</section>" if scores.object_accuracy is not None else ""
    actions = scores.actions
    withheld = f" Of {actions.withheld:,} more videos the action is withheld." if actions.withheld else ""
    rule = f"A video's action is the argmax of its clips' summed softmax probabilities.{withheld}"
    return (
        f'<section><h2>Actions and objects</h2><div class="grid"><div>{table}<p class="measured">{rule} Measured on '
        f"{escape(scores.data)}.</p></div>{early}</div></section>"
        f"<section><h2>Confusion of actions</h2>{confusion_matrix(actions.counts, actions.names)}</section>"
        f"<section><h2>Accuracy of each action</h2>{class_bars(actions.counts, actions.names)}</section>"
    )


def _frame_section(predictions: Predictions, rows: list[int], pictures: Mapping[int, np.ndarray]) -> str:
    if not rows:
        return ""
    legend = (
        f'<p class="legend"><span class="key" style="--c:{PREDICTED}">predicted</span>'
        f'<span class="key" style="--c:{TRUE}">true, thin in 3D</span></p>'
    )
    return (
        '<section><h2>Predicted and true skeletons</h2><p class="note">Frames from the worst to the best, with their '
        "mean error in camera space; choose one to turn it in 3D.</p>"
        f'<div class="motion"><div><div class="player">{stage(_SCENE)}{view_controls(truth=True)}</div>{legend}</div>'
        f'<div class="shots">{shots(predictions, rows, pictures)}</div></div></section>'
    )


def _attention_section(actions: Sequence[ActionAttention], windows: Sequence[WindowAttention]) -> str:
    html = ""
    if actions:
        shown = "".join(map(action_attention, actions))
        html += f"<section><h2>What the action token attends to</h2>{shown}</section>"
    if windows:
        shown = "".join(map(window_attention, windows))
        html += f'<section><h2>Attention inside a pose window</h2><div class="windows">{shown}</div></section>'
    return html
