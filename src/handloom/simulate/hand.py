"""The parametric hand: shape, anatomical degrees of freedom with limits and couplings, forward kinematics.

Hand frame: origin at the wrist; for a hand lying palm down x points right, y to the fingers, z out of the back
of the hand. All numbers below are those of the right hand, whose thumb is at -x; the left hand is its mirror
image in x, and the same angles mean the same bending.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.estimators.lifting import ADULT_BONES_M
from handloom.geometry.transforms import apply_rigid, rotation_from_vector
from handloom.skeleton import FINGERS, JOINT_COUNT, LEFT, RIGHT

# The average adult in millimetres. Bone lengths are `ADULT_BONES_M`, from X-rays: the tip joint is the end of the bone,
# and the flesh reaches beyond. Places of the knuckles and half breadths are our estimates, chosen so that the finished
# surface is 85 mm broad at the knuckles, between women (79) and men (90) in Greiner, "Hand anthropometry of US Army
# personnel", Natick TR-92/011 (1991).
_BASES_MM = np.array([[-20, 20, -9], [-25, 88.6, -2], [-3, 88.6, 0], [18, 80, -2], [35, 69, -7]])
_RADII_MM = np.array(
    [
        29.0,
        *(14.0, 12.5, 11.5, 9.0),
        *(12.0, 9.8, 8.4, 6.6),
        *(12.2, 9.9, 8.6, 6.8),
        *(11.6, 9.3, 8.1, 6.5),
        *(10.6, 8.2, 7.2, 5.9),
    ]
)
# Neutral fingers and thumb are our estimates: splay about z and roll about y in degrees. The roll makes fingers
# converge when they bend.
_SPLAY_DEG = np.array([2.0, 0.0, -3.0, -6.0])
_ROLL_DEG = np.array([-8.0, -2.0, 6.0, 14.0])
# Neutral thumb: along the metacarpal, and out of the nail.
_THUMB_Y, _THUMB_Z = np.array([-0.62, 0.70, -0.35]), np.array([-0.80, -0.25, 0.45])
_THUMB_AXIAL = 0.5
_SWING_SIGNS = np.array([1, 1, -1, -1])
_CUPPED = np.array([0, 0, 0, 0.5, 1.0])
# Spread of adults as fractions of the mean: one size that all bones share, and what each has of its own; together
# close to the standard deviations of single bones in Buryanov & Kotiuk, "Proportions of hand segments" (2010).
_SIZE_SPREAD, _BONE_SPREAD, _THICKNESS_SPREAD, _BASE_SPREAD_RAD = 0.055, 0.035, 0.06, 0.02
_LARGEST_DEVIATION = 2.0

_DEGREES = {
    "thumb_cmc_flexion": (-25, 45),
    "thumb_cmc_abduction": (-15, 50),
    "thumb_mcp_flexion": (-10, 60),
    "thumb_mcp_abduction": (-12, 12),
    "thumb_ip_flexion": (-20, 85),
    "index_mcp_flexion": (-25, 90),
    "index_mcp_abduction": (-15, 25),
    "index_pip_flexion": (-5, 110),
    "index_dip_offset": (-30, 30),
    "middle_mcp_flexion": (-25, 90),
    "middle_mcp_abduction": (-15, 15),
    "middle_pip_flexion": (-5, 110),
    "middle_dip_offset": (-30, 30),
    "ring_mcp_flexion": (-25, 95),
    "ring_mcp_abduction": (-15, 20),
    "ring_pip_flexion": (-5, 110),
    "ring_dip_offset": (-30, 30),
    "little_mcp_flexion": (-30, 95),
    "little_mcp_abduction": (-15, 35),
    "little_pip_flexion": (-5, 110),
    "little_dip_offset": (-30, 30),
    "palm_cupping": (-5, 25),
    "wrist_flexion": (-60, 70),
    "wrist_deviation": (-20, 35),
}
DOF_NAMES = tuple(_DEGREES)
"""The degrees of freedom. Flexion bends towards the palm. Abduction spreads a finger away from the middle finger, the
middle finger towards the thumb, and the thumb out of the plane of the palm. A DIP bends by `DIP_OF_PIP` times its PIP
plus the offset. `palm_cupping` bends the little finger's metacarpal to the palm, the ring finger's by half. The
wrist's angles (deviation is towards the little finger) move the forearm only: the 21 joints start at the wrist."""
DOF_COUNT = len(DOF_NAMES)
LOWER = np.radians([low for low, _ in _DEGREES.values()])
UPPER = np.radians([high for _, high in _DEGREES.values()])
"""Limits in radians: rounded active ranges after Kapandji, "The Physiology of the Joints" I."""
DIP_OF_PIP = 2 / 3
"""The tendons bend both together: Rijpkema & Girard, "Computer animation of knowledge-based human grasping" (1991)."""
ABDUCTION_LOST = 0.8
"""Share of a finger's abduction that is lost with the MCP bent by 90 degrees, where its collateral ligaments tighten;
our estimate."""

