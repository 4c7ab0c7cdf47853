"""From image keypoints with relative depth to metric joints in camera space, using the whole clip.

The usual way places a tracker's metric joints so that they reproject, frame by frame; the depth then inherits every
error of their size. Here each frame gives a skeleton that is right up to scale: its joints lie on their viewing rays,
at 1 + (relative depth) / (focal length). A hand's bones keep their lengths, so over a clip one set of bone lengths
explains all frames, and the scale of each frame, which is its depth, follows in closed form. Depth is then smoothed
along the ray. (Scale-normalised 2.5D pose: Iqbal et al., "Hand pose estimation via latent 2.5D heatmap regression",
ECCV 2018, section 3.2; there with one bone, one frame and a known length.)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from handloom.geometry import BrownConrady, Camera, Pinhole
from handloom.skeleton import BONES, HANDS, MIDDLE_MCP, WRIST, bone_lengths
from handloom.smoothing import OneEuro, smooth_zero_phase

DEPTH_CUTOFF_HZ = 2.0
"""Depth along the ray changes slower than this; reaching movements stay below."""
REFINEMENTS = 10
MIN_BONES = 10
"""A hand of which fewer bones have a length in the picture is not placed."""
TINY = 1e-12
SIZE_BONE = BONES.index((WRIST, MIDDLE_MCP))
ADULT_BONES_M = 0.001 * np.array(
    [
        30,
        46.2,
        31.6,
        21.7,
        92.1,
        39.8,
        22.4,
        15.8,
        88.6,
        44.6,
        26.3,
        17.4,
        82.0,
        41.4,
        25.7,
        17.3,
        77.7,
        32.7,
        18.1,
        16.0,
    ]
)
"""Average adult bones in the order of `BONES`. Metacarpals and phalanges: Buryanov and Kotiuk, "Proportions of hand
segments", Int. J. Morphology 28 (2010), table of means; the wrist lies 24 mm behind the metacarpals (30 mm, thumb)."""


@dataclass(frozen=True, eq=False)
class ClipLift:
    """Joints in camera space and what is known of the hand.

    Attributes:
        joints_m: metres; NaN where the hand was not seen.
        bone_lengths_m: the clip's constant lengths, in the order of `BONES`.
    """

    joints_m: Float[np.ndarray, "T 2 21 3"]
    bone_lengths_m: Float[np.ndarray, "20"]


def skeletons_up_to_scale(
    camera: Camera, keypoints_px: Float[np.ndarray, "*batch 21 2"], depth_px: Float[np.ndarray, "*batch 21"]
) -> Float[np.ndarray, "*batch 21 3"]:
    """Joints on their viewing rays, the wrist at distance 1 along the depth axis. NaN where a keypoint has no ray.

    Depth is counted along the optical axis for perspective cameras. A fisheye has no image plane; there the axis is
    the mean ray to the hand, and the focal length is the local one, in pixels per radian.
    """
    rays, valid = camera.unproject(np.asarray(keypoints_px, np.float64))
    rays = np.where(valid[..., None], rays, np.nan)
    if isinstance(camera, Pinhole | BrownConrady):
        rays = rays / rays[..., 2:]
        focal_px: np.ndarray | float = np.sqrt(camera.fx * camera.fy)
    else:
        axis = rays.mean(-2, keepdims=True)
        axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
        rays = rays / (rays * axis).sum(-1, keepdims=True)
        focal_px = (_spread(keypoints_px) / _spread(rays))[..., None]
    return np.asarray(rays * (1 + depth_px / focal_px)[..., None])


def depth_from_bones(
    lengths: Float[np.ndarray, "*batch 20"], true_lengths: Float[np.ndarray, "20"]
) -> Float[np.ndarray, "*batch"]:
    """The scale z that brings a unit-depth skeleton's bones nearest to their true lengths, in least squares.

    Bones of unknown length (NaN) are left out; with fewer than `MIN_BONES` the depth is NaN.
    """
    known = np.isfinite(lengths)
    enough = known.sum(-1) >= MIN_BONES
    across = np.where(known, lengths * true_lengths, 0.0).sum(-1)
    along = np.where(known, lengths**2, 0.0).sum(-1)
    return np.asarray(np.where(enough, across / np.where(enough, along, 1.0), np.nan))


def constant_bone_lengths(
    lengths: Float[np.ndarray, "frames 20"], weights: Float[np.ndarray, "frames"]
) -> Float[np.ndarray, "20"]:
    """Bone proportions, summing to 1, that explain all frames of a hand at unknown depths; all lengths are known.

    Alternates between the depth of every frame and the weighted median of every bone.
    """
    proportions = _weighted_median(lengths / lengths.sum(1, keepdims=True), weights)
    for _ in range(REFINEMENTS):
        depth = depth_from_bones(lengths, proportions)
        proportions = _weighted_median(lengths * depth[:, None], weights)
        proportions /= proportions.sum()
    return proportions


