"""Labelled segments as tensors: what block A reads, and what should come out.

A segment is cut at random into what is observed and what follows (section 3.3). At level "mid" its steps are clips,
whose mid-levels block P computes once; at level "pose" they are frames.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from handloom.datasets.motion_clips import MotionClips, motion_clips
from handloom.datasets.motions import MotionRecording
from handloom.datasets.pose_noise import add_pose_noise
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.forecast.paths import encode
from handloom.geometry.motion_features import MOTION, STILL
from handloom.models.ghtt_action import ActionBlockConfig
from handloom.models.ghtt_pose import PoseBlock
from handloom.training.ghtt_samples import counted
from handloom.training.motion_run import padded

OFFSETS = 4
"""Cuts of a segment into clips that training knows: from its start on, and from 4, 8, 12 frames later."""
ENCODED_AT_ONCE = 512


class ActionSample(NamedTuple):
    """One segment, or a batch; n observed and n future steps, padded."""

    inputs: Float[Tensor, "*B n width"]
    known: Bool[Tensor, "*B n 42"]
    noun: Int[Tensor, "*B"]
    phase: Int[Tensor, "*B n"]
    seen: Bool[Tensor, "*B n"]
    future: Float[Tensor, "*B n width"]
    future_counted: Bool[Tensor, "*B n width"]
    future_phase: Int[Tensor, "*B n"]
    future_seen: Bool[Tensor, "*B n"]
    action: Int[Tensor, "*B"]
    noise: Float[Tensor, "*B dim"]
    place: Tensor


def without_padding(batch: ActionSample) -> ActionSample:
    """A batch without the steps that are padding in all its segments; they cost time and say nothing."""
    observed, ahead = (
        slice(max(1, int(there.any(0).sum()))) for there in (batch.seen, batch.future_seen)
    )  # fmt: skip
    return batch._replace(
        inputs=batch.inputs[:, observed],
        known=batch.known[:, observed],
        phase=batch.phase[:, observed],
        seen=batch.seen[:, observed],
        future=batch.future[:, ahead],
        future_counted=batch.future_counted[:, ahead],
        future_phase=batch.future_phase[:, ahead],
        future_seen=batch.future_seen[:, ahead],
    )


class Steps(NamedTuple):
    """The steps of a segment: what is read, what it should be, and which of it counts."""

    given: Float[np.ndarray, "n width"]
    truth: Float[np.ndarray, "n width"]
    known: Bool[np.ndarray, "n 42"]
    counted: Bool[np.ndarray, "n width"]


class ActionSamples:
    """Segments of recordings by (epoch, number); with a `seed`, cut and disturbed anew in each epoch.

    Without, all of a segment is observed. `mid_noise` and `hide_noun` are those of the recipe.

    Raises:
        InputError: no labelled segment, or a label that the block does not know.
    """

    def __init__(
        self,
        recordings: Sequence[MotionRecording],
        config: ActionBlockConfig,
        pose_block: PoseBlock,
        seed: int | None,
        mid_noise: float = 0.0,
        hide_noun: float = 0.0,
    ) -> None:
        self.recordings, self.config, self.seed = recordings, config, seed
        self.mid_noise, self.hide_noun = mid_noise, hide_noun
        self.t = pose_block.config.clip_frames
        self.segments = [(k, segment) for k, r in enumerate(recordings) for segment in r.segments]
        if not self.segments:
            raise InputError("no recording has a labelled action; block A learns from labelled segments")
        actions = {name: row for row, name in enumerate(config.actions)}
        if unknown := [s.label for _, s in self.segments if s.label not in actions]:
            raise InputError(f"the action {unknown[0]!r} is not among those of the network")
        objects = {name: row for row, name in enumerate(config.objects)}
        self.rows = [(actions[s.label], objects.get(s.noun, -1)) for _, s in self.segments]
        self.mids: dict[tuple[int, int, bool], Float[np.ndarray, "n dim"]] = {}
        self.spread = 1.0
        if config.level == "mid":
            self._encode_all(pose_block)

    def __len__(self) -> int:
        """Number of segments."""
        return len(self.segments)

    def __getitem__(self, item: tuple[int, int]) -> ActionSample:
        epoch, number = item
        rng = sample_rng(self.seed or 0, epoch, number)
        offset = int(rng.integers(OFFSETS)) if self.seed is not None else 0
        steps = self._steps(number, self._offset(number, offset), rng)
        count, unit = len(steps.given), 1 if self.config.level == "mid" else self.t
        cut = count
        if self.seed is not None:
            cut = unit * int(rng.integers(1, -(-count // unit) + 1))
        cut, n = min(cut, count), self.config.steps
        first, last = max(0, cut - n), min(count, cut + n)
        width, phase = steps.given.shape[1], np.arange(count)
        given = steps.given[first:cut]
        if self.seed is not None and self.config.level == "mid":
            given = given + rng.normal(0, self.mid_noise * self.spread, given.shape)
        action, noun = self.rows[number]
        if self.seed is not None and rng.uniform() < self.hide_noun:
            noun = -1
        return ActionSample(
            inputs=padded(given, n, np.float32),
            known=padded(steps.known[first:cut], n, bool),
            noun=torch.tensor(noun),
            phase=padded(phase[first:cut], n, np.int64),
            seen=torch.arange(n) < cut - first,
            future=padded(steps.truth[cut:last], n, np.float32) if cut < last else torch.zeros(n, width),
            future_counted=padded(steps.counted[cut:last], n, bool),
            future_phase=torch.arange(cut, cut + n),
            future_seen=torch.arange(n) < last - cut,
            action=torch.tensor(action),
            noise=torch.from_numpy(rng.normal(size=self.config.dim).astype(np.float32)),
            place=torch.tensor([self.segments[number][0], self.segments[number][1].start]),
        )

    def place_name(self, place: Sequence[int]) -> str:
        """A recording and a frame, for people."""
        return f"{self.recordings[place[0]].name} from frame {place[1]}"

    def _offset(self, number: int, offset: int) -> int:
        """Frames by which a segment is begun later: short ones begin at their start."""
        _, segment = self.segments[number]
        frames = offset * self.t // OFFSETS
        return frames if segment.end - segment.start - frames >= 2 * self.t else 0

    def _steps(self, number: int, offset: int, rng: np.random.Generator) -> Steps:
        index, segment = self.segments[number]
        if self.config.level == "mid":
            truth = self.mids[number, offset, False]
            noisy = self.seed is not None and rng.uniform() < 0.5
            given = self.mids[number, offset, noisy]
            return Steps(given, truth, np.ones((len(truth), 42), bool), np.ones(truth.shape, bool))
        motion = self.recordings[index].motion.part(slice(segment.start + offset, segment.end))
        given = motion.features
        if self.seed is not None:
            given = add_pose_noise(given, rng)
            given[0, MOTION] = STILL * 2
        return Steps(given, motion.features, motion.known.reshape(len(given), -1), counted(motion))

    def _encode_all(self, block: PoseBlock) -> None:
        """Mid-levels of all clips, and in training of noisy ones, too."""
        jobs: list[tuple[tuple[int, int, bool], MotionClips]] = []
        for number, (index, segment) in enumerate(self.segments):
            offsets = {self._offset(number, k) for k in range(OFFSETS if self.seed is not None else 1)}
            for offset in sorted(offsets):
                clips = motion_clips(self.recordings[index].motion, segment.start + offset, segment.end, self.t)
                jobs.append(((number, offset, False), clips))
                if self.seed is not None:
                    noisy = add_pose_noise(clips.features, sample_rng(self.seed, number, offset))
                    noisy[:, 0, MOTION] = STILL * 2
                    jobs.append(((number, offset, True), clips._replace(features=noisy)))
        means = mid_levels(block, [clips for _, clips in jobs])
        self.mids = {key: mid for (key, _), mid in zip(jobs, means)}
        self.spread = float(np.concatenate([mid for key, mid in self.mids.items() if not key[2]]).std())


@torch.inference_mode()
def mid_levels(block: PoseBlock, clips: Sequence[MotionClips]) -> list[Float[np.ndarray, "n dim"]]:
    """The mean mid-level of every clip."""
    stacked = MotionClips(*(np.concatenate(values) for values in zip(*clips)))
    parts = []
    for start in range(0, len(stacked.seen), ENCODED_AT_ONCE):
        chosen = slice(start, start + ENCODED_AT_ONCE)
        encoded = encode(block, stacked.features[chosen], stacked.known[chosen], stacked.seen[chosen])
        parts.append(encoded.mean.cpu().numpy())
    ends = np.cumsum([len(item.seen) for item in clips])[:-1]
    return np.split(np.concatenate(parts), ends)