_ABDUCTIONS = np.array([DOF_NAMES.index(f"{finger}_mcp_abduction") for finger in FINGERS[1:]])
_CUPPING, _WRIST = DOF_COUNT - 3, DOF_COUNT - 2


@dataclass(frozen=True, eq=False)
class HandShape:
    """One person's hand.

    Attributes:
        side: `skeleton.LEFT` or `RIGHT`.
        lengths_m: bone lengths in the order of `skeleton.BONES`.
        base_directions: unit vectors from the wrist to the thumb's CMC and the four MCP joints, in the right
            hand's frame whatever the side, with the palm flat.
        radii_m: half the breadth of the hand at every joint; at the wrist, of the forearm.

    Raises:
        InputError: a length or radius is not a positive number, or a direction is not of length 1.
    """

    side: int
    lengths_m: Float[np.ndarray, "20"]
    base_directions: Float[np.ndarray, "5 3"]
    radii_m: Float[np.ndarray, "21"]

    def __post_init__(self) -> None:
        if self.side not in (LEFT, RIGHT):
            raise InputError(f"a hand's side is {LEFT} (left) or {RIGHT} (right), found {self.side!r}")
        for name, expected in (("lengths_m", (20,)), ("base_directions", (5, 3)), ("radii_m", (JOINT_COUNT,))):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != expected:
                raise InputError(f"a hand's {name} must have shape {expected}, found {values.shape}")
            bad = np.flatnonzero(~(np.isfinite(values) & ((values > 0) | (name == "base_directions"))))
            if len(bad):
                raise InputError(f"a hand's {name} must be positive, found {values.flat[bad[0]]} at index {bad[0]}")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        norms = np.linalg.norm(self.base_directions, axis=-1)
        if not np.allclose(norms, 1, atol=1e-6):
            raise InputError(f"a hand's base_directions must be unit vectors, found lengths {norms}")

    @classmethod
    def average(cls, side: int) -> "HandShape":
        """The average adult hand."""
        return cls(side, *_average())

    @classmethod
    def sample(cls, rng: np.random.Generator, side: int) -> "HandShape":
        """A random adult's hand; the same generator state gives the same person on either side."""

        def spread(deviation: float, *shape: int) -> np.ndarray:
            normal = np.clip(rng.standard_normal(shape), -_LARGEST_DEVIATION, _LARGEST_DEVIATION)
            return np.asarray(deviation * normal)

        lengths, directions, radii = _average()
        size = 1 + spread(_SIZE_SPREAD)
        lengths = lengths * size * (1 + spread(_BONE_SPREAD, 20))
        # The knuckles of one palm differ little in distance.
        lengths[4::4] = _average()[0][4::4] * size * (1 + spread(_BONE_SPREAD) + spread(_BONE_SPREAD / 4, 4))
        directions = directions + spread(_BASE_SPREAD_RAD, 5, 3)
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        radii = radii * size * (1 + spread(_THICKNESS_SPREAD)) * (1 + spread(_THICKNESS_SPREAD / 3, JOINT_COUNT))
        return cls(side, lengths, directions, radii)