def lift_clip(
    camera: Camera,
    times_s: Float[np.ndarray, "T"],
    keypoints_px: Float[np.ndarray, "T 2 21 2"],
    depth_px: Float[np.ndarray, "T 2 21"],
    confidence: Float[np.ndarray, "T 2"],
    skeleton_length_m: float,
) -> ClipLift:
    """Lift a whole clip. Both hands share their bone lengths: they belong to one person.

    Args:
        camera: intrinsics of the images.
        times_s: frame times.
        keypoints_px: NaN where a hand is missing.
        depth_px: depth relative to the wrist in pixels of the image plane.
        confidence: of each hand in each frame.
        skeleton_length_m: sum of the 20 bone lengths; fixes the scale.
    """
    unit = skeletons_up_to_scale(camera, keypoints_px, depth_px)
    joints = np.full((*depth_px.shape, 3), np.nan)
    lengths = bone_lengths(unit)
    whole = np.isfinite(lengths).all(2)
    if not whole.any():
        return ClipLift(joints, np.full(len(BONES), np.nan))
    true_lengths = constant_bone_lengths(lengths[whole], np.maximum(confidence[whole], 1e-3))
    true_lengths *= skeleton_length_m

    depth = depth_from_bones(lengths, true_lengths)
    misfit = np.nan_to_num((lengths * depth[..., None] / true_lengths - 1) ** 2).mean(-1)
    # A frame whose bones fit badly says little about depth: weight by inverse variance, floored at the typical one.
    weights = confidence / (1 + misfit / max(float(np.median(misfit[whole])), TINY))
    for hand in range(len(HANDS)):
        log_depth = np.log(depth[:, hand])[:, None]
        smooth = np.exp(smooth_zero_phase(times_s, log_depth, DEPTH_CUTOFF_HZ, weights[:, hand]))
        joints[:, hand] = unit[:, hand] * smooth[:, :, None]
    return ClipLift(joints, true_lengths)


def lift_flat(camera: Camera, keypoints_px: Float[np.ndarray, "*batch 21 2"]) -> Float[np.ndarray, "*batch 21 3"]:
    """Joints from 2D keypoints alone: the hand is flat, at the depth that an average hand of its size would have.

    A bone that points at the camera looks short, never long, so the depth comes from the bones that look longest:
    the 10th percentile over the bones of (average length) / (apparent length).
    """
    unit = skeletons_up_to_scale(camera, keypoints_px, np.zeros(keypoints_px.shape[:-1]))
    lengths = bone_lengths(unit)
    known = np.isfinite(lengths).any(-1)
    depth = np.full(known.shape, np.nan)
    depth[known] = np.nanpercentile(ADULT_BONES_M / lengths[known], 10, axis=-1)
    return unit * depth[..., None, None]


class LiveLift:
    """The same from the past alone: running bone lengths and a One-Euro filter on log depth per hand."""

    MEMORY_FRAMES = 300

    def __init__(self, camera: Camera, hand_size_m: float | None = None):
        self.camera = camera
        self.hand_size_m = hand_size_m
        self._proportions = np.zeros(0)
        self._skeleton_length_m = 0.0
        self._frames = 0
        self._filters = {hand: OneEuro(min_cutoff_hz=DEPTH_CUTOFF_HZ, beta=2.0) for hand in range(len(HANDS))}

    def push(
        self,
        time_s: float,
        hand: int,
        keypoints_px: Float[np.ndarray, "21 2"],
        depth_px: Float[np.ndarray, "21"],
        skeleton_length_m: float,
    ) -> Float[np.ndarray, "21 3"]:
        """Joints of one hand in metres; NaN where a keypoint has no ray, and until a whole hand has been seen."""
        unit = skeletons_up_to_scale(self.camera, keypoints_px, depth_px)
        lengths = bone_lengths(unit)
        if np.isfinite(lengths).all():
            self._learn(lengths, skeleton_length_m)
        if not self._frames:
            return np.full_like(unit, np.nan)
        scale = self._skeleton_length_m
        if self.hand_size_m is not None:
            scale = self.hand_size_m / self._proportions[SIZE_BONE]
        log_depth = np.log(depth_from_bones(lengths, self._proportions * scale))
        return np.asarray(unit * np.exp(self._filters[hand].push(time_s, np.asarray(log_depth))))

    def _learn(self, lengths: np.ndarray, skeleton_length_m: float) -> None:
        """Let one whole hand count towards the running means."""
        self._frames = min(self._frames + 1, self.MEMORY_FRAMES)
        if self._frames == 1:
            self._proportions, self._skeleton_length_m = lengths / lengths.sum(), skeleton_length_m
        seen = lengths * depth_from_bones(lengths, self._proportions)
        self._proportions += (seen / seen.sum() - self._proportions) / self._frames
        self._skeleton_length_m += (skeleton_length_m - self._skeleton_length_m) / self._frames


def _spread(points: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(((points - points.mean(-2, keepdims=True)) ** 2).sum((-2, -1))))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted median of every column."""
    order = np.argsort(values, 0)
    cumulative = np.cumsum(weights[order], 0)
    middle = (cumulative >= cumulative[-1] / 2).argmax(0)
    columns = np.arange(values.shape[1])
    return np.asarray(values[order[middle, columns], columns])
