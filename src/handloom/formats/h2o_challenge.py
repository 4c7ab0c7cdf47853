"""Submissions to the two H2O challenges on CodaLab, out and in.

Both are one JSON object with "modality" and a key per segment of `action_test.txt`, counted from 1 as its ids are:

- hands (competition 4822): {"modality": "RGB", "1": {"000123.txt": [126 numbers], ...}, ...}. A key per frame, named as
  its label file is; 21 joints of the left hand, then 21 of the right, x y z each, camera space, metres. From the
  evaluation code published with G-HTT. How the file inside the archive must be named is not stated there.
- actions (competition 4820): {"modality": "hand+obj", "1": 32, "2": 11, ...}, the number of the action as in the
  label files, 1 ... 36; named `action_labels.json`, sent zipped as `answer.zip`. From the organisers' instructions as
  quoted in github.com/s-shamil/HandFormer/issues/1. "modality" says what a method uses: "RGB" for pictures only.

Neither server can be reached from here, so what it accepts is not tested.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError, OutputError
from handloom.formats.atomic import write_text
from handloom.formats.h2o_classes import ACTIONS
from handloom.formats.text_files import parse_json, read_text
from handloom.metrics.actions import vote
from handloom.metrics.predictions import Predictions
from handloom.skeleton import HANDS, JOINT_COUNT

MODALITY = "modality"
ACTION_FILE = "action_labels.json"
_NUMBERS = len(HANDS) * JOINT_COUNT * 3
_ACTION_NAMES = tuple(f"{verb} {noun}" for verb, noun in ACTIONS)


class NoSubmissionError(OutputError):
    """Predictions of which no submission can be made."""


HandPoses = dict[int, dict[int, Float[np.ndarray, "2 21 3"]]]
"""Joints in metres by segment id and frame number."""


def write_hand_submission(
    path: Path, predictions: Predictions, segment_ids: Sequence[int] | None = None, modality: str = "RGB"
) -> None:
    """Write the predicted joints of every frame, to the micrometre.

    Args:
        path: the JSON file.
        predictions: both hands; `frame_index` counts as the label files do, and no frame may lack a prediction.
        segment_ids: id of each video in `action_test.txt`; by default 1, 2, ... in order.
        modality: what the method sees.

    Raises:
        NoSubmissionError: one hand only, a joint without prediction, ids that do not fit.
        OutputError: the file cannot be written.
    """
    ids = _segment_ids(predictions, segment_ids)
    if predictions.hands != HANDS:
        raise NoSubmissionError(
            f"an H2O submission holds both hands, the predictions the {predictions.hands[0]} one only"
        )
    unknown = ~np.isfinite(predictions.joints_m).all((1, 2, 3))
    if unknown.any():
        raise NoSubmissionError(
            f"{int(unknown.sum())} frames have joints without a prediction, the first is "
            f"{_frame(predictions, unknown)}; the challenge counts every frame"
        )
    if (negative := predictions.frame_index < 0).any():
        raise NoSubmissionError(f"frame numbers count from 0, found {_frame(predictions, negative)}")
    document: dict[str, Any] = {MODALITY: modality, **{str(number): {} for number in ids}}
    joints = predictions.joints_m.reshape(-1, _NUMBERS).astype(np.float64).round(6)
    for video, index, numbers in zip(predictions.frame_video, predictions.frame_index, joints.tolist()):
        document[str(ids[video])][f"{index:06d}.txt"] = numbers
    if empty := [number for number in ids if not document[str(number)]]:
        raise NoSubmissionError(f"segment {empty[0]} has no frame; the challenge counts every segment")
    write_text(path, json.dumps(document))


def write_action_submission(
    path: Path, predictions: Predictions, segment_ids: Sequence[int] | None = None, modality: str = "RGB"
) -> None:
    """Write the voted action of every video.

    Raises:
        NoSubmissionError: actions that are not those of H2O in its order, ids that do not fit.
        OutputError: the file cannot be written.
    """
    ids = _segment_ids(predictions, segment_ids)
    if predictions.action_names != _ACTION_NAMES:
        raise NoSubmissionError(
            f"an H2O submission needs the {len(_ACTION_NAMES)} actions of H2O in their order "
            f"({_ACTION_NAMES[0]} ... {_ACTION_NAMES[-1]}), found {len(predictions.action_names)}: "
            f"{', '.join(predictions.action_names[:3]) or 'none'} ..."
        )
    chosen = vote(predictions.action_probabilities, predictions.clip_video, len(ids)).argmax(1) + 1
    labels = {str(number): int(action) for number, action in zip(ids, chosen)}
    write_text(path, json.dumps({MODALITY: modality, **labels}))


def read_hand_submission(path: Path) -> HandPoses:
    """Read a submission of hands. Raises InputError where it is not one."""
    poses: HandPoses = {}
    for segment, frames in _segments(path).items():
        if not isinstance(frames, dict):
            raise InputError(f'{path}: segment {segment} must hold frames by name, such as "000123.txt"')
        poses[segment] = {}
        for name, numbers in frames.items():
            digits = name.removesuffix(".txt")
            if digits == name or not (digits.isascii() and digits.isdecimal()):
                raise InputError(
                    f'{path}: segment {segment} has a frame {name!r}, expected a name such as "000123.txt"'
                )
            if not _are_numbers(numbers):
                found = f"{len(numbers)} values" if isinstance(numbers, list) else type(numbers).__name__
                raise InputError(
                    f"{path}: frame {name} of segment {segment} must hold {_NUMBERS} finite numbers, found {found}"
                )
            poses[segment][int(digits)] = np.array(numbers, np.float64).reshape(len(HANDS), JOINT_COUNT, 3)
    return poses


def read_action_submission(path: Path) -> dict[int, int]:
    """Read a submission of actions: number of the action, from 1, by segment id. Raises InputError."""
    labels = _segments(path)
    for segment, label in labels.items():
        if not isinstance(label, int) or isinstance(label, bool) or not 1 <= label <= len(ACTIONS):
            raise InputError(f"{path}: segment {segment} must hold an action 1 ... {len(ACTIONS)}, found {label!r}")
    return labels


def _segments(path: Path) -> dict[int, Any]:
    document = parse_json(path, read_text(path))
    if not isinstance(document.pop(MODALITY, None), str):
        raise InputError(f'{path} has no "{MODALITY}"; is it a submission to an H2O challenge?')
    for key in document:
        if not (key.isascii() and key.isdecimal() and int(key) > 0):
            raise InputError(f"{path}: segments are numbered from 1, found {key!r}")
    return {int(key): value for key, value in document.items()}


def _segment_ids(predictions: Predictions, given: Sequence[int] | None) -> list[int]:
    videos = len(predictions.video_names)
    ids = list(range(1, videos + 1)) if given is None else [int(number) for number in given]
    if len(ids) != videos or len(set(ids)) != videos or min(ids, default=1) < 1:
        raise NoSubmissionError(
            f"segment ids must be {videos} different numbers from 1, one per video, found {ids[:5]} ..."
        )
    return ids


def _frame(predictions: Predictions, which: np.ndarray) -> str:
    row = int(np.flatnonzero(which)[0])
    return f"frame {predictions.frame_index[row]} of {predictions.video_names[predictions.frame_video[row]]}"


def _are_numbers(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) == _NUMBERS
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        and bool(np.isfinite(values).all())
    )