def _average() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    directions = _BASES_MM / np.linalg.norm(_BASES_MM, axis=-1, keepdims=True)
    return ADULT_BONES_M.copy(), directions, _RADII_MM / 1000


@dataclass(frozen=True, eq=False)
class HandPose:
    """Where a hand is and how it is bent, over any batch axes.

    Attributes:
        world_from_hand: rigid transforms of the hand frame.
        angles: radians, in the order of `DOF_NAMES`.
    """

    world_from_hand: Float[np.ndarray, "*batch 4 4"]
    angles: Float[np.ndarray, "*batch 24"]


def clamp(angles: Float[np.ndarray, "*batch 24"]) -> Float[np.ndarray, "*batch 24"]:
    """The nearest angles that a hand can take: within `LOWER` and `UPPER`, less abduction where the MCP is bent."""
    clamped = np.asarray(np.clip(angles, LOWER, UPPER))
    bent = np.clip(clamped[..., _ABDUCTIONS - 1] / (np.pi / 2), 0, 1)
    room = 1 - ABDUCTION_LOST * bent
    clamped[..., _ABDUCTIONS] = np.clip(clamped[..., _ABDUCTIONS], room * LOWER[_ABDUCTIONS], room * UPPER[_ABDUCTIONS])
    return clamped


FRAMES = (
    "palm",
    *(f"{finger}_{part}" for finger in FINGERS for part in ("proximal", "middle", "distal")),
    "ring_metacarpal",
    "little_metacarpal",
    "forearm",
)
"""The rigid parts of a hand, one frame each: y along the bone, origin at its first joint (wrist, for the last three).
The thumb's proximal part is its metacarpal."""


def forward(
    shape: HandShape, world_from_hand: Float[np.ndarray, "*#batch 4 4"], angles: Float[np.ndarray, "*#batch 24"]
) -> Float[np.ndarray, "... 21 3"]:
    """Joints in metres, in the world frame of `world_from_hand`. Batch axes broadcast."""
    origins, rotations, _ = _chains(shape, angles)
    tips = origins[..., 2, :] + shape.lengths_m[3::4, None] * rotations[..., 2, :, 1]
    fingers = np.concatenate([origins, tips[..., None, :]], -2)
    wrist = np.zeros((*angles.shape[:-1], 1, 3))
    local = np.concatenate([wrist, fingers.reshape(*angles.shape[:-1], 20, 3)], -2)
    if shape.side == LEFT:
        local = local * _MIRROR
    return np.asarray(apply_rigid(world_from_hand, local))


def bone_frames(
    shape: HandShape, world_from_hand: Float[np.ndarray, "*#batch 4 4"], angles: Float[np.ndarray, "*#batch 24"]
) -> Float[np.ndarray, "... 19 4 4"]:
    """`world_from_part` of every part in `FRAMES`. Batch axes broadcast."""
    origins, rotations, metacarpals = _chains(shape, angles)
    batch = angles.shape[:-1]
    still = np.broadcast_to(np.eye(3), (*batch, 1, 3, 3))
    # The forearm turns against the hand: the inverse of the wrist's bending.
    flexion, deviation = angles[..., _WRIST, None], angles[..., _WRIST + 1, None]
    forearm = np.swapaxes(_turns(flexion, -deviation, np.zeros_like(flexion)), -1, -2)
    turned = [still, rotations.reshape(*batch, 15, 3, 3), metacarpals[..., 3:, :, :], forearm]
    local = np.zeros((*batch, len(FRAMES), 4, 4))
    local[..., :3, :3] = np.concatenate(turned, -3)
    local[..., 1:16, :3, 3] = origins.reshape(*batch, 15, 3)
    local[..., 3, 3] = 1
    if shape.side == LEFT:
        mirror = np.append(_MIRROR, 1.0)
        local = mirror[:, None] * local * mirror
    return np.asarray(world_from_hand[..., None, :, :] @ local)


