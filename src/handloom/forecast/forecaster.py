"""Paths P.a and P.b of G-HTT on tracks: several futures of both hands."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from handloom.datasets.motion_clips import MotionClips, motion_clips
from handloom.datasets.motions import motion_of_track
from handloom.errors import InputError
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.forecast.observed import last_clip, observed_sizes, own_shape
from handloom.forecast.own_past import LONGEST_PAST, OwnPast
from handloom.forecast.paths import encode, expand, predict_short
from handloom.forecast.recognise import Recogniser, encode_actions
from handloom.forecast.shipped import weights_folder
from handloom.formats.ghtt_weights import has_action_block, load_action_block, load_pose_block
from handloom.futures import Futures
from handloom.geometry import apply_rigid, invert_rigid
from handloom.geometry.motion_features import LOCAL_JOINTS, HandMotion, joints_from_features
from handloom.hands import HandTrack
from handloom.models.ghtt_action import ActionBlock
from handloom.models.ghtt_pose import PoseBlock

Way = Literal["auto", "a", "b"]
SPREAD = 5.0
WIDEST, LONGEST_S, MOST_SAMPLES = 100.0, 60.0, 10_000
"""What can be asked for."""
"""Standard deviations per unit of noise of a sample, as in the authors' code (the paper says 5 times the variance)."""
SHORTEST_OBSERVATION = 2


