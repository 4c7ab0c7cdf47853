"""Training samples of MVExoNet: a hand in some of its views, boxes and root a little off, colours changed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from handloom.annotate.labelled_hands import LabelledHands
from handloom.datasets.sampler import sample_rng
from handloom.estimators.mvexonet import placed, views_of
from handloom.estimators.view_crops import HandCrops, boxes_of, corners, disturbed
from handloom.geometry import rotation_from_vector
from handloom.models.mvexonet import MVExoNetConfig, Views
from handloom.skeleton import MIDDLE_MCP
from handloom.training.mvexonet_recipe import MVExoNetRecipe


class HandSample(NamedTuple):
    """One hand, or a batch.

    Attributes:
        views: as the network takes them.
        joints_m: the truth about the root, a left hand's in the mirror.
        turn: of the volume.
        place: (recording, frame).
    """

    views: Views
    joints_m: Float[Tensor, "*N 21 3"]
    turn: Float[Tensor, "*N 3 3"]
    place: Int[Tensor, "*N 2"]


class HandSamples:
    """Samples by (epoch, number); of those that two views or more see.

    Args:
        hands: of all recordings.
        config, recipe: of the network, of its training.
        seed: of all chance; None for true boxes and roots, all views, and pictures as they are.
    """

    def __init__(
        self, hands: Sequence[LabelledHands], config: MVExoNetConfig, recipe: MVExoNetRecipe, seed: int | None
    ) -> None:
        self.hands, self.config, self.recipe, self.seed = hands, config, recipe, seed
        counts = [part.crops.seen.sum(1) for part in hands]
        self.numbers = [(k, int(row)) for k, count in enumerate(counts) for row in np.flatnonzero(count >= 2)]
        self.views = max((len(part.crops.focal_px[0]) for part in hands if len(part.left)), default=0)

    def __len__(self) -> int:
        """Number of hands."""
        return len(self.numbers)

    def __getitem__(self, item: tuple[int, int]) -> HandSample:
        epoch, number = item
        recording, row = self.numbers[number]
        hands = self.hands[recording]
        joints, left = hands.joints_m[row], bool(hands.left[row])
        rng = None if self.seed is None else sample_rng(self.seed, epoch, number)
        seen = np.flatnonzero(hands.crops.seen[row])
        places = self.views if rng is None else min(self.recipe.most_views, self.views)
        if rng is not None:
            least = min(self.recipe.least_views, len(seen), places)
            seen = np.sort(rng.permutation(seen)[: rng.integers(least, min(places, len(seen)) + 1)])
        crops = _padded(hands.crops.of(np.array([row]), seen), places)
        outline = crops.plane(joints[None])
        root = joints[MIDDLE_MCP].copy()
        turn = placed(joints[None], np.array([left]))[1][0]
        if rng is not None:
            recipe = self.recipe
            share = recipe.later_error if rng.uniform() < recipe.later else 1.0
            outline = corners(disturbed(boxes_of(outline), rng, share * recipe.box_shift, share * recipe.box_scale))
            root += rng.normal(0, share * recipe.root_m, 3)
            spread = np.pi if rng.uniform() < recipe.turn_any else share * np.radians(recipe.turn_deg)
            turn = rotation_from_vector(rng.normal(0, spread, 3)) @ turn
        close = crops.closer(outline, self.config.crop_size, self.config.crop_margin)
        if rng is not None:
            for view in np.flatnonzero(close.seen[0]):
                close.pictures[0, view] = coloured(close.pictures[0, view], rng, self.recipe.colours)
        views = views_of(close, np.array([left]), root[None])
        about = (joints - root) * ([-1, 1, 1] if left else [1, 1, 1])
        return HandSample(
            Views(*(part[0] for part in views)),
            torch.from_numpy(about.astype(np.float32)),
            torch.from_numpy(turn.astype(np.float32)),
            torch.tensor([recording, int(hands.frame[row])]),
        )


def coloured(picture: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, share: float) -> UInt8[np.ndarray, "h w 3"]:
    """Another camera's colours: brightness, contrast and channels changed, now and then grey, always some noise."""
    image = picture.astype(np.float32)
    if rng.uniform() < share:
        image = np.repeat(image.mean(-1, keepdims=True), 3, -1)
    gain = np.exp(rng.normal(0, share, 1) + rng.normal(0, share / 3, 3))
    image = (image - 128) * gain + 128 + 255 * rng.normal(0, share / 3)
    image += rng.normal(0, 12 * share, (*image.shape[:2], 1))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _padded(crops: HandCrops, views: int) -> HandCrops:
    """One hand's crops with empty views behind them."""
    missing = views - crops.focal_px.shape[1]
    blank = np.zeros((1, missing, *crops.pictures.shape[2:]), np.uint8)
    return HandCrops(
        np.concatenate([crops.pictures, blank], 1),
        np.concatenate([crops.crop_from_world, np.full((1, missing, 4, 4), np.nan)], 1),
        np.concatenate([crops.focal_px, np.full((1, missing), np.nan)], 1),
    )
