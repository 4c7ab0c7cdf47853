"""An augmentation of batches: hands, and what they hold, in the surroundings of another clip.

A recording shows one thing in use, on one table. A network that is trained from scratch on few recordings learns the
tables by heart, and names the thing without looking at the hand. With surroundings from elsewhere it must look. Where
the other clip's hands would be, the picture stays as it is: nobody could say which hands are meant.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from handloom.training.samples import Sample

REACH = 0.06
"""What lies within this share of the picture's width of a joint stays with the hand."""
COARSE = 4
"""The border runs along blocks of so many pixels."""


def exchange_surroundings(batch: Sample, share: float, generator: torch.Generator) -> Sample:
    """A share of the clips of a batch of pictures, each in the surroundings of another one.

    Args:
        batch: `inputs` (B, T, 3, H, W).
        share: of the clips, 0 ... 1; each is drawn by itself.
        generator: of all chance.
    """
    B = len(batch.inputs)
    if B < 2 or not share:
        return batch
    drawn = torch.rand(B, generator=generator) < share
    others = (torch.arange(B) + torch.randint(1, B, (B,), generator=generator)) % B
    hands = around_hands(batch)
    kept = hands | hands[others] | ~drawn[:, None, None, None]
    return batch._replace(inputs=torch.where(kept[:, :, None], batch.inputs, batch.inputs[others]))


def around_hands(batch: Sample) -> Bool[Tensor, "B T H W"]:
    """Where the hands and what they hold are: near a joint; the whole picture where no joint is known."""
    H, W = batch.inputs.shape[-2:]
    known = batch.target.joints_valid.flatten(2)
    points = batch.target.keypoints_px.flatten(2, 3).masked_fill(~known[..., None], torch.inf)
    centres = [torch.arange(0, size, COARSE) + COARSE / 2 for size in (W, H)]
    across, down = ((points[..., axis, None] - centres[axis]) ** 2 for axis in (0, 1))
    near = ((across[..., None, :] + down[..., None]).amin(2) < (REACH * W) ** 2) | ~known.any(2)[..., None, None]
    return near.repeat_interleave(COARSE, 2)[:, :, :H].repeat_interleave(COARSE, 3)[..., :W]
