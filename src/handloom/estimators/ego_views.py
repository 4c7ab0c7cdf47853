"""The same hand in several views of one frame, taken together in the world."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from handloom.skeleton import WRIST

ALONG_OVER_ACROSS = 8.0
"""How much worse a single view knows the distance of a wrist than where it is in the picture."""


class MergedHands(NamedTuple):
    """Hands in the world, one for each group: joints relative to the wrist, and the wrist."""

    relative_m: Float[np.ndarray, "G 21 3"]
    wrist_m: Float[np.ndarray, "G 3"]


def merge_views(
    joints_m: Float[np.ndarray, "N 21 3"],
    confidence: Float[np.ndarray, "N 21"],
    world_from_camera: Float[np.ndarray, "N 4 4"],
    group: Int[np.ndarray, "N"],
) -> MergedHands:
    """One hand for every group of views.

    Joints relative to the wrist are means, weighted by the square of each view's confidence. The wrist is where the
    views' own wrists agree best, each of which counts a 64th along its line of sight.

    Args:
        joints_m: in each view's camera frame.
        confidence: of each joint.
        world_from_camera: pose of each view's camera.
        group: 0 ... G - 1; views of one hand in one frame have one number.
    """
    G = int(group.max()) + 1 if len(group) else 0
    turn, centre = world_from_camera[:, :3, :3], world_from_camera[:, :3, 3]
    weight = confidence**2 + 1e-6
    relative = (joints_m - joints_m[:, WRIST : WRIST + 1]) @ turn.transpose(0, 2, 1)
    total, sums = np.zeros((G, 21)), np.zeros((G, 21, 3))
    np.add.at(total, group, weight)
    np.add.at(sums, group, relative * weight[..., None])

    ray = np.einsum("nij,nj->ni", turn, joints_m[:, WRIST])
    wrist = ray + centre
    distance = np.linalg.norm(ray, axis=-1, keepdims=True)
    ray = ray / distance
    # Pixels off are millimetres in proportion to the distance.
    trust = (weight[:, WRIST] / distance[:, 0] ** 2)[:, None, None]
    known = trust * (np.eye(3) - (1 - ALONG_OVER_ACROSS**-2) * ray[:, :, None] * ray[:, None])
    left, right = np.zeros((G, 3, 3)), np.zeros((G, 3))
    np.add.at(left, group, known)
    np.add.at(right, group, np.einsum("nij,nj->ni", known, wrist))
    return MergedHands(sums / total[..., None], np.linalg.solve(left, right[..., None])[..., 0])
