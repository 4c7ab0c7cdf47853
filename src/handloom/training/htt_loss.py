"""HTT's losses (section 3; docs/protocols.md, 1.3): L1 in pixels and depth, cross-entropy of object and action."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from handloom.models.htt import HTTOutput
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


TERMS = ("keypoints_px", "depth_m", "object", "action")


def htt_loss(output: HTTOutput, target: Target, clip_mean: bool = False) -> LossTerms:
    """The four losses over real frames and labelled things.

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
    keypoints = (output.keypoints_px.float() - target.keypoints_px).abs().mean(-1) * joints
    depth = (output.depth_m.float() - target.depth_m).abs() * joints
    object_loss = cross_entropy(
        output.object_logits.float().flatten(0, 1), target.object.clamp(min=0).flatten(), reduction="none"
    ).view(B, T)
    action_loss = cross_entropy(output.action_logits.float(), target.action.clamp(min=0), reduction="none")
    sums = [keypoints.sum(), depth.sum(), (object_loss * objects).sum(), (action_loss * actions).sum()]
    counts = [joints.sum(), joints.sum(), objects.sum(), actions.sum()]
    return LossTerms(torch.stack(sums), torch.stack(counts))


def loss_weights(recipe: Recipe) -> Float[Tensor, "4"]:
    """Weights of the four losses in their order."""
    return torch.tensor([recipe.weight_keypoints, recipe.weight_depth, recipe.weight_object, recipe.weight_action])
