"""Training samples for the verb classifier: every verb as often as any other, no segment twice the same."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from handloom.datasets.sampler import sample_rng
from handloom.datasets.verb_segments import VerbSegment, network_input
from handloom.geometry import rotation_from_vector
from handloom.models.verb_classifier import VerbClassifierConfig

CYCLIC = ("screw", "unscrew")
"""Verbs of which a part is the same verb."""
_SHORTEST_PART, _TURN_RAD, _GROWTH = 0.5, 0.15, 0.1


class VerbSample(NamedTuple):
    """A segment, or a batch of them; `place` is its number."""

    hands: Float[Tensor, "*N 3 T 21 2"]
    verb: Int[Tensor, "*N"]
    place: Int[Tensor, "*N"]


class VerbSamples:
    """Segments by (epoch, number).

    Balanced, an epoch has as many segments of every verb as there are of the most frequent one, drawn anew for every
    epoch; of cyclic verbs, of which there are long segments but few, some part is shown each time. The paper says only
    that the cyclic verbs' training data are augmented. A mirrored screw is an unscrew, so nothing is mirrored.

    Args:
        segments: each of a verb of the config, and at least one of every verb.
        config: what the network is shown.
        seed: of all chance.
        balanced: see above; else every segment once.
        augment: turn and scale segments a little.
    """

    def __init__(
        self, segments: Sequence[VerbSegment], config: VerbClassifierConfig, seed: int, balanced: bool, augment: bool
    ) -> None:
        self.segments, self.config, self.seed = list(segments), config, seed
        self.balanced, self.augment = balanced, augment
        self.by_verb = [[k for k, s in enumerate(self.segments) if s.verb == verb] for verb in config.verbs]

    def __len__(self) -> int:
        """Samples of an epoch."""
        return len(self.by_verb) * max(map(len, self.by_verb)) if self.balanced else len(self.segments)

    def __getitem__(self, item: tuple[int, int]) -> VerbSample:
        epoch, number = item
        rng = sample_rng(self.seed, epoch, number)
        if self.balanced:
            own = self.by_verb[number % len(self.by_verb)]
            number = own[int(rng.integers(len(own)))]
        segment = self.segments[number]
        joints = segment.joints_m
        if self.balanced and segment.verb in CYCLIC:
            length = int(rng.integers(round(_SHORTEST_PART * len(segment)), len(segment) + 1))
            first = int(rng.integers(len(segment) - length + 1))
            joints = joints[first : first + length + segment.before + segment.after]
        if self.augment:
            turn = rotation_from_vector(rng.normal(0, _TURN_RAD, 3))
            joints = joints @ turn * (1 + rng.uniform(-_GROWTH, _GROWTH))
        return sample_of(joints, segment.verb, number, self.config)


def sample_of(
    joints: Float[np.ndarray, "T 2 21 3"], verb: str, number: int, config: VerbClassifierConfig
) -> VerbSample:
    """A sample."""
    shown = network_input(joints, config.frames, config.step, config.centred)
    return VerbSample(torch.from_numpy(shown), torch.tensor(config.verbs.index(verb)), torch.tensor(number))
