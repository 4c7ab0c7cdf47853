"""How many labelled segments block A of G-HTT names rightly, the true object told."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from handloom.datasets.motions import MotionRecording
from handloom.models.ghtt_action import ActionBlock
from handloom.models.ghtt_pose import PoseBlock
from handloom.rows import Rows
from handloom.training.action_samples import ActionSamples
from handloom.training.ghtt_action import ActionForward
from handloom.training.stacked import stacked

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
    """Each segment as one action. Both blocks on one device."""
    samples = ActionSamples(recordings, block.config, pose, None)
    first = five = 0
    for batch in stacked(samples, [(0, k) for k in range(len(samples))], AT_ONCE, keep_last=True):
        _, _, mean, _ = ActionForward(block)(batch._replace(noise=torch.zeros_like(batch.noise)), True)
        order = block.logits(mean, block.labels()).argsort(-1, descending=True)
        hit = order == batch.action[:, None]
        first, five = first + int(hit[:, 0].sum()), five + int(hit[:, :5].any(1).sum())
    return RecognitionAccuracy(first, five, len(samples))
