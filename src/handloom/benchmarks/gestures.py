"""`handloom bench recognise` and `gestures`: block A on labelled segments, as it is or trained on half of them."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from handloom.benchmarks.motion import motion_recordings
from handloom.datasets.motions import MotionRecording, MotionSegment
from handloom.errors import InputError
from handloom.evaluation.recognition import recognition_accuracy
from handloom.forecast.shipped import weights_folder
from handloom.formats.ghtt_weights import load_action_block, load_pose_block
from handloom.rows import Rows
from handloom.training.ghtt_action import known_segments, train_ghtt_action
from handloom.training.options import RunOptions

EPOCHS, BATCH = 150, 4


def measure_gestures(paths: Sequence[Path], pose: Path | None, epochs: int = EPOCHS) -> tuple[str, Rows]:
    """Top-1 and top-5 of the runs that were not trained on; the runs of a label are dealt out in turns.

    Raises:
        InputError: no label with two runs.
    """
    recordings = motion_recordings(paths)
    trained, tested = halves(recordings)
    folder = weights_folder(pose)
    with tempfile.TemporaryDirectory() as run:
        options = RunOptions(epochs=epochs, batch_clips=min(BATCH, _runs(trained)), device="cpu")
        weights = train_ghtt_action([], folder, Path(run), options, more=trained)
        assert weights is not None
        block = load_action_block(weights)
    found = recognition_accuracy(tested, block, load_pose_block(folder))
    return "Gestures of runs that were not trained on", [
        ("labels", ", ".join(block.config.actions)),
        ("runs trained on, tested", f"{_runs(trained)}, {found.segments}"),
        *found.rows(len(block.config.actions)),
    ]


def measure_recognition(paths: Sequence[Path], weights: Path | None, split: str) -> tuple[str, Rows]:
    """Top-1 and top-5 of trained weights on labelled segments, each as one action; the true object is told.

    Raises:
        InputError: no segment has a label that the weights know.
    """
    folder = weights_folder(weights)
    block = load_action_block(folder)
    recordings = motion_recordings(paths, split)
    known = known_segments(recordings, block.config.actions)
    if not known:
        raise InputError(f"no labelled segment has one of the {len(block.config.actions)} actions of these weights")
    found = recognition_accuracy(known, block, load_pose_block(folder))
    return f"Actions in {len(recordings)} recordings", [
        (
            "segments",
            f"{found.segments}; {_runs(recordings) - found.segments} more have labels that the weights do not know",
        ),
        *found.rows(len(block.config.actions)),
    ]


def halves(recordings: Sequence[MotionRecording]) -> tuple[list[MotionRecording], list[MotionRecording]]:
    """The recordings with every other run of each label, and with the remaining ones of these labels.

    Raises:
        InputError: no label has two runs.
    """
    kept: tuple[list[MotionRecording], list[MotionRecording]] = ([], [])
    counts: dict[str, int] = defaultdict(int)
    for recording in recordings:
        dealt: tuple[list[MotionSegment], list[MotionSegment]] = ([], [])
        for segment in recording.segments:
            dealt[counts[segment.label] % 2].append(segment)
            counts[segment.label] += 1
        for half, segments in zip(kept, dealt):
            half.append(replace(recording, segments=tuple(segments)))
    if not any(recording.segments for recording in kept[1]):
        raise InputError("no label has two runs: one to train on and one to test")
    return kept


def _runs(recordings: Sequence[MotionRecording]) -> int:
    return sum(len(recording.segments) for recording in recordings)
