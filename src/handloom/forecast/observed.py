"""The end of an observation: what block P reads of it, and what is kept of its hands in all that is foretold."""

import numpy as np
import torch
from jaxtyping import Float

from handloom.datasets.motion_clips import MotionClips
from handloom.forecast.paths import encode
from handloom.geometry.motion_features import LOCAL_JOINTS, HandMotion, unit_palms
from handloom.models.ghtt_pose import PoseBlock

SHAPE_FRAMES = 4
"""Over which a difference of shape is averaged: fingers move, trackers jitter."""


@torch.inference_mode()
def own_shape(block: PoseBlock, clips: MotionClips) -> Float[np.ndarray, "N 126"]:
    """How the last frames of clips differ from what block P makes of them; 0 for joints that are not known."""
    refined = unit_palms(block.refined(encode(block, clips.features, clips.known)).double()).cpu().numpy()
    known = np.repeat(clips.known[:, -SHAPE_FRAMES:], 3, -1)
    apart = (clips.features - refined)[:, -SHAPE_FRAMES:, LOCAL_JOINTS]
    return np.asarray((apart * known).sum(1) / np.maximum(known.sum(1), 1))


def last_clip(motion: HandMotion, t: int) -> MotionClips:
    """The last t frames; of a shorter motion its first frame is repeated in front, at rest."""
    part = motion.part(slice(-t, None)) if len(motion.present) >= t else motion
    rows = np.maximum(np.arange(t) - (t - len(part.present)), 0)
    known = part.known[rows].reshape(1, t, -1)
    return MotionClips(part.features[rows][None], known, np.ones((1, t), bool))


def observed_sizes(motion: HandMotion, t: int) -> Float[np.ndarray, "2"]:
    """Palm sizes over the last t frames: the mean of those that were seen."""
    sizes, present = motion.sizes_m[-t:], motion.present[-t:]
    return np.array([(sizes[present[:, k], k] if present[:, k].any() else sizes[:, k]).mean() for k in range(2)])
