"""Pictures with the boxes of hands as tensors, scaled, shifted, mirrored and coloured anew in every epoch."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from handloom.datasets.hand_pictures import HandPictures
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.estimators.whole_pictures import canvas_size
from handloom.models.hand_detector import HandDetectorConfig
from handloom.training.hand_detector_recipe import HandDetectorRecipe
from handloom.training.mvexonet_samples import coloured

LEAST_INSIDE = 0.6
"""A hand of whose box less is in the picture may be found or not."""


class DetectorSample(NamedTuple):
    """One picture, or a batch.

    Attributes:
        picture: RGB, 0 ... 255, black beyond the picture.
        boxes_px: of the left and the right hand; what stands in those that are not there does not matter.
        there, counted: which hands are in the picture, and which of them are to be found.
        number: of the sample.
    """

    picture: UInt8[Tensor, "*N 3 H W"]
    boxes_px: Float[Tensor, "*N 2 4"]
    there: Bool[Tensor, "*N 2"]
    counted: Bool[Tensor, "*N 2"]
    number: Int[Tensor, "*N"]


class DetectorSamples:
    """Samples by (epoch, number).

    Args:
        parts: the pictures of all recordings and cameras.
        config, recipe: of the network, of its training.
        seed: of all chance; None for pictures as they are.

    Raises:
        InputError: there is no hand to be found.
    """

    def __init__(
        self, parts: Sequence[HandPictures], config: HandDetectorConfig, recipe: HandDetectorRecipe, seed: int | None
    ) -> None:
        self.parts, self.recipe, self.seed = parts, recipe, seed
        self.numbers = [(k, row) for k, part in enumerate(parts) for row in range(len(part.frame))]
        if not any((part.counted & np.isfinite(part.boxes_px[..., 0])).any() for part in parts):
            raise InputError(
                f"not one of {len(self.numbers)} pictures shows a labelled hand; a detector is trained on pictures "
                "with joints, or boxes, of hands"
            )
        sides = np.array([part.pictures.shape[1:3] for part in parts if len(part.frame)]).max(0)
        self.canvas = canvas_size(int(sides[1]), int(sides[0]), config.multiple_px)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.numbers)

    def __getitem__(self, item: tuple[int, int]) -> DetectorSample:
        epoch, number = item
        part, row = self.numbers[number]
        hands = self.parts[part]
        picture = np.asarray(hands.pictures[row])
        boxes, counted = hands.boxes_px[row], hands.counted[row]
        affine, flip = np.eye(2, 3), False
        if self.seed is not None:
            rng = sample_rng(self.seed, epoch, number)
            affine, flip = _drawn(rng, picture, self.recipe)
            picture = coloured(picture, rng, self.recipe.colours)
        moved = cv2.warpAffine(picture, affine, self.canvas, flags=cv2.INTER_LINEAR)
        boxes, there, inside = moved_boxes(boxes, affine, self.canvas, flip)
        counted = counted[::-1] if flip else counted
        return DetectorSample(
            torch.from_numpy(np.ascontiguousarray(moved.transpose(2, 0, 1))),
            torch.from_numpy(boxes.astype(np.float32)),
            torch.from_numpy(there),
            torch.from_numpy(there & counted & (inside >= LEAST_INSIDE)),
            torch.tensor(number),
        )

    def place(self, number: int) -> str:
        """Where a sample is from, for messages."""
        part, row = self.numbers[number]
        hands = self.parts[part]
        return f"recording {hands.recording}, camera {hands.camera}, frame {hands.frame[row]}"


def moved_boxes(
    boxes_px: Float[np.ndarray, "2 4"], affine: Float[np.ndarray, "2 3"], canvas: tuple[int, int], flip: bool
) -> tuple[Float[np.ndarray, "2 4"], Bool[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Boxes after a map without a turn, cut off at the edge; which are still there; how much of each is.

    In a mirror the left hand is a right one.
    """
    scale, shift = np.tile(np.diag(affine), 2), np.tile(affine[:, 2], 2)
    moved = boxes_px * scale + shift
    if flip:
        moved = moved[::-1][:, [2, 1, 0, 3]]
    edge = np.array(canvas * 2) - 0.5
    cut = np.clip(moved, -0.5, edge)
    area, whole = ((box[:, 2:] - box[:, :2]).prod(-1) for box in (cut, moved))
    there = np.asarray(area > 0)
    return np.where(there[:, None], cut, 0.0), there, np.where(there, area / whole, 0.0)


def _drawn(
    rng: np.random.Generator, picture: UInt8[np.ndarray, "h w 3"], recipe: HandDetectorRecipe
) -> tuple[Float[np.ndarray, "2 3"], bool]:
    """The map to the canvas, about the picture's middle, and whether it mirrors."""
    size = np.array(picture.shape[1::-1])
    middle = (size - 1) / 2
    zoom = float(np.exp(rng.uniform(-1, 1) * np.log(recipe.zoom)))
    shift = rng.uniform(-1, 1, 2) * recipe.shift * size.max()
    flip = bool(rng.uniform() < 0.5)
    scale = np.array([-zoom if flip else zoom, zoom])
    return np.concatenate([np.diag(scale), (middle + shift - scale * middle)[:, None]], 1), flip
