"""Windows of motion as tensors: what block P reads, and what should come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from handloom.datasets.motions import MotionRecording
from handloom.datasets.pose_noise import add_pose_noise, draw_observed_length
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.geometry import invert_rigid
from handloom.geometry.motion_features import PER_METRE, HandMotion, to_pose9
from handloom.training.ghtt_loss import PoseTarget

SMALLEST_SPREAD = 2e-3
"""Of a feature that hardly ever changes."""


@dataclass(frozen=True)
class Disturbance:
    """What is done to observed motion in training.

    Attributes:
        noise: strength of the paper's noise, which is on every frame; 1 as published.
        vary: the strength is another one for every window, between none and `noise`, and mostly little: the paper's
            7.5 mm from frame to frame hide the motion of slow hands.
        shorten: observe fewer frames at times, as the authors' code does.
        hide: how often a hand is hidden, in a stretch of the observed frames or in all of them. The paper's data
            always shows both hands; trackers do not.
    """

    noise: float = 1.0
    vary: bool = False
    shorten: bool = True
    hide: float = 0.0


class PoseSample(NamedTuple):
    """One window, or a batch: the observed half as it is given to P, the truth of both, and noise for the latent."""

    features: Float[Tensor, "*B t 153"]
    known: Bool[Tensor, "*B t 42"]
    seen: Bool[Tensor, "*B t"]
    target: PoseTarget
    noise: Float[Tensor, "*B dim"]
    place: Tensor


class PoseSamples:
    """Windows of t observed and t future frames from anywhere in recordings; items are (epoch, number).

    A window begins every t frames, and with a `seed` somewhere in the t frames behind it, anew in each epoch.

    Raises:
        InputError: no recording is long enough.
    """

    def __init__(
        self,
        recordings: Sequence[MotionRecording],
        t: int,
        dim: int,
        disturbance: Disturbance,
        seed: int | None,
    ) -> None:
        self.recordings, self.t, self.dim, self.disturbance, self.seed = recordings, t, dim, disturbance, seed
        self.starts = [
            (k, start) for k, recording in enumerate(recordings) for start in range(0, len(recording) - 2 * t + 1, t)
        ]
        if not self.starts:
            raise InputError(f"no recording has {2 * t} frames at 30 frames per second, which block P is trained on")

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.starts)

    def __getitem__(self, item: tuple[int, int]) -> PoseSample:
        epoch, number = item
        index, start = self.starts[number]
        recording, t = self.recordings[index], self.t
        rng = sample_rng(self.seed or 0, epoch, number)
        observed = t
        if self.seed is not None:
            start = min(start + int(rng.integers(t)), len(recording) - 2 * t)
            observed = draw_observed_length(rng, t) if self.disturbance.shorten else t
        motion = recording.motion.part(slice(start, start + observed + t))
        # A short observation is filled up by repeating its last frame, which the encoder does not see.
        rows = np.minimum(np.arange(t), observed - 1)
        given = motion.part(slice(0, observed))
        if self.seed is not None:
            given = self._disturbed(given, rng)
        truth = np.concatenate([rows, np.arange(observed, observed + t)])
        way = to_pose9(
            invert_rigid(motion.camera_from_hand[observed - 1]) @ motion.camera_from_hand[observed:], PER_METRE
        )
        present = motion.present[observed:] & motion.present[observed - 1]
        return PoseSample(
            features=_float(given.features[rows]),
            known=torch.from_numpy(given.known[rows].reshape(t, -1)),
            seen=torch.from_numpy(np.arange(t) < observed),
            target=PoseTarget(
                _float(motion.features[truth]),
                torch.from_numpy(counted(motion)[truth]),
                _float(way),
                torch.from_numpy(present),
            ),
            noise=_float(rng.normal(size=self.dim)),
            place=torch.tensor([index, start]),
        )

    def _disturbed(self, given: HandMotion, rng: np.random.Generator) -> HandMotion:
        if rng.uniform() < self.disturbance.hide:
            frames, hidden = len(given.present), np.zeros(given.present.shape, bool)
            first, last = np.sort(rng.integers(0, frames + 1, 2)) if rng.uniform() < 0.7 else (0, frames)
            hidden[first:last, rng.integers(2)] = True
            given = given.without(hidden)
        if self.disturbance.noise == 0:
            return given
        # The first frame of a sequence has no motion, noise or not.
        strength = self.disturbance.noise * (rng.uniform() ** 3 if self.disturbance.vary else 1.0)
        noisy = add_pose_noise(given.features, rng, strength)
        noisy[0, 126:144] = given.features[0, 126:144]
        return given._replace(features=noisy)


def counted(motion: HandMotion) -> Bool[np.ndarray, "T 153"]:
    """Which features are known: joints, velocities between two sightings, left to right where both are seen."""
    T = len(motion.present)
    before = np.concatenate([motion.present[:1], motion.present[:-1]])
    moving = np.repeat(motion.present & before, 9, -1)
    pair = np.repeat(motion.present.all(-1, keepdims=True), 9, -1)
    return np.concatenate([np.repeat(motion.known.reshape(T, -1), 3, -1), moving, pair], -1)


def feature_statistics(recordings: Sequence[MotionRecording]) -> tuple[Tensor, Tensor]:
    """Mean and spread of every feature over all that is known; see `set_statistics`."""
    features = np.concatenate([recording.motion.features for recording in recordings])
    known = np.concatenate([counted(recording.motion) for recording in recordings])
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, features, 0).sum(0) / count
    spread = np.sqrt((np.where(known, features - mean, 0) ** 2).sum(0) / count)
    return _float(mean), _float(np.maximum(spread, SMALLEST_SPREAD))


def _float(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
