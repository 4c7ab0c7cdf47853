"""Losses of MVExoNet: joints, voxels, heatmaps of single views, triangulated joints."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from handloom.models.efficientnet import STRIDE
from handloom.models.mvexonet import Joints, ViewJoints
from handloom.training.loop import LossTerms
from handloom.training.mvexonet_samples import HandSample

TERMS = ("joints_mm", "volume", "heatmaps", "algebraic_mm")
_FAR_MM = 50.0
"""A triangulated joint that is off by more, on an axis, counts so much: two views may leave its depth open."""


def mvexonet_loss(
    found: Joints, alone: ViewJoints, algebraic: Float[Tensor, "N 21 3"], sample: HandSample, side_m: float
) -> LossTerms:
    """The four terms.

    joints_mm: mean distance on an axis between the expected places and the truth (Iskakov et al.); volume and heatmaps:
    cross-entropy between what the network believes and the truth, which is shared out among the cells around it so that
    its expected place is the true one; algebraic_mm: as the first, of the triangulated joints.
    """
    truth, N = sample.joints_m, len(sample.joints_m)
    off = 1000 * (found.joints_m - truth).abs()
    voxels = found.probability.shape[2]
    # Places in the volume in steps of its grid, which is turned about its middle.
    place = (truth @ sample.turn / side_m + 0.5) * (voxels - 1)
    volume, inside = cross_entropy((found.probability + 1e-9).log(), place)
    pixels = projected(truth, sample.views.projections)
    cells = (pixels - (STRIDE - 1) / 2) / STRIDE
    view = sample.views.seen[..., None] & torch.isfinite(cells).all(-1)
    heatmaps, within = cross_entropy(alone.heatmaps.flatten(3).log_softmax(3).reshape(alone.heatmaps.shape), cells)
    within = within & view
    known = torch.isfinite(algebraic).all(-1)
    apart = (1000 * (torch.where(known[..., None], algebraic, truth) - truth).abs()).clamp(max=_FAR_MM)
    sums = [off.sum(), (volume * inside).sum(), torch.where(within, heatmaps, 0).sum(), apart.sum()]
    counts = [off.new_tensor(off.numel()), inside.sum(), within.sum(), 3 * known.sum()]
    return LossTerms(torch.stack(sums) / N, torch.stack([count.float() for count in counts]) / N)


def cross_entropy(
    log_probability: Float[Tensor, "*batch_and_cells"], place: Float[Tensor, "*batch axes"]
) -> tuple[Float[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
    """Cross-entropy of maps with a place that is shared out linearly among the cells around it.

    Args:
        log_probability: (*batch, X, Y) maps with rows first as pictures have them, or (*batch, X, Y, Z) volumes.
        place: in cells; (x, y) for maps, whose first axis is y, and (x, y, z) for volumes, whose first axis is x.

    Returns:
        The cross-entropy, and whether the place is in the map.
    """
    axes = place.shape[-1]
    if axes == 2:
        place = place.flip(-1)
    size = log_probability.shape[-axes:]
    last = place.new_tensor([side - 1 for side in size])
    inside = ((place >= 0) & (place <= last)).all(-1)
    held = torch.minimum(torch.nan_to_num(place).clamp(min=0), last - 1e-3)
    low = held.floor()
    share = held - low
    flat = log_probability.flatten(-axes)
    total = flat.new_zeros(flat.shape[:-1])
    for corner in range(2**axes):
        step = [(corner >> axis) & 1 for axis in range(axes)]
        index, weight = torch.zeros_like(low[..., 0], dtype=torch.long), torch.ones_like(low[..., 0])
        for axis in range(axes):
            index = index * size[axis] + low[..., axis].long() + step[axis]
            weight = weight * (share[..., axis] if step[axis] else 1 - share[..., axis])
        total = total - weight * flat.gather(-1, index[..., None])[..., 0]
    return total, inside


def projected(
    joints_m: Float[Tensor, "N 21 3"], projections: Float[Tensor, "N views 3 4"]
) -> Float[Tensor, "N views 21 2"]:
    """Joints in pixels of the crops; NaN behind a camera."""
    seen = torch.einsum("nvij,nkj->nvki", projections[..., :3], joints_m) + projections[..., None, :, 3]
    depth = seen[..., 2:]
    return torch.where(depth > 0.01, seen[..., :2] / depth.clamp(min=0.01), torch.nan)
