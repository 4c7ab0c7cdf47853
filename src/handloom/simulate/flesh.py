"""The flesh of a hand as a smooth distance field: flattened, tapered capsules along the bones, melted together."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from handloom.geometry.transforms import apply_rigid
from handloom.simulate.hand import DOF_NAMES, FRAMES, HandShape, bone_frames
from handloom.skeleton import RIGHT

_REST_DEG = {
    "thumb_cmc_flexion": -18,
    "thumb_cmc_abduction": 8,
    "index_mcp_flexion": -3,
    "index_mcp_abduction": 17,
    "middle_mcp_flexion": -3,
    "ring_mcp_flexion": -3,
    "ring_mcp_abduction": 16,
    "little_mcp_abduction": 30,
}
REST_ANGLES = np.radians([_REST_DEG.get(name, 0) for name in DOF_NAMES])
"""The pose in which flesh and surface are built: the fingers stand apart, so that nothing touches."""
REST_ANGLES.setflags(write=False)

# How far neighbouring capsules melt into each other, in metres: within a finger, within the palm, and where they meet.
_FINGER_MELT_M, _PALM_MELT_M, _MELT_M = 0.0015, 0.004, 0.002
_CHUNK = 16384

# Capsules of the palm in millimetres of the average right hand, in the palm's frame: two ends with their radii. These
# and all shapes below are our estimates; `hand` says what the finished surface was held against.
_PALM_MM = [
    # carpus and the four metacarpals
    ((-12, 6, -1), 15.5, (12, 6, -1), 15.5),
    ((-12, 22, -2), 13.0, (-24, 84, -3), 11.0),
    ((-4, 22, -1), 13.5, (-3, 84, -1), 11.5),
    ((7, 22, -2), 13.5, (17, 76, -3), 11.0),
    ((14, 20, -4), 13.0, (33, 66, -7), 10.5),
    # pads under the knuckles
    ((-22, 84, -8), 8.5, (-3, 83, -8), 8.5),
    ((-3, 83, -8), 8.5, (17, 76, -9), 8.5),
    ((17, 76, -9), 8.5, (32, 66, -12), 8.5),
    # ball of the little finger
    ((21, 17, -11), 11.0, (33, 48, -12), 10.0),
    # ball of the thumb, where it stays with the palm
    ((-15, 17, -12), 11.5, (-20, 40, -15), 9.0),
]
FOREARM_MM = 230.0
"""Length of the average forearm's stub."""
_FOREARM_MM = [
    ((-10, 4, -1), 18.0, (-9, -70, 0), 24.0),
    ((10, 4, -1), 18.0, (9, -70, 0), 24.0),
    ((-9, -70, 0), 24.0, (-10, -196, -2), 34.0),
    ((9, -70, 0), 24.0, (10, -196, -2), 34.0),
]
_FOREARM_THINNESS = 1.13
# Capsules of a finger's part: two ends as shares of the bone's length, how far they are shifted out of the back of the
# hand, their radii, all in units of the radius at the near joint, but the last radius of that at the far one; and
# breadth over depth. The second capsule is the pad on the palm's side.
_PROXIMAL = [(0.0, 0.0, 0.86, 1.0, 0.0, 0.95, 1.1), (0.3, -0.2, 0.78, 0.68, -0.12, 0.82, 1.0)]
_MIDDLE = [(0.0, 0.0, 0.96, 1.0, 0.0, 0.94, 1.1), (0.35, -0.15, 0.82, 0.65, -0.15, 0.86, 1.0)]
_DISTAL = [(0.0, 0.0, 0.96, 1.0, 0.0, 0.95, 1.15), (0.35, -0.16, 0.84, 0.75, -0.16, 0.9, 1.0)]
_THUMB_METACARPAL = [(0.1, 0.0, 0.85, 1.0, 0.0, 0.92, 1.05), (0.15, -0.35, 0.95, 0.75, -0.2, 0.89, 1.0)]
_TIP_M = 0.004
"""How far the flesh of the average finger reaches beyond its bone (Buryanov & Kotiuk 2010)."""
# The heads of the metacarpals stand out of the back of the hand.
_KNUCKLE = (-0.1, 0.35, 0.6, 0.05, 0.35, 0.6, 1.0)
# How far up the first phalanges the webs between the fingers reach, and their radius.
_WEBS, _WEB_M = (0.36, 0.38, 0.4, 0.5), 0.0062
# The thumb's web: place along the metacarpal, place in the palm in millimetres, radius.
_THUMB_WEBS_MM = [(0.85, (-17, 60, -8), 6.0), (0.62, (-17, 39, -8), 8.0)]


