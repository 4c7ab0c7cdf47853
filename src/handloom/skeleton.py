"""The 21-joint hand: names, bones, fingers, and maps from the joint orders of other trackers and data sets.

Order: 0 wrist; 1-4 thumb; 5-8 index; 9-12 middle; 13-16 ring; 17-20 little finger, base to tip.
Hands: axis index 0 is the left hand, 1 the right hand.
"""

import numpy as np
from jaxtyping import Float, Shaped

from handloom.errors import InputError

JOINT_COUNT = 21
HANDS = ("left", "right")
LEFT, RIGHT = 0, 1

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINT_NAMES = (
    "wrist",
    *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{part}" for finger in FINGERS[1:] for part in ("mcp", "pip", "dip", "tip")),
)

WRIST, THUMB_CMC, MIDDLE_MCP = 0, 1, 9
KNUCKLES = (5, 9, 13, 17)
PALM = (WRIST, *KNUCKLES)
FINGERTIPS = (4, 8, 12, 16, 20)

BONES = tuple(
    bone
    for base in (1, 5, 9, 13, 17)
    for bone in ((WRIST, base), (base, base + 1), (base + 1, base + 2), (base + 2, base + 3))
)
"""20 bones as (parent, child), finger by finger."""

PALM_BONES = tuple((WRIST, knuckle) for knuckle in KNUCKLES)
"""The four metacarpals that move least: wrist to index, middle, ring and little knuckle."""

# Position k names the source index of our joint k. Published facts; see the data sets' own documentation.
JOINT_ORDERS: dict[str, tuple[int, ...]] = {
    "handloom": tuple(range(JOINT_COUNT)),
    "mediapipe": tuple(range(JOINT_COUNT)),
    "openpose": tuple(range(JOINT_COUNT)),
    "h2o": tuple(range(JOINT_COUNT)),
    # MANO with the five fingertip vertices appended in the order thumb ... little: joints run
    # wrist, index, middle, little, ring, thumb.
    "mano": (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20),
    "fpha": (0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20),
    "assemblyhands": (20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16),
    # Fingertips, wrist, the other joints of every finger, centre of the palm. It has no base of the thumb: the centre
    # of the palm comes in its place and must not be taken for it.
    "assembly101": (5, 20, 6, 7, 0, 8, 9, 10, 1, 11, 12, 13, 2, 14, 15, 16, 3, 17, 18, 19, 4),
    # 26 joints: palm, wrist, then four thumb joints and five per finger (metacarpal first, which we have not).
    "openxr": (1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15, 17, 18, 19, 20, 22, 23, 24, 25),
}
"""Joint orders of other trackers by name: `ours = theirs[..., JOINT_ORDERS[name], :]`."""

STAND_INS = {"assembly101": (20,)}
"""Source joints that only fill the place of one of ours that the order does not have; they are never valid."""

SOURCE_JOINT_COUNTS = {name: 26 if name == "openxr" else JOINT_COUNT for name in JOINT_ORDERS}


def bone_lengths(joints: Float[np.ndarray, "*batch 21 3"]) -> Float[np.ndarray, "*batch 20"]:
    """Lengths of `BONES` in the unit of the joints; NaN where an end is missing."""
    parents, children = np.array(BONES).T
    return np.asarray(np.linalg.norm(joints[..., children, :] - joints[..., parents, :], axis=-1))


def reorder(joints: Shaped[np.ndarray, "*batch source_joints dim"], order: str) -> Shaped[np.ndarray, "*batch 21 dim"]:
    """Bring joints of a named order into ours.

    Args:
        joints: joints on the last axis but one.
        order: a key of `JOINT_ORDERS`.

    Raises:
        InputError: unknown order, or the number of joints is not that of the order.
    """
    if order not in JOINT_ORDERS:
        raise InputError(f"unknown joint order {order!r}; known: {', '.join(sorted(JOINT_ORDERS))}")
    found, expected = joints.shape[-2], SOURCE_JOINT_COUNTS[order]
    if found != expected:
        raise InputError(f"joint order {order!r} has {expected} joints, found {found}")
    return joints[..., list(JOINT_ORDERS[order]), :]
