"""HTT's losses (section 3): L1 in pixels and depth, cross-entropy of object and action; and one that is our own.

How far away a hand is, is as uncertain as its size. As long as that error is larger than those among its joints, L1 of
depth pushes all joints one way, and says little of how they lie. `small` also counts depth from the wrist.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from handloom.models.htt import HTTOutput
from handloom.skeleton import WRIST
from handloom.training.loop import LossTerms
from handloom.training.recipe import Recipe


class Target(NamedTuple):
    """What B clips of T frames show; labels are -1 where there is none."""

    keypoints_px: Float[Tensor, "B T H 21 2"]
    depth_m: Float[Tensor, "B T H 21"]
    joints_valid: Bool[Tensor, "B T H 21"]
    object: Int[Tensor, "B T"]
    action: Int[Tensor, "B"]
    valid: Bool[Tensor, "B T"]


HAND_TERMS = ("keypoints_px", "depth_m", "depth_from_wrist_m")
TERMS = (*HAND_TERMS, "object", "action")


def htt_loss(output: HTTOutput, target: Target, clip_mean: bool = False) -> LossTerms:
    """The losses over real frames and labelled things.

    Args:
        output: of the network.
        target: the truth.
        clip_mean: every clip weighs the same (eq. 8); else every frame, as in the released code.
    """
    B, T = target.valid.shape
    real = target.valid
    joints = (target.joints_valid & real[..., None, None]).float()
    objects = (real & (target.object >= 0)).float()
    if clip_mean:
        weight = 1 / real.sum(1, keepdim=True).clamp(min=1).float()
        joints, objects = joints * weight[..., None, None], objects * weight
    actions = (target.action >= 0).float()
    hands = hand_terms(output.keypoints_px, output.depth_m, target, joints)
    object_loss = cross_entropy(
        output.object_logits.float().flatten(0, 1), target.object.clamp(min=0).flatten(), reduction="none"
    ).view(B, T)
    action_loss = cross_entropy(output.action_logits.float(), target.action.clamp(min=0), reduction="none")
    labels = object_loss * objects, action_loss * actions
    sums = torch.stack([values.sum() for values in labels])
    counts = torch.stack([values.sum() for values in (objects, actions)])
    return LossTerms(torch.cat([hands.sums, sums]), torch.cat([hands.counts, counts]))


def hand_terms(
    keypoints_px: Float[Tensor, "B T H 21 2"],
    depth_m: Float[Tensor, "B T H 21"],
    target: Target,
    weights: Float[Tensor, "B T H 21"],
) -> LossTerms:
    """The first three terms, of the poses alone; `weights` say what each joint counts, 0 where it is not known."""
    keypoints = (keypoints_px.float() - target.keypoints_px).abs().mean(-1) * weights
    too_far = depth_m.float() - target.depth_m
    aligned = weights * weights[..., WRIST : WRIST + 1].sign()
    from_wrist = (too_far - too_far[..., WRIST : WRIST + 1]).abs() * aligned
    sums = [values.sum() for values in (keypoints, too_far.abs() * weights, from_wrist)]
    return LossTerms(torch.stack(sums), torch.stack([values.sum() for values in (weights, weights, aligned)]))


def loss_weights(recipe: Recipe) -> Float[Tensor, "5"]:
    """Weights of the losses in the order of `TERMS`."""
    r = recipe
    return torch.tensor([r.weight_keypoints, r.weight_depth, r.weight_from_wrist, r.weight_object, r.weight_action])
