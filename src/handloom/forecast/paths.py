"""The ways through G-HTT's blocks on features (section 3.2): refine (1), predict short (P.a) and long (P.b).

Networks compute in single precision, what hangs on them in double.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from handloom.geometry import invert_rigid, rigid, rotation_from_vector, vector_from_rotation
from handloom.geometry.motion_features import FEATURES, MOTION, STILL, trajectory, unit_palms
from handloom.models.ghtt_pose import PoseBlock
from handloom.models.motion_vae import Encoded


def encode(
    block: PoseBlock,
    features: Float[np.ndarray, "N t 153"],
    known: Bool[np.ndarray, "N t 42"],
    seen: Bool[np.ndarray, "N t"] | None = None,
) -> Encoded:
    """Block P's encoder on arrays; by default every frame is seen, whatever is known of it, as in the authors' code."""
    device = device_of(block)
    seen = np.ones(features.shape[:2], bool) if seen is None else seen
    inputs = torch.from_numpy(features.astype(np.float32)).to(device)
    return block.encode(inputs, torch.tensor(known, device=device), torch.tensor(seen, device=device))


def whole_hands(block: PoseBlock, features: Tensor, known: Bool[np.ndarray, "N n 42"]) -> Float[np.ndarray, "N n 153"]:
    """Decoded features in double precision, palms of size 1; joints that are not known stand in the learned place."""
    scaled = unit_palms(features.double())
    filled = block.embedding.fill(scaled, torch.tensor(known, device=features.device))
    return np.asarray(filled.cpu().numpy())


@torch.inference_mode()
def predict_short(
    block: PoseBlock,
    features: Float[np.ndarray, "N t 153"],
    known: Bool[np.ndarray, "N t 42"],
    clips: int,
    noise: Float[np.ndarray, "N clips dim"] | None = None,
    spread: float = 1.0,
) -> Float[np.ndarray, "N frames 153"]:
    """Path P.a: the next clip from the last, again and again.

    Args:
        block: P.
        features: of the last observed clips.
        known: their joints; one that is never known is not predicted either.
        clips: how many to predict.
        noise: standard normal numbers for the latent of every clip; the mean without.
        spread: standard deviations per unit of noise.

    Returns:
        Features of `clips` clips in a row; their motion goes on from the last observed frame.
    """
    device = device_of(block)
    ever = np.broadcast_to(known.any(1, keepdims=True), known.shape)
    parts = []
    for clip in range(clips):
        encoded = encode(block, features, known)
        mid = encoded.mean
        if noise is not None:
            mid = encoded.sample(torch.from_numpy(noise[:, clip].astype(np.float32)).to(device), spread)
        predicted = whole_hands(block, block.decode(mid, encoded), ever)
        parts.append(predicted)
        features, known = predicted.copy(), ever
        features[:, 0, MOTION] = STILL * 2
    return np.concatenate(parts, 1)


@torch.inference_mode()
def expand(
    block: PoseBlock, mids: Float[Tensor, "N n dim"], known: Bool[np.ndarray, "N 42"]
) -> Float[np.ndarray, "N frames 153"]:
    """The end of path P.b: the clip behind each of n mid-levels, in a row."""
    decoded = block.decode(mids.flatten(0, 1)).reshape(len(mids), -1, FEATURES)
    return whole_hands(block, decoded, np.repeat(known[:, None], decoded.shape[1], 1))


def goal_consistent(
    way: Float[np.ndarray, "*batch T 2 4 4"],
    goal: Float[np.ndarray, "*batch 2 4 4"],
    last: Int[np.ndarray, "*batch"] | int,
) -> Float[np.ndarray, "*batch T 2 4 4"]:
    """Bend a trajectory so that its frame `last` is at the goal; the correction grows linearly in time.

    Args:
        way: `start_from_hand`, which begins with the identity.
        goal: `start_from_hand` of the frame `last`.
        last: more than 0.
    """
    rows = np.broadcast_to(np.asarray(last), way.shape[:-4])
    reached = np.take_along_axis(way, rows[..., None, None, None, None], axis=-4)[..., 0, :, :, :]
    correction = goal @ invert_rigid(reached)
    share = np.arange(way.shape[-4]) / rows[..., None]
    turn = vector_from_rotation(correction[..., :3, :3])[..., None, :, :] * share[..., None, None]
    shift = correction[..., None, :, :3, 3] * share[..., None, None]
    return np.asarray(rigid(rotation_from_vector(turn), shift) @ way)


def way_from_start(features: Float[np.ndarray, "*batch T 153"]) -> Float[np.ndarray, "*batch T 2 4 4"]:
    """`start_from_hand` along features; the first frame is the start, the others keep its motion, as in the code."""
    way = trajectory(features)
    way[..., 0, :, :, :] = np.eye(4)
    return np.asarray(way)


def device_of(model: nn.Module) -> torch.device:
    """Where a network computes."""
    return next(model.parameters()).device
