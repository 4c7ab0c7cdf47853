"""Path 1-2 of G-HTT: what is being done, clip by clip, in tracks of any length."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from handloom.datasets.motion_clips import motion_clips
from handloom.datasets.motions import motion_of_track
from handloom.errors import InputError
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.forecast.paths import device_of, encode
from handloom.forecast.shipped import weights_folder
from handloom.formats.ghtt_weights import load_action_block, load_pose_block
from handloom.geometry.motion_features import HandMotion
from handloom.hands import ActionSegment, HandTrack
from handloom.models.ghtt_action import ActionBlock
from handloom.models.ghtt_pose import PoseBlock
from handloom.models.motion_vae import Encoded

CONTEXT = 5
"""Clips that are seen together when it is not known where an action begins: 2.7 s."""
UNKNOWN = "unknown"


class ClipScores(NamedTuple):
    """Probabilities of every label in every clip of 16 frames; `start_s` and `end_s` of the clips."""

    labels: tuple[str, ...]
    start_s: Float[np.ndarray, "clips"]
    end_s: Float[np.ndarray, "clips"]
    probabilities: Float[np.ndarray, "clips labels"]


class Recogniser:
    """Names the actions of tracks.

    Args:
        pose, action: the trained blocks.
        device: where to compute.
        labels: names to choose from instead of those of the training; needs their `vectors`.
        vectors: text embeddings of `labels`, as those that the block was trained with.
        threshold: a clip whose likeliest label is less likely than this is unknown.

    Raises:
        InputError: labels that come twice, vectors of another number or width, a threshold outside 0 ... 1, or blocks
            that do not belong together.
    """

    def __init__(
        self,
        pose: PoseBlock,
        action: ActionBlock,
        device: Device = "cpu",
        labels: Sequence[str] | None = None,
        vectors: Float[np.ndarray, "labels width"] | None = None,
        threshold: float = 0.0,
    ) -> None:
        if action.config.level != "mid" or action.config.dim != pose.config.dim:
            raise InputError("these blocks do not belong together: block A must read the mid-levels of this block P")
        if not 0 <= threshold <= 1:
            raise InputError(f"the threshold is a probability, 0 ... 1; found {threshold:g}")
        if (labels is None) != (vectors is None):
            raise InputError("give labels together with their vectors")
        where = choose_device(device)
        self.pose, self.action, self.threshold = pose.to(where).eval(), action.to(where).eval(), threshold
        self.labels = tuple(labels) if labels is not None else action.config.actions
        if twice := next((name for name in self.labels if self.labels.count(name) > 1), None):
            raise InputError(f"labels must differ, but {twice!r} comes twice")
        given = None
        if vectors is not None:
            expected = (len(self.labels), action.config.label_dim)
            if vectors.shape != expected:
                raise InputError(
                    f"vectors of {len(self.labels)} labels must have shape {expected}, not {vectors.shape}"
                )
            given = torch.from_numpy(vectors.astype(np.float32)).to(where)
        with torch.inference_mode():
            self._places = action.labels(given)

    @classmethod
    def from_pretrained(
        cls,
        weights: Path | None = None,
        device: Device = "auto",
        labels: Sequence[str] | None = None,
        vectors: Float[np.ndarray, "labels width"] | None = None,
        threshold: float = 0.0,
    ) -> "Recogniser":
        """With the weights of a folder, by default those that come with Handloom. Raises InputError."""
        folder = weights_folder(weights)
        return cls(load_pose_block(folder), load_action_block(folder), device, labels, vectors, threshold)

    def recognise(
        self, track: HandTrack, object_name: str | None = None, whole: bool = False
    ) -> tuple[HandTrack, ClipScores]:
        """The track with its actions, and the scores of all clips.

        Args:
            track: of any length; resampled to 30 frames per second.
            object_name: what is in the hands; by default what the track says, and nothing if it does not.
            whole: the track shows one action from its start to its end. Else the label of a clip is that of the
                clips around it, and neighbours of one label become one segment; clips that are unknown, and such
                without a hand, belong to none.

        Raises:
            InputError: no hand, fewer than two frames, or an object that the network does not know.
        """
        if len(track) < 2 or not track.valid.any():
            raise InputError(f"a track needs two frames and a hand; this one has {len(track)} frames")
        recording = motion_of_track(track, "track")
        t, rate = self.pose.config.clip_frames, self.pose.config.frame_rate
        mids, present = self._mids(recording.motion)
        objects = self.object_rows(track, len(mids), object_name)
        n = self.action.config.steps
        if whole:
            spans = [(at, min(at + n, len(mids))) for at in range(0, len(mids), n)]
            parts = [np.repeat(self._probabilities(mids[a:b], objects[a:b], a)[None], b - a, 0) for a, b in spans]
            probabilities = np.concatenate(parts)
            probabilities[:] = probabilities.mean(0)
        else:
            reach = range(-(CONTEXT // 2), CONTEXT // 2 + 1)
            windows = [(max(k + reach[0], 0), min(k + reach[-1] + 1, len(mids))) for k in range(len(mids))]
            probabilities = np.stack([self._probabilities(mids[a:b], objects[a:b], 0) for a, b in windows])
        start = track.times_s[0] + np.arange(len(mids)) * t / rate
        end = np.append(start[1:], track.times_s[0] + len(recording) / rate)
        scores = ClipScores(self.labels, start, end, probabilities)
        return replace(track, actions=self._segments(scores, present)), scores

    def probabilities(self, motion: HandMotion) -> Float[np.ndarray, "labels"]:
        """Of every label, for a motion that is the beginning of one action, with nothing told of its object."""
        mids, _ = self._mids(motion)
        mids = mids[: self.action.config.steps]
        return self._probabilities(mids, np.full(len(mids), -1), 0)

    def object_rows(self, track: HandTrack, clips: int, name: str | None) -> Int[np.ndarray, "clips"]:
        """Row of the object in each clip among those of block A, -1 where it is not known."""
        known = {known: row for row, known in enumerate(self.action.config.objects)}
        if name is not None:
            if name not in known:
                raise InputError(f"the network does not know the object {name!r}; it knows {', '.join(known)}")
            return np.full(clips, known[name])
        rows = np.full(clips, -1)
        if track.object_probabilities is not None:
            t, rate = self.pose.config.clip_frames, self.pose.config.frame_rate
            clip = ((track.times_s - track.times_s[0]) * rate // t).astype(int).clip(max=clips - 1)
            for k in range(clips):
                sums = np.nansum(track.object_probabilities[clip == k], 0)
                if sums.any():
                    rows[k] = known.get(track.object_names[int(sums.argmax())], -1)
        return rows

    @torch.inference_mode()
    def _mids(self, motion: HandMotion) -> tuple[Tensor, np.ndarray]:
        clips = motion_clips(motion, 0, len(motion.present), self.pose.config.clip_frames)
        present = np.asarray(clips.known.any((1, 2)))
        return encode(self.pose, clips.features, clips.known, clips.seen).mean, present

    @torch.inference_mode()
    def _probabilities(self, mids: Tensor, rows: Int[np.ndarray, "n"], phase: int) -> Float[np.ndarray, "labels"]:
        mean = encode_actions(self.action, mids[None], rows[None], np.array([phase])).mean
        return np.asarray(self.action.logits(mean, self._places).softmax(-1)[0].cpu().numpy())

    def _segments(self, scores: ClipScores, present: np.ndarray) -> tuple[ActionSegment, ...]:
        best, score = scores.probabilities.argmax(-1), scores.probabilities.max(-1)
        rows = np.where(present & (score >= self.threshold), best, -1)
        segments = []
        start = 0
        for k in range(1, len(rows) + 1):
            if k == len(rows) or rows[k] != rows[start]:
                if rows[start] >= 0:
                    sure = float(np.clip(score[start:k].mean(), 0, 1))
                    span = float(scores.start_s[start]), float(scores.end_s[k - 1])
                    segments.append(ActionSegment(self.labels[rows[start]], *span, sure))
                start = k
        return tuple(segments)


def encode_actions(
    block: ActionBlock, mids: Float[Tensor, "B n dim"], rows: Int[np.ndarray, "B n"], phase: Int[np.ndarray, "B"]
) -> Encoded:
    """Block A's encoder on clips in a row; `rows` are objects, -1 for unknown, `phase` that of the first clip."""
    device = device_of(block)
    noun = torch.from_numpy(rows).to(device)
    objects = torch.where((noun >= 0)[..., None], block.object_vectors[noun.clamp(min=0)], 0.0)
    steps = torch.from_numpy(phase).to(device)[:, None] + torch.arange(mids.shape[1], device=device)
    return block.encode(mids, objects, steps, torch.ones(mids.shape[:2], dtype=torch.bool, device=device))
