"""MVExoNet on crops of hands: one round, and the rounds of refinement (AssemblyHands, section 3.1)."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from handloom.estimators.htt_torch import choose_device
from handloom.estimators.view_crops import HandCrops
from handloom.formats.weights import load_pretrained
from handloom.formats.weights_config import weights_folder
from handloom.geometry import Pinhole, triangulate
from handloom.geometry.hand_frames import right_palm_turn
from handloom.models.mvexonet import MVExoNet, MVExoNetConfig, ViewJoints, Views, triangulated
from handloom.models.v2v import cube
from handloom.skeleton import MIDDLE_MCP

Device = Literal["auto", "cpu", "cuda", "mps"]
BATCH = 16
"""Hands that go through the network together."""
_NEAR_M, _NEAR_CELLS = 0.02, 1.5
"""Of the probability of a joint, what lies so near to its expected place is its score."""
_FOCAL_PX = 1000.0
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Alone:
    """What each of V views says by itself of N hands.

    Attributes:
        directions: where it sees each joint: unit vectors in the world, from the camera; NaN where it does not.
        score: 0 ... 1, how much of a joint's heatmap is near to it.
    """

    directions: Float[np.ndarray, "hands views 21 3"]
    score: Float[np.ndarray, "hands views 21"]


@dataclass(frozen=True, eq=False)
class Round:
    """What one round says of N hands, in the world; NaN for a hand that no view sees.

    Attributes:
        joints: by the volume.
        score: 0 ... 1, how much of a joint's probability is near to it.
        algebraic: joints by the triangulation of what each view says, with learnt confidences.
        alone: what each view says.
    """

    joints: Float[np.ndarray, "hands 21 3"]
    score: Float[np.ndarray, "hands 21"]
    algebraic: Float[np.ndarray, "hands 21 3"]
    alone: Alone


class Annotator:
    """A trained network, ready for crops.

    Raises:
        InputError: no such weights, or another network's.
    """

    def __init__(self, weights: Path, device: Device = "auto") -> None:
        self.device = choose_device(device)
        self.model = load_pretrained(MVExoNet, MVExoNetConfig, weights_folder(weights), self.device)
        self.config = self.model.config

    def rounds(
        self,
        crops: HandCrops,
        left: Bool[np.ndarray, "hands"],
        outline: Float[np.ndarray, "hands views n 2"],
        begun: Float[np.ndarray, "hands 21 3"],
        count: int,
        metres: float = 1.0,
    ) -> Iterator[Round]:
        """The rounds of refinement, the weights being the same in all of them.

        Args:
            crops: with room around the hands.
            left: which hands are left ones.
            outline: on the planes of the crops, what the first round's crops hold.
            begun: what is known of the joints before, in the world; the first round's volumes lie about it.
            count: of rounds.
            metres: per unit of the world.
        """
        for _ in range(count):
            found = self.round(self.closer(crops, outline), left, begun, metres)
            yield found
            # A hand that no view sees any more is lost: NaN in all rounds that follow.
            outline, begun = crops.plane(found.joints), found.joints

    def closer(self, crops: HandCrops, outline: Float[np.ndarray, "hands views n 2"]) -> HandCrops:
        """The crops that the network sees."""
        return crops.closer(outline, self.config.crop_size, self.config.crop_margin)

    @torch.inference_mode()
    def round(
        self,
        crops: HandCrops,
        left: Bool[np.ndarray, "hands"],
        begun: Float[np.ndarray, "hands 21 3"],
        metres: float = 1.0,
    ) -> Round:
        """The network once, on crops as it wants them, in volumes about what is known of the joints before."""
        root, turn = placed(begun, left)
        parts = [
            self._batch(some, sides, middle, axes, metres)
            for some, sides, middle, axes in _batches(crops, left, root, turn)
        ]
        joints, score, algebraic, directions, seen = (np.concatenate(values) for values in zip(*parts))
        return Round(joints, score, algebraic, Alone(directions, seen))

    @torch.inference_mode()
    def alone(self, crops: HandCrops, left: Bool[np.ndarray, "hands"]) -> Alone:
        """Every view by itself, on crops as the network wants them."""
        parts = []
        for some, sides, root in _batches(crops, left, np.zeros((len(left), 3))):
            views = self._views(some, sides, root)
            parts.append(_alone(self.model.alone(self.model.features(views)), views, some, sides))
        return Alone(*(np.concatenate(values) for values in zip(*parts)))

    def _views(self, crops: HandCrops, left: np.ndarray, root: np.ndarray, metres: float = 1.0) -> Views:
        return Views(*(part.to(self.device) for part in views_of(crops, left, root, metres)))

    def _batch(
        self, crops: HandCrops, left: np.ndarray, root: np.ndarray, turn: np.ndarray, metres: float
    ) -> tuple[np.ndarray, ...]:
        views = self._views(crops, left, root, metres)
        features = self.model.features(views)
        alone = self.model.alone(features)
        turned = torch.from_numpy(turn.astype(np.float32)).to(self.device)
        found = self.model.together(features, views, turned)
        grid = cube(found.joints_m.new_zeros(len(root), 3), self.config.side_m, self.config.voxels, turned)
        seen, mirror = views.seen.any(1).cpu().numpy(), np.where(left[:, None, None], _MIRROR, 1.0)

        def world(joints: Tensor) -> np.ndarray:
            there = root[:, None] + joints.double().cpu().numpy() * mirror / metres
            return np.where(seen[:, None, None], there, np.nan)

        score = near_score(found.probability, found.joints_m, grid) * seen[:, None]
        algebraic = world(triangulated(alone, views))
        return world(found.joints_m), score, algebraic, *_alone(alone, views, crops, left)


def placed(
    joints: Float[np.ndarray, "hands 21 3"], left: Bool[np.ndarray, "hands"]
) -> tuple[Float[np.ndarray, "hands 3"], Float[np.ndarray, "hands 3 3"]]:
    """Where volumes lie: about the middle knuckle, or the mean joint where it is missing, turned as the mirrored palm.

    So the network meets every hand in the same pose of the whole, however the world's axes are chosen.
    """
    knuckle = joints[:, MIDDLE_MCP]
    known = np.isfinite(knuckle).all(-1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a hand without joints has no mean
        root = np.where(known, knuckle, np.nanmean(joints, axis=1))
    return root, right_palm_turn(np.where(left[:, None, None], _MIRROR, 1.0) * joints)


def views_of(
    crops: HandCrops, left: Bool[np.ndarray, "hands"], root: Float[np.ndarray, "hands 3"], metres: float = 1.0
) -> Views:
    """Crops as the network takes them: left hands in the mirror, projections about the root."""
    seen, size = crops.seen & np.isfinite(root).all(-1)[:, None], crops.pictures.shape[2]
    pose = np.where(seen[..., None, None], crops.crop_from_world, np.eye(4))
    shift = np.einsum("hvij,hj->hvi", pose[..., :3, :3], np.nan_to_num(root)) + pose[..., :3, 3]
    local = np.concatenate([pose[..., :3, :3], shift[..., None] * metres], -1)
    focal, middle = np.where(seen, crops.focal_px, 1.0)[..., None], (size - 1) / 2
    x, y, z = (local[..., k, :] for k in range(3))
    u, v = focal * x + middle * z, focal * y + middle * z
    mirrored = left[:, None, None]
    projections = np.stack([np.where(mirrored, (size - 1) * z - u, u), v, z], -2)
    projections[..., 0] *= np.where(mirrored, -1.0, 1.0)
    pictures = np.where(left[:, None, None, None, None], crops.pictures[:, :, :, ::-1], crops.pictures)
    images = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 1, 4, 2, 3)))
    return Views(images, torch.from_numpy(projections.astype(np.float32)), torch.from_numpy(seen))


def _batches(crops: HandCrops, *values: np.ndarray) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(values[0]), BATCH):
        rows = np.arange(start, min(start + BATCH, len(values[0])))
        yield crops.of(rows), *(value[rows] for value in values)


def _alone(alone: ViewJoints, views: Views, crops: HandCrops, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    score = (view_score(alone) * views.seen[..., None]).cpu().numpy()
    return directions(crops, alone.keypoints_px.double().cpu().numpy(), left), score


def directions(
    crops: HandCrops, keypoints_px: Float[np.ndarray, "hands views n 2"], left: Bool[np.ndarray, "hands"]
) -> Float[np.ndarray, "hands views n 3"]:
    """Positions in the network's crops as unit vectors in the world; NaN where the view does not see the hand."""
    middle = (crops.pictures.shape[2] - 1) / 2
    plane = (keypoints_px - middle) / crops.focal_px[..., None, None]
    plane = plane * np.where(left[:, None, None, None], [-1.0, 1.0], 1.0)
    local = np.concatenate([plane, np.ones_like(plane[..., :1])], -1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return np.asarray(np.einsum("hvji,hvnj->hvni", crops.crop_from_world[..., :3, :3], local))


def near_score(
    probability: Float[Tensor, "N 21 X Y Z"], joints_m: Float[Tensor, "N 21 3"], grid: Float[Tensor, "N X Y Z 3"]
) -> Float[np.ndarray, "N 21"]:
    """How much of each joint's probability lies near to it."""
    near = torch.cdist(joints_m, grid.flatten(1, 3)) <= _NEAR_M
    return (probability.flatten(2) * near).sum(2).cpu().numpy()


def view_score(alone: ViewJoints) -> Float[Tensor, "N views 21"]:
    """The same for the heatmap of each view."""
    h, w = alone.heatmaps.shape[-2:]
    probability = alone.heatmaps.flatten(3).softmax(3)
    cells = torch.stack(
        torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), -1
    ).reshape(-1, 2).to(probability)  # fmt: skip
    expected = probability @ cells
    near = torch.cdist(expected, cells) <= _NEAR_CELLS
    return (probability * near).sum(3)