def wrist_towards(
    side: int, world_from_hand: Float[np.ndarray, "*#batch 4 4"], elbow: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 2"]:
    """The wrist's flexion and deviation that point the forearm at an elbow in the world; not clamped."""
    offset = elbow - world_from_hand[..., :3, 3]
    x, y, z = np.moveaxis(np.einsum("...ji,...j->...i", world_from_hand[..., :3, :3], offset), -1, 0)
    deviation = np.arctan2(-x if side == LEFT else x, np.hypot(y, z))
    return np.stack([np.arctan2(-z, -y), deviation], -1)


_MIRROR = np.array([-1.0, 1.0, 1.0])


def _neutral() -> np.ndarray:
    y = _THUMB_Y / np.linalg.norm(_THUMB_Y)
    x = np.cross(y, _THUMB_Z)
    x /= np.linalg.norm(x)
    thumb = np.stack([x, y, np.cross(x, y)], -1)
    zero = np.zeros(4)
    splay = rotation_from_vector(np.stack([zero, zero, np.radians(_SPLAY_DEG)], -1))
    roll = rotation_from_vector(np.stack([zero, np.radians(_ROLL_DEG), zero], -1))
    return np.concatenate([thumb[None], splay @ roll])


_NEUTRAL = _neutral()


def _chains(shape: HandShape, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint origins (..., 5, 3, 3), their parts' rotations (..., 5, 3, 3, 3), metacarpals' (..., 5, 3, 3)."""
    batch = angles.shape[:-1]
    thumb, fingers = angles[..., :5], angles[..., 5:21].reshape(*batch, 4, 4)
    cmc, mcp_flexion, ip_flexion = thumb[..., :2], thumb[..., 2], thumb[..., 4]
    flexion, swing, axial = np.zeros((3, *batch, 5, 3))
    flexion[..., 0, :] = np.stack([cmc[..., 0], mcp_flexion, ip_flexion], -1)
    flexion[..., 1:, :2] = fingers[..., [0, 2]]
    flexion[..., 1:, 2] = DIP_OF_PIP * fingers[..., 2] + fingers[..., 3]
    swing[..., 0, :2] = thumb[..., [1, 3]]
    swing[..., 1:, 0] = fingers[..., 1] * _SWING_SIGNS
    # Opposition turns the thumb's pulp to the fingers (Kapandji's automatic rotation).
    axial[..., 0, 0] = -_THUMB_AXIAL * cmc.sum(-1)
    turns = _turns(flexion, swing, axial)

    cupping = _CUPPED * angles[..., _CUPPING, None]
    metacarpals = _turns(cupping, np.zeros_like(cupping), np.zeros_like(cupping))
    first = metacarpals @ _NEUTRAL @ turns[..., 0, :, :]
    second = first @ turns[..., 1, :, :]
    rotations = np.stack([first, second, second @ turns[..., 2, :, :]], -3)

    lengths = shape.lengths_m.reshape(5, 4)
    base = lengths[:, :1] * np.einsum("...fij,fj->...fi", metacarpals, shape.base_directions)
    steps = lengths[:, 1:3, None] * rotations[..., :2, :, 1]
    origins = np.concatenate([base[..., None, :], base[..., None, :] + np.cumsum(steps, -2)], -2)
    return origins, rotations, metacarpals


def _turns(flexion: np.ndarray, swing: np.ndarray, axial: np.ndarray) -> np.ndarray:
    """Rz(swing) Rx(-flexion) Ry(axial): spread, then bend, then turn about the bone."""
    cf, sf, cs, ss = np.cos(flexion), np.sin(flexion), np.cos(swing), np.sin(swing)
    x = np.stack([cs, ss, np.zeros_like(cs)], -1)
    y = np.stack([-ss * cf, cs * cf, -sf], -1)
    z = np.stack([-ss * sf, cs * sf, cf], -1)
    ca, sa = np.cos(axial)[..., None], np.sin(axial)[..., None]
    return np.stack([x * ca - z * sa, y, x * sa + z * ca], -1)


# In the order of the degrees of freedom, one group per finger: the closed pose, then the open one.
_GRASPS_DEG = {
    "flat": ((*(-5, -5, 0, 0, 0), *(0, 0, 0, 0), *(0, 0, 0, 0), *(0, 0, 0, 0), *(0, 0, 0, 0), 0),) * 2,
    "open": ((*(-20, 8, -5, 0, -5), *(-4, 14, 2, 0), *(-4, 0, 2, 0), *(-4, 12, 2, 0), *(-4, 22, 2, 0), 0),) * 2,
    "relaxed": ((*(8, 12, 14, 0, 16), *(20, 3, 26, -5), *(25, 0, 30, -5), *(30, 2, 32, -5), *(34, 5, 32, -5), 4),) * 2,
    "fist": (
        (*(35, 19, 31, -12, 37), *(86, 0, 106, 8), *(90, -3, 94, 6), *(88, 3, 106, 8), *(89, -2, 101, 4), 15),
        (*(0, 12, 8, 0, 12), *(12, 4, 20, -2), *(14, 0, 22, -2), *(16, 2, 22, -2), *(18, 6, 22, -2), 2),
    ),
    "point": (
        (*(35, 22, 34, -11, 40), *(4, 0, 8, 0), *(88, -2, 87, -5), *(80, 4, 95, -5), *(82, 0, 92, -5), 12),
        (*(20, 20, 25, -5, 25), *(4, 0, 8, 0), *(60, 0, 75, -5), *(66, 0, 78, -5), *(68, 0, 76, -5), 6),
    ),
    "pinch": (
        (*(30, 14, 14, -12, 6), *(62, -7, 42, -11), *(34, 0, 38, -5), *(30, 4, 34, -5), *(28, 8, 30, -5), 5),
        (*(-5, 22, 4, -4, 4), *(22, 2, 24, -6), *(22, 0, 26, -5), *(20, 4, 26, -5), *(20, 8, 24, -5), 2),
    ),
    "tripod": (
        (*(40, 29, 16, -7, 5), *(73, 6, 32, -21), *(76, -5, 30, -15), *(60, 4, 63, -5), *(60, 4, 60, -5), 10),
        (*(-5, 25, 4, -4, 4), *(22, 6, 24, -8), *(24, 0, 26, -8), *(34, 4, 40, -5), *(36, 8, 40, -5), 4),
    ),
    "lateral": (
        (*(23, -5, 3, -12, 14), *(64, -5, 68, -5), *(60, 0, 78, -5), *(64, 0, 82, -5), *(66, 0, 80, -5), 6),
        (*(0, 5, 4, -6, 8), *(45, 0, 70, -5), *(52, 0, 75, -5), *(56, 0, 78, -5), *(58, 0, 76, -5), 4),
    ),
    "power": (
        (*(22, 15, 29, -12, 46), *(88, 4, 69, 0), *(72, -2, 81, 0), *(72, 3, 80, 0), *(74, 4, 78, 0), 14),
        (*(-10, 35, 0, -3, 5), *(8, 12, 18, 0), *(8, 0, 20, 0), *(8, 10, 20, 0), *(10, 20, 20, 0), 0),
    ),
}
GRASPS = tuple(_GRASPS_DEG)
"""Names of the canonical grasps."""


def grasp(name: str, aperture: float | Float[np.ndarray, "*batch"] = 0.0) -> Float[np.ndarray, "*batch 24"]:
    """Angles of a canonical grasp, the wrist straight.

    Args:
        name: one of `GRASPS`; after the taxonomy of Feix et al., IEEE THMS 46 (2016).
        aperture: 0 closed on nothing, 1 as wide as the hand opens for it; `flat`, `open` and `relaxed` have one pose.

    Raises:
        InputError: unknown name, or an aperture outside 0 ... 1.
    """
    if name not in _GRASPS_DEG:
        raise InputError(f"unknown grasp {name!r}; known: {', '.join(GRASPS)}")
    share = np.asarray(aperture, dtype=np.float64)
    if not ((share >= 0) & (share <= 1)).all():
        raise InputError(f"a grasp's aperture must lie in 0 ... 1, found {share.min():g} ... {share.max():g}")
    closed, opened = (np.append(np.radians(pose), (0.0, 0.0)) for pose in _GRASPS_DEG[name])
    return np.asarray(closed + share[..., None] * (opened - closed))
