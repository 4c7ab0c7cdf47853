"""Path 1 of G-HTT on tracks of any length: per-frame poses become motion, and short gaps are closed."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from handloom.datasets.motion_clips import MotionClips, motion_clips
from handloom.datasets.motions import MotionRecording, motion_of_track
from handloom.errors import InputError
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.forecast.agreement import in_line, smoothed
from handloom.forecast.gaps import bridged
from handloom.forecast.paths import encode, goal_consistent, way_from_start
from handloom.forecast.shipped import weights_folder
from handloom.formats.ghtt_weights import load_pose_block
from handloom.geometry import apply_rigid, invert_rigid
from handloom.geometry.motion_features import hand_motion, local_joints, unit_palms
from handloom.hands import HandTrack
from handloom.models.ghtt_pose import PoseBlock
from handloom.resampling import resample_joints

STRIDE = 4
"""Frames between two windows: every frame is refined in four, which are averaged."""
FILLED_CONFIDENCE = 0.5
"""How sure a joint is that was not seen, relative to the sightings around it."""
AT_ONCE = 256


class Refiner:
    """Refines tracks with block P, on which tracker they may come from.

    Args:
        block: the trained block.
        device: where to compute.
    """

    def __init__(self, block: PoseBlock, device: Device = "cpu") -> None:
        self.block = block.to(choose_device(device)).eval()

    @classmethod
    def from_pretrained(cls, weights: Path | None = None, device: Device = "auto") -> "Refiner":
        """With the weights of a folder, by default those that come with Handloom. Raises InputError."""
        return cls(load_pose_block(weights_folder(weights)), device)

    def refine(self, track: HandTrack) -> HandTrack:
        """The track with refined joints at the same times.

        Frames are brought to 30 per second and back. A joint stays missing where it is missing for longer than
        `FILLED_FRAMES`, or where the hand's palm never is whole; image positions are those of the new joints.

        Raises:
            InputError: the track is shorter than two frames, or shows no hand.
        """
        if len(track) < 2 or not track.valid.any():
            raise InputError(f"a track needs two frames and a hand to be refined; this one has {len(track)} frames")
        recording = motion_of_track(track, "track")
        joints, known = refine_joints(self.block, recording)
        times = track.times_s[0] + np.arange(len(recording)) / self.block.config.frame_rate
        inside = np.minimum(track.times_s, times[-1])
        back, valid = resample_joints(times, joints, known, inside)
        if track.frame == "camera" and track.world_from_camera is not None:
            posed = np.isfinite(track.world_from_camera).all((1, 2))
            poses = np.where(posed[:, None, None], track.world_from_camera, np.eye(4))
            back, valid = apply_rigid(invert_rigid(poses)[:, None], back), valid & posed[:, None, None]
        # What the network says nothing of stays as the tracker has it.
        kept = track.valid & ~valid
        back = np.where(kept[..., None], track.joints_m, back)
        valid |= kept
        confidence = np.where(track.valid, track.confidence, _filled_confidence(track))
        return replace(
            track,
            joints_m=np.where(valid[..., None], back, np.nan),
            valid=valid,
            confidence=confidence,
            keypoints_px=_projected(track, back, valid),
        )


@torch.inference_mode()
def refine_joints(
    block: PoseBlock, recording: MotionRecording
) -> tuple[Float[np.ndarray, "T 2 21 3"], Bool[np.ndarray, "T 2 21"]]:
    """Refined joints of a recording, and which of them exist; short gaps are closed (`gaps.bridged`).

    The network reads what is smoothed as far as the data allow, in windows of t frames that overlap. In each, the
    joints are those of the encoder, and the way of the wrist is the encoder's, bent to agree with the input at both
    ends of the window (section 3.2, and the released code); of each frame, windows in whose middle it lies count most.
    What comes out is brought into line with the recording (`agreement.in_line`).
    """
    return bridged(partial(_refined, block, recording.joints_m), recording.joints_m, recording.motion.known)


def _refined(
    block: PoseBlock, joints_m: Float[np.ndarray, "T 2 21 3"], known: Bool[np.ndarray, "T 2 21"]
) -> Float[np.ndarray, "T 2 21 3"]:
    rate, t, T = block.config.frame_rate, block.config.clip_frames, len(joints_m)
    motion = hand_motion(smoothed(joints_m, known, rate), known)
    starts = sorted({*range(0, max(T - t, 0) + 1, STRIDE), max(T - t, 0)})
    clips = [motion_clips(motion, start, min(start + t, T), t) for start in starts]
    stacked = MotionClips(*(np.concatenate(values) for values in zip(*clips)))
    parts = []
    for first in range(0, len(starts), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        encoded = encode(block, stacked.features[rows], stacked.known[rows])
        parts.append(unit_palms(block.refined(encoded).double()).cpu().numpy())
    refined = np.concatenate(parts)
    frames = np.minimum(np.array(starts)[:, None] + np.arange(t), T - 1)
    from_start = invert_rigid(motion.camera_from_hand[frames[:, 0]])
    last = frames[:, -1] - frames[:, 0]
    way = way_from_start(refined)
    if T > 1:
        way = goal_consistent(way, from_start @ motion.camera_from_hand[frames[:, -1]], last)
    sizes = np.where(motion.present, motion.sizes_m, np.nan)
    size = np.array([np.nanmean(hand) if np.isfinite(hand).any() else np.nan for hand in sizes.T])
    hands = motion.camera_from_hand[frames[:, 0]][:, None] @ way
    joints = apply_rigid(hands, local_joints(refined) * size[:, None, None])
    weight = np.broadcast_to(np.sin(np.pi * (np.arange(t) + 0.5) / t) ** 2, frames.shape)
    weight = np.where(np.arange(t) <= last[:, None], weight, 0.0)
    total, sums = np.zeros(T), np.zeros((T, 2, 21, 3))
    np.add.at(total, frames, weight)
    np.add.at(sums, frames, weight[..., None, None, None] * joints)
    made = sums / total[:, None, None, None]
    return in_line(made, joints_m, known, rate)


def _filled_confidence(track: HandTrack) -> Float[np.ndarray, "T 2 21"]:
    """Half of the lower confidence beside the gap."""
    T = len(track)
    rows = np.arange(T)[:, None, None]
    before = np.maximum.accumulate(np.where(track.valid, rows, -1), 0)
    behind = np.minimum.accumulate(np.where(track.valid, rows, T)[::-1], 0)[::-1]
    sure = np.where(track.valid, track.confidence, 0)
    beside = [np.take_along_axis(sure, np.clip(at, 0, T - 1), 0) for at in (before, behind)]
    return np.asarray(FILLED_CONFIDENCE * np.minimum(*beside))


def _projected(
    track: HandTrack, joints_m: Float[np.ndarray, "T 2 21 3"], valid: Bool[np.ndarray, "T 2 21"]
) -> Float[np.ndarray, "T 2 21 2"]:
    if track.camera is None or track.frame != "camera":
        return np.asarray(track.keypoints_px)
    pixels, _ = track.camera.project(np.where(valid[..., None], joints_m, [0, 0, 1.0]))
    return np.where(valid[..., None], pixels, np.nan)
