"""What the detector of hands is taught: middles by a focal loss, boxes by their overlap."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from handloom.models.efficientnet import STRIDE
from handloom.models.hand_detector import HandMaps, cell_centres
from handloom.training.hand_detector_samples import DetectorSample
from handloom.training.loop import LossTerms

TERMS = ("middles", "boxes")
_SPREAD = 0.12
"""Standard deviation of the bump about a middle, in sides of the box."""
_LEAST_SPREAD_CELLS = 0.4
_FADED = 0.1
"""Cells where the bump is lower have no box to learn."""


class HandTargets(NamedTuple):
    """What a batch should say.

    Attributes:
        bumps: 1 in the cell of a hand's middle, falling off around it.
        weight: 0 where a hand may be found or not.
        boxes_px: of the hand whose bump is highest.
        reach: how much the box of a cell counts.
    """

    bumps: Float[Tensor, "N 2 h w"]
    weight: Float[Tensor, "N 2 h w"]
    boxes_px: Float[Tensor, "N 4 h w"]
    reach: Float[Tensor, "N h w"]


def hand_targets(maps: HandMaps, given: DetectorSample) -> HandTargets:
    """Targets on the cells of the maps."""
    x, y = cell_centres(maps.scores)
    boxes = given.boxes_px[..., None, None]
    low, high = boxes[:, :, :2], boxes[:, :, 2:]
    # The bump is 1 exactly where a cell is: the one that the middle lies in.
    middle = torch.round(((low + high) / 2 - (STRIDE - 1) / 2) / STRIDE) * STRIDE + (STRIDE - 1) / 2
    spread = (_SPREAD * (high - low)).clamp(min=_LEAST_SPREAD_CELLS * STRIDE)
    off = ((x - middle[:, :, 0]) / spread[:, :, 0]) ** 2 + ((y - middle[:, :, 1]) / spread[:, :, 1]) ** 2
    bumps = torch.exp(-off / 2) * given.counted[..., None, None]
    within = (x >= low[:, :, 0]) & (x <= high[:, :, 0]) & (y >= low[:, :, 1]) & (y <= high[:, :, 1])
    unclear = within & (given.there & ~given.counted)[..., None, None]
    # What is unclear for one side is unclear for both: a hidden hand may as well be taken for the other.
    weight = (~unclear.any(1, keepdim=True) | (bumps > _FADED)).float()
    best, owner = bumps.max(1)
    chosen = torch.where(owner[:, None] == 0, boxes[:, 0], boxes[:, 1])
    return HandTargets(bumps, weight.expand_as(bumps), chosen, torch.where(best > _FADED, best, 0))


def hand_detector_loss(maps: HandMaps, given: DetectorSample) -> LossTerms:
    """The focal loss of CornerNet and CenterNet per hand, and one less the generalised overlap of boxes (Rezatofighi
    et al., CVPR 2019), weighed by the bump, per cell."""
    targets = hand_targets(maps, given)
    p, yes, no = torch.sigmoid(maps.scores), logsigmoid(maps.scores), logsigmoid(-maps.scores)
    hit: Bool[Tensor, "N 2 h w"] = targets.bumps == 1
    focal = torch.where(hit, -((1 - p) ** 2) * yes, -((1 - targets.bumps) ** 4) * p**2 * no)
    apart = 1 - generalised_overlap(maps.boxes_px, targets.boxes_px)
    sums = torch.stack([(focal * targets.weight).sum(), (apart * targets.reach).sum()])
    return LossTerms(sums, torch.stack([hit.sum().float(), targets.reach.sum()]))


def generalised_overlap(a: Float[Tensor, "N 4 h w"], b: Float[Tensor, "N 4 h w"]) -> Float[Tensor, "N h w"]:
    """Intersection over union less the share of the box around both that is in neither: -1 ... 1."""
    common = _area(torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:]))
    union = _area(a[:, :2], a[:, 2:]) + _area(b[:, :2], b[:, 2:]) - common
    around = _area(torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])).clamp(min=1e-6)
    return common / union.clamp(min=1e-6) - (around - union) / around


def _area(low: Float[Tensor, "N 2 h w"], high: Float[Tensor, "N 2 h w"]) -> Float[Tensor, "N h w"]:
    return (high - low).clamp(min=0).prod(1)
