"""How many labelled segments block A of G-HTT names rightly, the true object told."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from handloom.datasets.motions import MotionRecording
from handloom.forecast.paths import device_of
from handloom.models.ghtt_action import ActionBlock
from handloom.models.ghtt_pose import PoseBlock
from handloom.rows import Rows
from handloom.training.action_samples import ActionSamples, without_padding
from handloom.training.ghtt_action import ActionForward
from handloom.training.stacked import on_device, stacked

AT_ONCE = 64


class RecognitionAccuracy(NamedTuple):
    """Segments whose label is the likeliest, or one of the five likeliest, of so many."""

    first: int
    five: int
    segments: int

    def rows(self, labels: int) -> Rows:
        """For the terminal."""
        return [
            ("top-1", f"{100 * self.first / self.segments:.1f} % (chance {100 / labels:.1f} %)"),
            ("top-5", f"{100 * self.five / self.segments:.1f} %"),
        ]


@torch.inference_mode()
def recognition_accuracy(
    recordings: Sequence[MotionRecording], block: ActionBlock, pose: PoseBlock
) -> RecognitionAccuracy:
    """Each segment as one action; both blocks on one device. Raises InputError: an unknown label."""
    samples = ActionSamples(recordings, block.config, pose, None)
    first = five = 0
    for batch in stacked(samples, [(0, k) for k in range(len(samples))], AT_ONCE, keep_last=True):
        given = on_device(without_padding(batch), device_of(block))
        _, _, mean, _ = ActionForward(block)(given._replace(noise=torch.zeros_like(given.noise)), True)
        order = block.logits(mean, block.labels()).argsort(-1, descending=True)
        hit = order == given.action[:, None]
        first, five = first + int(hit[:, 0].sum()), five + int(hit[:, :5].any(1).sum())
    return RecognitionAccuracy(first, five, len(samples))