class Forecaster:
    """Predicts how tracks go on.

    Args:
        pose: block P.
        action: block A, for path P.b.
        device: where to compute.
        spread: how far samples lie from the mean.
        keep_shape: what block P gets wrong about the hands in the last observed frames it will get wrong behind them,
            too: take it off. The paper does not.
        own_past: let `forecast` weigh path P.a by how well it foretold the track's own past, see `OwnPast`; neither
            does the paper. `predict` is P.a as it is.

    Raises:
        InputError: blocks that do not belong together, or a spread outside 0 ... `WIDEST`.
    """

    def __init__(
        self,
        pose: PoseBlock,
        action: ActionBlock | None = None,
        device: Device = "cpu",
        spread: float = SPREAD,
        keep_shape: bool = True,
        own_past: bool = True,
    ) -> None:
        if not 0 <= spread <= WIDEST:
            raise InputError(f"the spread of samples lies in 0 ... {WIDEST:g}, found {spread:g}")
        self.pose, self.spread = pose.to(choose_device(device)).eval(), spread
        self.keep_shape, self.own_past = keep_shape, own_past
        self.recogniser = None if action is None else Recogniser(pose, action, device)

    @classmethod
    def from_pretrained(
        cls, weights: Path | None = None, device: Device = "auto", spread: float = SPREAD, own_past: bool = True
    ) -> "Forecaster":
        """With the weights of a folder, by default those that come with Handloom. Raises InputError."""
        folder = weights_folder(weights)
        action = load_action_block(folder) if has_action_block(folder) else None
        return cls(load_pose_block(folder), action, device, spread, own_past=own_past)

    @property
    def longest_s(self) -> float:
        """The longest forecast of path P.b, in seconds; that of P.a is not bounded by what was trained."""
        steps = 0 if self.recogniser is None else self.recogniser.action.config.steps
        return (steps + 1) * self.pose.config.clip_frames / self.pose.config.frame_rate

    def forecast(
        self,
        track: HandTrack,
        seconds: float = 1.0,
        samples: int = 20,
        path: Way = "auto",
        object_name: str | None = None,
        seed: int = 0,
    ) -> Futures:
        """How the track goes on behind its last frame.

        Args:
            track: what is observed; resampled to 30 frames per second. Path P.a looks at its last 16 frames (and, for
                `own_past`, at 30 s), P.b at the last 256, which are taken for one action.
            seconds: how far.
            samples: how many futures, the mean among them.
            path: "a", from pose to pose; "b", by way of the action; "auto" takes P.b beyond 2 s if there is a block A.
            object_name: what is in the hands; by default what the track says.
            seed: of the samples.

        Raises:
            InputError: no hand at the end, a time or number that cannot be, an object that block A does not know, or a
                time beyond what P.b was trained for.
        """
        frames = round(seconds * self.pose.config.frame_rate) if np.isfinite(seconds) else 0
        if frames < 1 or seconds > LONGEST_S:
            raise InputError(f"a forecast reaches one frame (1/30 s) to {LONGEST_S:g} s ahead; found {seconds:g} s")
        if path == "auto":
            path = "b" if self.recogniser is not None and seconds > 2 and seconds <= self.longest_s else "a"
        if path == "b" and self.recogniser is None:
            raise InputError("path b needs block A; these weights are block P alone. Use path a, or other weights")
        if path == "b" and seconds > self.longest_s:
            raise InputError(
                f"path b was trained to look {self.longest_s:.2f} s ahead, not {seconds:g} s; use path a or less time"
            )
        recording = motion_of_track(track, "track", last=max(self.observed_frames, LONGEST_PAST))
        motion = recording.motion.part(slice(-self.observed_frames, None))
        rows = None if self.recogniser is None else self._object_rows(track, motion, object_name)
        joints, valid = self.predict(motion, frames, samples, path, rows, seed)
        if path == "a" and self.own_past:
            past = OwnPast.of(self.pose, recording)
            joints = past.corrected(joints, recording.joints_m)
        if track.frame == "camera" and track.world_from_camera is not None:
            joints = apply_rigid(invert_rigid(_last_pose(track))[None, None, None], joints)
        times = track.times_s[-1] + np.arange(1, frames + 1) / self.pose.config.frame_rate
        return Futures(times, joints, valid, track.frame, path)

    @property
    def observed_frames(self) -> int:
        """The most frames that are looked at, at 30 per second."""
        clips = 1 if self.recogniser is None else self.recogniser.action.config.steps
        return clips * self.pose.config.clip_frames

    def predict(
        self,
        motion: HandMotion,
        frames: int,
        samples: int,
        path: Literal["a", "b"],
        objects: Int[np.ndarray, "clips"] | None = None,
        seed: int = 0,
        phase: int = 0,
    ) -> tuple[Float[np.ndarray, "samples frames 2 21 3"], Bool[np.ndarray, "2 21"]]:
        """The same on features: joints in the frame of the motion, NaN where not predicted, and which are predicted.

        Args:
            motion: what is observed, as a sequence of its own.
            frames, samples, path, seed: see `forecast`.
            objects: for path "b" the row of the object in every observed clip, -1 for unknown.
            phase: for path "b" the clips of the action before those that are observed.

        Raises:
            InputError: no hand in the last 16 frames, a number of samples that cannot be, or a negative seed.
        """
        t = self.pose.config.clip_frames
        recent = np.asarray(motion.known[-t:].any(0))
        if len(motion.present) < SHORTEST_OBSERVATION or not recent.any():
            raise InputError(
                "a forecast needs a hand in the last 16 frames (at 30 per second), and two frames of it or more; the "
                f"last {len(motion.present[-t:])} frames show none"
            )
        if seed < 0 or not 1 <= samples <= MOST_SAMPLES:
            raise InputError(
                f"a forecast has 1 to {MOST_SAMPLES} samples, and a seed of 0 or more; found {samples}, {seed}"
            )
        rng = np.random.Generator(np.random.Philox(seed))
        noise = rng.normal(size=(samples, -(-frames // t), self.pose.config.dim))
        noise[0] = 0
        if path == "a":
            features = self._short(motion, noise)
        else:
            clips = -(-len(motion.present) // t)
            features = self._long(motion, noise, np.full(clips, -1) if objects is None else objects, phase)
        if self.keep_shape:
            features[..., LOCAL_JOINTS] += own_shape(self.pose, last_clip(motion, t))
        sizes = observed_sizes(motion, t)[None]
        joints = joints_from_features(features[:, :frames], motion.camera_from_hand[-1], sizes)
        return np.where(recent[..., None], joints, np.nan), recent

    def blend(self, first: HandTrack, second: HandTrack, share: float) -> Futures:
        """What comes of a mid-level between those of two tracks (section 4.5): the next 16 frames.

        The mid-level alone is decoded, from the end of the first track and with its hands.

        Args:
            first, second: tracks; the last 16 frames count.
            share: of the second, 0 ... 1.

        Raises:
            InputError: a share outside 0 ... 1, or a track without a hand at its end.
        """
        t, rate = self.pose.config.clip_frames, self.pose.config.frame_rate
        motions = [motion_of_track(track, "track", last=t).motion for track in (first, second)]
        joints, known = self.blended(motions[0], motions[1], np.array([share]))
        if first.frame == "camera" and first.world_from_camera is not None:
            joints = apply_rigid(invert_rigid(_last_pose(first))[None, None, None], joints)
        times = first.times_s[-1] + np.arange(1, t + 1) / rate
        return Futures(times, joints, known, first.frame, "blend")

    @torch.inference_mode()
    def blended(
        self, first: HandMotion, second: HandMotion, shares: Float[np.ndarray, "n"]
    ) -> tuple[Float[np.ndarray, "n t 2 21 3"], Bool[np.ndarray, "2 21"]]:
        """The same on features, for several shares: joints in the frame of the first motion, and which there are.

        Raises:
            InputError: as `blend`.
        """
        if not ((shares >= 0) & (shares <= 1)).all():
            raise InputError(f"the share of the second track must lie in 0 ... 1, found {shares}")
        t = self.pose.config.clip_frames
        known = np.asarray(first.known[-t:].any(0))
        if not (known.any() and second.known[-t:].any()):
            raise InputError("both tracks need a hand in their last 16 frames (at 30 per second) to be blended")
        ends = [last_clip(motion, t) for motion in (first, second)]
        mids = [encode(self.pose, clip.features, clip.known).mean for clip in ends]
        share = torch.from_numpy(shares.astype(np.float32)).to(mids[0].device)[:, None]
        mid = (1 - share) * mids[0] + share * mids[1]
        features = expand(self.pose, mid[:, None], np.repeat(known.reshape(1, -1), len(shares), 0))
        joints = joints_from_features(features, first.camera_from_hand[-1], observed_sizes(first, t)[None])
        return np.where(known[..., None], joints, np.nan), known

    def _short(self, motion: HandMotion, noise: np.ndarray) -> Float[np.ndarray, "samples frames 153"]:
        clip = last_clip(motion, self.pose.config.clip_frames)
        repeated = MotionClips(*(np.repeat(values, len(noise), 0) for values in clip))
        return predict_short(self.pose, repeated.features, repeated.known, noise.shape[1], noise, self.spread)

    @torch.inference_mode()
    def _long(
        self, motion: HandMotion, noise: np.ndarray, rows: np.ndarray, start: int
    ) -> Float[np.ndarray, "samples frames 153"]:
        """The first clip from the last observed one, those behind it from the mid-levels that block A predicts."""
        assert self.recogniser is not None
        block, t, samples, clips = self.recogniser.action, self.pose.config.clip_frames, len(noise), noise.shape[1]
        first = self._short(motion, noise[:, :1] * 0)
        if clips == 1:
            return first
        # Clips end with the observation; a rest at its start is left out.
        count = max(len(motion.present) // t, 1)
        observed = motion_clips(motion, max(len(motion.present) - count * t, 0), len(motion.present), t)
        mids = encode(self.pose, observed.features, observed.known, observed.seen).mean[None]
        encoded = encode_actions(block, mids, rows[None, -count:], np.array([start]))
        many = type(encoded)(*(value.expand(samples, *value.shape[1:]) for value in encoded))
        drawn = torch.from_numpy(noise[:, 0].astype(np.float32)).to(mids.device)
        phase = torch.arange(start + count, start + count + clips - 1, device=mids.device).expand(samples, -1)
        seen = torch.ones(samples, clips - 1, dtype=torch.bool, device=mids.device)
        future = block.decode(many.sample(drawn, self.spread), phase, seen, many)
        known = np.repeat(motion.known[-t:].any(0).reshape(1, -1), samples, 0)
        return np.concatenate([first, expand(self.pose, future, known)], 1)

    def _object_rows(self, track: HandTrack, motion: HandMotion, name: str | None) -> np.ndarray:
        assert self.recogniser is not None
        clips = max(-(-len(motion.present) // self.pose.config.clip_frames), 1)
        seconds = len(motion.present) / self.pose.config.frame_rate
        observed = track[int(np.searchsorted(track.times_s, track.times_s[-1] - seconds)) :]
        return self.recogniser.object_rows(observed, clips, name)


def _last_pose(track: HandTrack) -> np.ndarray:
    assert track.world_from_camera is not None
    known = np.isfinite(track.world_from_camera).all((1, 2))
    if not known.any():
        raise InputError("the track has camera poses, but none of them is known")
    return np.asarray(track.world_from_camera[np.flatnonzero(known)[-1]])
