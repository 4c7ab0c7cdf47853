"""`handloom bench gestures`: block A trained on half of the labelled runs of logs, tested on the others."""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from handloom.benchmarks.motion import motion_recordings
from handloom.datasets.motions import MotionRecording, MotionSegment
from handloom.errors import InputError
from handloom.forecast.shipped import weights_folder
from handloom.formats.ghtt_weights import load_action_block, load_pose_block
from handloom.rows import Rows
from handloom.training.action_samples import ActionSamples
from handloom.training.ghtt_action import ActionForward, train_ghtt_action
from handloom.training.motion_run import MotionOptions, stacked

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
        options = MotionOptions(epochs=epochs, batch_clips=min(BATCH, _runs(trained)), device="cpu")
        weights = train_ghtt_action([], folder, Path(run), options, more=trained)
        assert weights is not None
        block = load_action_block(weights)
    samples = ActionSamples(tested, block.config, load_pose_block(folder), None)
    first = five = 0
    with torch.inference_mode():
        for batch in stacked(samples, [(0, k) for k in range(len(samples))], len(samples)):
            _, _, mean, _ = ActionForward(block)(batch._replace(noise=torch.zeros_like(batch.noise)), True)
            order = block.logits(mean, block.labels()).argsort(-1, descending=True)
            hit = order == batch.action[:, None]
            first, five = int(hit[:, 0].sum()), int(hit[:, :5].any(1).sum())
    count = len(samples)
    return "Gestures of runs that were not trained on", [
        ("labels", ", ".join(block.config.actions)),
        ("runs trained on, tested", f"{_runs(trained)}, {count}"),
        ("top-1", f"{100 * first / count:.0f} % (chance {100 / len(block.config.actions):.0f} %)"),
        ("top-5", f"{100 * five / count:.0f} %"),
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
