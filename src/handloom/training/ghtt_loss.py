"""G-HTT's losses (section 3.1, and the released code): L1 of features, trajectory and mid-levels, KL, action."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from handloom.geometry.motion_features import PER_METRE, to_pose9, trajectory
from handloom.models.ghtt_action import ActionBlock
from handloom.models.label_space import label_logits
from handloom.models.motion_vae import Encoded


class PoseTarget(NamedTuple):
    """The truth of B windows of 2 t frames: features, which of them count, and the way behind the last observed frame.

    `way` is `base_from_hand` as 2 x 9 numbers, 10 per metre; `way_known` says which hands have one.
    """

    features: Float[Tensor, "B frames 153"]
    counted: Bool[Tensor, "B frames 153"]
    way: Float[Tensor, "B t 2 9"]
    way_known: Bool[Tensor, "B t 2"]


class PoseLoss(NamedTuple):
    """The four terms of block P (eqs. 1 and 2)."""

    observed: Float[Tensor, ""]
    predicted: Float[Tensor, ""]
    trajectory: Float[Tensor, ""]
    kl: Float[Tensor, ""]


class ActionLoss(NamedTuple):
    """The four terms of block A (eqs. 3 to 5)."""

    mid: Float[Tensor, ""]
    distance: Float[Tensor, ""]
    contrast: Float[Tensor, ""]
    kl: Float[Tensor, ""]


POSE_WEIGHTS = PoseLoss(*(torch.tensor(weight) for weight in (1.0, 1.0, 1.0, 1e-5)))
ACTION_WEIGHTS = ActionLoss(*(torch.tensor(weight) for weight in (1.0, 0.1, 0.1, 1e-5)))


def total(terms: PoseLoss | ActionLoss) -> Float[Tensor, ""]:
    """The weighted sum: lambda 1, 1, 1e-5 for P; 1, 0.1, 1e-5 for A."""
    weights = POSE_WEIGHTS if isinstance(terms, PoseLoss) else ACTION_WEIGHTS
    return sum((weight.to(term.device) * term for weight, term in zip(weights, terms)), terms[0].new_zeros(()))


def pose_loss(
    refined: Float[Tensor, "B t 153"], predicted: Float[Tensor, "B t 153"], encoded: Encoded, target: PoseTarget
) -> PoseLoss:
    """The terms of block P. The papers's sums of L1 norms are means here, as in the authors' code."""
    t = refined.shape[1]
    way = to_pose9(trajectory(predicted), PER_METRE)
    return PoseLoss(
        counted_l1(refined, target.features[:, :t], target.counted[:, :t]),
        counted_l1(predicted, target.features[:, t:], target.counted[:, t:]),
        counted_l1(way, target.way, target.way_known[..., None].expand_as(way)),
        kl(encoded),
    )


def action_loss(
    predicted: Float[Tensor, "B n width"],
    truth: Float[Tensor, "B n width"],
    counted: Bool[Tensor, "B n width"],
    latent: Float[Tensor, "B dim"],
    encoded: Encoded,
    block: ActionBlock,
    action: Int[Tensor, "B"],
) -> ActionLoss:
    """The terms of block A; clips whose action is -1 have no part in the two of the label."""
    distance, contrast = label_loss(latent, block.labels(), action)
    return ActionLoss(counted_l1(predicted, truth, counted), distance, contrast, kl(encoded))


def label_loss(
    found: Float[Tensor, "B dim"], labels: Float[Tensor, "labels dim"], rows: Int[Tensor, "B"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Distance and contrastive cross-entropy of eq. 3, means over what has a label: rows of -1 have no part."""
    known = rows >= 0
    found, rows = found[known], rows[known]
    if not len(rows):
        nothing = labels.sum() * 0
        return nothing, nothing
    return (found - labels[rows]).abs().mean(), cross_entropy(label_logits(found, labels), rows)


def counted_l1(
    found: Float[Tensor, "*shape"], truth: Float[Tensor, "*shape"], counted: Bool[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of what counts; 0 if nothing does."""
    return ((found - truth).abs() * counted).sum() / counted.sum().clamp(min=1)


def kl(encoded: Encoded) -> Float[Tensor, ""]:
    """Divergence from the standard normal distribution: summed over dimensions, averaged over the batch."""
    spread = 1 + encoded.log_variance - encoded.mean.square() - encoded.log_variance.exp()
    return -0.5 * spread.sum(-1).mean()
