"""A quick look at held-out clips between two epochs."""

import torch

from handloom.models.htt import HTT
from handloom.skeleton import WRIST
from handloom.training.held_out import Means, evenly
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
    means = Means(TERMS, loss_weights(recipe))
    items = evenly(len(samples), MOST_CLIPS)
    for batch in batches(samples, items, recipe.batch_clips, workers, keep_last=True):
        given = to_device(trimmed(batch, model.config.pose_window), device)
        with arithmetic(device, recipe.precision):
            network = model if given.inputs.dim() == 5 else model.from_features
            output = network(given.inputs, given.target.valid, given.intrinsics)
        target = given.target
        joints = target.joints_valid & target.valid[..., None, None]
        relative = output.keypoints_px - output.keypoints_px[..., WRIST : WRIST + 1, :]
        true_relative = target.keypoints_px - target.keypoints_px[..., WRIST : WRIST + 1, :]
        off = torch.linalg.vector_norm(relative - true_relative, dim=-1)
        depth = 1000 * (output.depth_m - target.depth_m).abs()
        labelled = target.valid & (target.object >= 0)
        errors = (
            depth[joints],
            off[joints & joints[..., WRIST : WRIST + 1]],
            (output.object_logits.argmax(-1) == target.object)[labelled].float(),
            (output.action_logits.argmax(-1) == target.action)[target.action >= 0].float(),
        )
        means.add(htt_loss(output, target, recipe.clip_mean), dict(zip(VALIDATED, errors)))
    return means.values()