@dataclass(frozen=True, eq=False)
class Flesh:
    """A hand's flesh at rest, as a right hand whose wrist is the origin.

    Attributes:
        ends: both ends of every capsule, metres.
        radii: at both ends, metres.
        flat: the direction in which a capsule is thin, unit vectors.
        thinness: breadth over depth.
        groups: 0 palm and forearm, 1 to 5 the fingers.
        frames: `world_from_part` at rest.
    """

    ends: Float[np.ndarray, "capsules 2 3"]
    radii: Float[np.ndarray, "capsules 2"]
    flat: Float[np.ndarray, "capsules 3"]
    thinness: Float[np.ndarray, "capsules"]
    groups: Int[np.ndarray, "capsules"]
    frames: Float[np.ndarray, "19 4 4"]

    def distance(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points"]:
        """Signed distance to the skin in metres, negative inside; exact near round parts, a guide elsewhere."""
        return np.concatenate([self._distance(points[i : i + _CHUNK]) for i in range(0, max(len(points), 1), _CHUNK)])

    def _distance(self, points: np.ndarray) -> np.ndarray:
        a, along = self.ends[:, 0], self.ends[:, 1] - self.ends[:, 0]
        length = (along**2).sum(-1)
        reach = points @ along.T - (a * along).sum(-1)
        t = np.clip(reach / length, 0, 1)
        square = (points**2).sum(-1)[:, None] - 2 * points @ a.T + (a**2).sum(-1) - 2 * t * reach + t * t * length
        thin = points @ self.flat.T - (a * self.flat).sum(-1) - t * (along * self.flat).sum(-1)
        square += (self.thinness**2 - 1) * thin**2
        single = np.sqrt(np.maximum(square, 1e-12)) - (self.radii[:, 0] + t * (self.radii[:, 1] - self.radii[:, 0]))
        parts = [
            _melt(single[:, self.groups == group], _FINGER_MELT_M if group else _PALM_MELT_M) for group in range(6)
        ]
        return _melt(np.stack(parts, -1), _MELT_M)


def _melt(distances: np.ndarray, width: float) -> np.ndarray:
    """The smooth minimum over the last axis: order does not matter, and it is smooth everywhere."""
    least = distances.min(-1)
    return np.asarray(least - width * np.log(np.exp((least[:, None] - distances) / width).sum(-1)))


def flesh(shape: HandShape, forearm_mm: float = FOREARM_MM) -> Flesh:
    """The flesh of a hand in `REST_ANGLES`; the left hand's is its mirror image, so `side` does not matter."""
    average = HandShape.average(RIGHT)
    frames = bone_frames(replace(shape, side=RIGHT), np.eye(4), REST_ANGLES)
    lengths, r = shape.lengths_m.reshape(5, 4)[:, 1:], shape.radii_m[1:].reshape(5, 4)
    capsules: list[tuple[int, int, np.ndarray, float, float, float]] = []

    thick = float(shape.radii_m[5:].mean() / average.radii_m[5:].mean())
    palm = np.array([_breadth(shape) / _breadth(average), shape.lengths_m[8] / average.lengths_m[8], thick]) / 1000
    for a, ra, b, rb in _PALM_MM:
        capsules.append((0, 0, palm * (a, b), thick * ra / 1000, thick * rb / 1000, 1.0))
    wrist = float(shape.radii_m[0] / average.radii_m[0]) / 1000
    forearm = np.array([wrist, forearm_mm / FOREARM_MM * palm[1], wrist])
    for a, ra, b, rb in _FOREARM_MM:
        capsules.append((0, FRAMES.index("forearm"), forearm * (a, b), wrist * ra, wrist * rb, _FOREARM_THINNESS))

    for finger in range(5):
        first = 1 + 3 * finger
        kinds = (_PROXIMAL if finger else _THUMB_METACARPAL, _MIDDLE, _DISTAL)
        for k, kind in enumerate(kinds):
            near, far = r[finger, k], r[finger, k + 1]
            # The last capsule ends in a ball, whose far side is the fingertip.
            length = lengths[finger, k] + (thick * _TIP_M - kind[0][5] * far if k == 2 else 0)
            # The thumb's metacarpal lies in the palm's flesh.
            group = 0 if (finger, k) == (0, 0) else finger + 1
            capsules += [_along(group, first + k, length, near, far, row) for row in kind]
        if finger:
            capsules.append(_along(0, first, r[finger, 0], r[finger, 0], r[finger, 0], _KNUCKLE))

    parts = [part for _, part, *_ in capsules]
    ends = apply_rigid(frames[parts], np.array([ends for _, _, ends, *_ in capsules]))
    webs, web_radii = _webs(frames, lengths, palm)
    return Flesh(
        np.concatenate([ends, webs]),
        np.concatenate([[(ra, rb) for *_, ra, rb, _ in capsules], np.repeat(web_radii[:, None], 2, 1)]),
        np.concatenate([frames[parts, :3, 2], np.tile(frames[0, :3, 2], (len(webs), 1))]),
        np.append([thinness for *_, thinness in capsules], np.ones(len(webs))),
        np.append([group for group, *_ in capsules], np.zeros(len(webs), int)),
        frames,
    )


def _along(
    group: int, part: int, length: float, near: float, far: float, row: tuple[float, ...]
) -> tuple[int, int, np.ndarray, float, float, float]:
    start, up, radius, end, end_up, end_radius, thinness = row
    ends = np.array([[0, start * length, up * near], [0, end * length, end_up * near]])
    return group, part, ends, radius * near, end_radius * far, thinness


def _webs(frames: np.ndarray, lengths: np.ndarray, palm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Capsules across the gaps: ends (5, 2, 3) and radii."""
    proximal = frames[1:16:3]
    ends, radii = [], []
    for finger in range(1, 4):
        share = np.array(_WEBS[finger - 1 : finger + 1])[:, None]
        pair = proximal[finger : finger + 2]
        sunk = pair[:, :3, 3] - 0.002 * pair[:, :3, 2]
        ends.append(sunk + share * lengths[finger : finger + 2, :1] * pair[:, :3, 1])
        radii.append(_WEB_M)
    for along, place, radius in _THUMB_WEBS_MM:
        ends.append(np.stack([proximal[0, :3, 3] + along * lengths[0, 0] * proximal[0, :3, 1], palm * place]))
        radii.append(radius / 1000)
    return np.array(ends), np.array(radii) * palm[2] * 1000


def _breadth(shape: HandShape) -> float:
    across = shape.lengths_m[4::4] * shape.base_directions[1:, 0]
    return float(across[-1] - across[0])
