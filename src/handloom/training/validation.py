"""A quick look at held-out clips between two epochs."""

import numpy as np
import torch

from handloom.models.htt import HTT
from handloom.skeleton import WRIST
from handloom.training.htt_loss import TERMS, htt_loss, loss_weights
from handloom.training.precision import arithmetic
from handloom.training.recipe import Recipe
from handloom.training.samples import JoinedSamples, batches, to_device, trimmed

VALIDATED = ("depth_error_mm", "joint_error_ra_px", "object_accuracy", "action_accuracy")
MOST_CLIPS = 256


@torch.inference_mode()
def validate(
    model: HTT, samples: JoinedSamples, recipe: Recipe, device: torch.device, workers: int
) -> dict[str, float]:
    """Losses and simple errors on clips, evenly chosen if there are many. Clips count one by one: no voting.

    Returns:
        The losses of training; `depth_error_mm`: mean absolute error of a joint's depth; `joint_error_ra_px`: mean
        distance in the picture after moving the wrist onto the true one; the two accuracies in 0 ... 1.
    """
    model.eval()
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), MOST_CLIPS)).astype(int))
    sums = torch.zeros(2, len(TERMS))
    found = {name: [0.0, 0.0] for name in VALIDATED}
    for batch in batches(samples, [(0, int(k)) for k in chosen], recipe.batch_clips, workers, keep_last=True):
        given = to_device(trimmed(batch, model.config.pose_window), device)
        with arithmetic(device, recipe.precision):
            network = model if given.inputs.dim() == 5 else model.from_features
            output = network(given.inputs, given.target.valid, given.intrinsics)
        target = given.target
        terms = htt_loss(output, target, recipe.clip_mean)
        sums += torch.stack([terms.sums, terms.counts]).cpu()
        joints = target.joints_valid & target.valid[..., None, None]
        relative = output.keypoints_px - output.keypoints_px[..., WRIST : WRIST + 1, :]
        true_relative = target.keypoints_px - target.keypoints_px[..., WRIST : WRIST + 1, :]
        off = torch.linalg.vector_norm(relative - true_relative, dim=-1)
        depth = 1000 * (output.depth_m - target.depth_m).abs()
        labelled = target.valid & (target.object >= 0)
        for name, values in (
            ("depth_error_mm", depth[joints]),
            ("joint_error_ra_px", off[joints & joints[..., WRIST : WRIST + 1]]),
            ("object_accuracy", (output.object_logits.argmax(-1) == target.object)[labelled].float()),
            ("action_accuracy", (output.action_logits.argmax(-1) == target.action)[target.action >= 0].float()),
        ):
            found[name][0] += float(values.sum())
            found[name][1] += values.numel()
    means = sums[0] / sums[1].clamp(min=1)
    errors = {name: total / count for name, (total, count) in found.items() if count}
    return {"total": float((loss_weights(recipe) * means).sum()), **dict(zip(TERMS, means.tolist())), **errors}