def triangulated_views(alone: Alone, crops: HandCrops, threshold_rad: float) -> Float[np.ndarray, "hands 21 3"]:
    """2D + triangulation: what the views say by themselves, but for those that disagree; NaN where fewer than two see.

    Args:
        alone: of the network.
        crops: of the same views; not those that the network saw, but any about the same hands.
        threshold_rad: how far a view may be off. Where all but one are, all are believed.
    """
    N, V = crops.seen.shape
    local = np.einsum("hvij,hvnj->hvni", crops.crop_from_world[..., :3, :3], alone.directions)
    with np.errstate(invalid="ignore", divide="ignore"):
        keypoints = _FOCAL_PX * np.where(local[..., 2:] > 0, local[..., :2] / local[..., 2:], np.nan)
    camera = Pinhole(1, 1, _FOCAL_PX, _FOCAL_PX, 0.0, 0.0)
    shape = (V, N * keypoints.shape[2])
    poses = np.repeat(crops.crop_from_world.transpose(1, 0, 2, 3), keypoints.shape[2], axis=1)
    seen = keypoints.transpose(1, 0, 2, 3).reshape(*shape, 2)
    weight = np.nan_to_num(alone.score).transpose(1, 0, 2).reshape(shape) + 1e-3
    cameras = [camera] * V
    robust = triangulate(cameras, poses, seen, weight, robust="ransac", threshold_px=_FOCAL_PX * threshold_rad)
    plain = triangulate(cameras, poses, seen, weight)
    points = np.array(plain.points)
    points[robust.valid] = robust.points[robust.valid]
    return points.reshape(N, -1, 3)
