"""Single hands as tensors: what goes into SVEgoNet, and what should come out."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from handloom.datasets.hand_crops import HandCrops
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.estimators.ego_crops import ENOUGH_JOINTS, HandTargets, hand_targets
from handloom.geometry.pinhole_views import PinholeViews, affine_to_square
from handloom.models.internet import InterNetConfig
from handloom.skeleton import BONES

WIDER = 1.3
"""Crops on disk show so much more all round, for augmentation to turn, shift and scale what is there."""
SHIFT, SCALE, TURN_DEG, TURNED, GAIN = 0.15, 0.25, 45.0, 0.6, 0.2
"""InterHand2.6M's augmentation: shift and scale in crops; the turn's deviation, and how often there is one; light."""


class EgoSample(NamedTuple):
    """N crops: grey pictures, 0 ... 1, and `estimators.ego_crops.HandTargets`; `row` tells which they are."""

    pictures: Float[Tensor, "N 1 S S"]
    joints: Float[Tensor, "N 42 3"]
    joint_valid: Float[Tensor, "N 42"]
    root_bin: Float[Tensor, "N"]
    root_valid: Float[Tensor, "N"]
    hands: Float[Tensor, "N 2"]
    row: Int[Tensor, "N"]


class EgoSamples:
    """The hands of a training, augmented if there is a seed; hands with too few joints in the crop are left out.

    Attributes:
        places: number of the crops of a recording and camera, and row in them, of every sample.

    Raises:
        InputError: not one hand can be used.
    """

    def __init__(self, crops: Sequence[HandCrops], config: InterNetConfig, seed: int | None) -> None:
        self.crops, self.config, self.seed = crops, config, seed
        self.views = PinholeViews(
            *(np.concatenate([getattr(part.views, name) for part in crops]) for name in ("turn", "matrix", "valid"))
        )
        self.joints_m = np.concatenate([part.joints_m for part in crops])
        self.valid = np.concatenate([part.valid for part in crops])
        self.hand = np.concatenate([part.hand for part in crops])
        self.places = np.array([(k, row) for k, part in enumerate(crops) for row in range(len(part.hand))], int)
        size = crops[0].pictures.shape[1] if crops else config.image_px
        middle = affine_to_square(
            np.full(2, (size - 1) / 2), np.full(2, float(config.image_px)), 1.0, 0.0, config.image_px
        )
        self.middle = np.eye(2, 3) if size == config.image_px else middle
        self.size = size
        targets = self._targets(np.broadcast_to(self.middle, (len(self.hand), 2, 3)), slice(None), self.hand, False)
        self.rows = np.flatnonzero(targets.joint_valid.sum(1) >= ENOUGH_JOINTS)
        if not len(self.rows):
            raise InputError(
                f"not one of {len(self.hand)} hands has {ENOUGH_JOINTS} labelled joints in its crop; SVEgoNet needs "
                "labelled hands in egocentric pictures"
            )

    def __len__(self) -> int:
        """Number of hands."""
        return len(self.rows)

    def batch(self, items: Sequence[tuple[int, int]]) -> EgoSample:
        """The samples of some (epoch, number)."""
        rows = self.rows[[number for _, number in items]]
        drawn = [self._draw(*item) for item in items]
        affine, flip = np.stack([one[0] for one in drawn]), np.array([one[1] for one in drawn])
        targets = self._targets(affine, rows, np.where(flip, 1 - self.hand[rows], self.hand[rows]), flip)
        side = self.config.image_px
        pictures = np.stack([self._picture(int(row), matrix) for row, matrix in zip(rows, affine)])
        gain = torch.tensor([one[2] for one in drawn], dtype=torch.float32)[:, None, None, None]
        light = (torch.from_numpy(pictures).view(-1, 1, side, side).float() / 255 * gain).clamp(0, 1)
        values = {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in targets._asdict().items()}
        return EgoSample(pictures=light, row=torch.from_numpy(rows), **values)

    def bones_m(self) -> tuple[float, ...]:
        """Mean length of every bone over the labelled hands."""
        found = []
        for parent, child in BONES:
            known = self.valid[..., parent] & self.valid[..., child]
            lengths = np.linalg.norm(self.joints_m[..., child, :] - self.joints_m[..., parent, :], axis=-1)
            found.append(float(lengths[known].mean()) if known.any() else float("nan"))
        return tuple(found)

    def place(self, row: int) -> str:
        """Where a row is from, for messages."""
        part, at = self.places[row]
        crops = self.crops[part]
        return f"recording {crops.recording}, camera {crops.camera}, frame {crops.frame[at]}"

    def _picture(self, row: int, affine: Float[np.ndarray, "2 3"]) -> UInt8[np.ndarray, "S S"]:
        part, at = self.places[row]
        picture = self.crops[part].pictures[at]
        if self.seed is None and self.size == self.config.image_px:
            return np.asarray(picture)
        return np.asarray(cv2.warpAffine(np.asarray(picture), affine, (self.config.image_px, self.config.image_px)))

    def _draw(self, epoch: int, number: int) -> tuple[Float[np.ndarray, "2 3"], bool, float]:
        """The affine map from the crop on disk to the network's, whether it mirrors, and the light."""
        if self.seed is None:
            return self.middle, False, 1.0
        rng, side = sample_rng(self.seed, epoch, number), self.config.image_px
        shift = rng.uniform(-SHIFT, SHIFT, 2) * side
        scale = 1 + SCALE * float(np.clip(rng.normal(), -1, 1))
        turn = TURN_DEG * float(np.clip(rng.normal(), -2, 2)) if rng.uniform() < TURNED else 0.0
        centre = np.full(2, (self.size - 1) / 2) + shift
        affine = affine_to_square(centre, np.full(2, float(side)), scale, turn, side)
        flip = bool(rng.uniform() < 0.5)
        if flip:
            affine = np.diag([-1.0, 1.0]) @ affine + np.array([[0, 0, side - 1.0], [0, 0, 0]])
        return affine, flip, float(rng.uniform(1 - GAIN, 1 + GAIN))

    def _targets(
        self,
        affine: Float[np.ndarray, "n 2 3"],
        rows: Int[np.ndarray, "n"] | slice,
        hand: Int[np.ndarray, "n"],
        flip: Bool[np.ndarray, "n"] | bool,
    ) -> HandTargets:
        views = PinholeViews(self.views.turn[rows], self.views.matrix[rows], self.views.valid[rows]).changed(affine)
        joints, valid = self.joints_m[rows], self.valid[rows]
        # In a mirror the left hand is a right one, and the other way round.
        turned = np.broadcast_to(flip, (len(valid),))
        joints = np.where(turned[:, None, None, None], joints[:, ::-1], joints)
        valid = np.where(turned[:, None, None], valid[:, ::-1], valid)
        return hand_targets(self.config, views, joints, valid, hand)
