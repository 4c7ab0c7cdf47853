"""The sleeves of the person: smooth tubes from the shoulders of the trunk over the elbows to the forearms."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from handloom.geometry import apply_rigid, rotation_from_vector
from handloom.simulate.hand import FRAMES
from handloom.simulate.mesh import BACKGROUND, Mesh
from handloom.simulate.surface import HandSurface
from handloom.skeleton import LEFT

SHOULDER_M = np.array([0.165, -0.515, 0.215])
"""Where the right arm leaves the trunk that `background` seats at the table."""
FOREARM = FRAMES.index("forearm")

# Measures of arms and cloth here are our estimates. Places along the forearm, by its length: the cuff, where the bend
# of the elbow begins, and its corner.
_CUFF, _BEND, _ELBOW = 0.50, 0.87, 1.13
_CLEARANCE_M, _HEM_M = 0.006, 0.004
_UPPER_ARM_M, _SHOULDER_RADIUS_M = 0.056, 0.064
_BEND_M = 0.08
"""How far the bend reaches up the upper arm."""
_FOREARM_STEPS, _BEND_STEPS, _UPPER_STEPS, _CAP_STEPS, _SEGMENTS = 6, 12, 8, 5, 24
_WRINKLE = 0.035
_CLOTH_M = 1.0
"""How much cloth one repetition of the shirt's texture covers."""


@dataclass(frozen=True, eq=False)
class Sleeve:
    """A sleeve that fits one forearm.

    Attributes:
        shoulder_m: its end inside the trunk, in the world.
        forearm_m: length of the forearm's stub.
        radii_m: half the breadth and depth of the tube at the cuff and at the elbow.
    """

    shoulder_m: Float[np.ndarray, "3"]
    forearm_m: float
    radii_m: Float[np.ndarray, "2 2"]

    @classmethod
    def over(cls, surface: HandSurface) -> "Sleeve":
        """The sleeve that covers the end of a hand's forearm and leaves its wrist free."""
        local = apply_rigid(surface.part_from_hand[FOREARM], surface.vertices_m)
        length = float(-local[:, 1].min())
        radii = []
        for start, end in ((_CUFF - 0.08, _CUFF + 0.08), (_BEND - 0.15, 1.0)):
            around = local[(-local[:, 1] >= start * length) & (-local[:, 1] <= end * length)][:, [0, 2]]
            half = np.abs(around).max(0)
            radii.append(half * np.hypot(*(around / half).T).max() + _CLEARANCE_M)
        side = (-1, 1, 1) if surface.side == LEFT else (1, 1, 1)
        return cls(SHOULDER_M * side, length, np.array(radii))

    def mesh(self, trunk: Mesh) -> Mesh:
        """The sleeve in the cloth of a trunk, as a part of the background; its vertices come with `vertices`."""
        rest = np.eye(4)
        rest[:3, 3] = self.shoulder_m + np.array([0, 0.35, -0.15])
        vertices = self.vertices(rest)
        centres, tubes = self._line(rest), len(vertices) - 2
        along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(centres, axis=0), axis=-1))])
        # The cloth is mirrored at the inside of the arm, where a seam would be: so there is none.
        around = np.abs(np.linspace(-1, 1, _SEGMENTS, endpoint=False)) * np.pi * _UPPER_ARM_M
        rings = tubes // _SEGMENTS
        uv = np.empty((len(vertices), 2))
        uv[:tubes, 0] = np.tile(around, rings)
        uv[:tubes, 1] = np.repeat(np.interp(np.arange(rings), np.arange(len(along)) + 1, along), _SEGMENTS)
        uv[tubes:] = (0, 0), (0, along[-1])
        white = np.full((len(vertices), 3), 255, np.uint8)
        return Mesh(
            vertices.astype(np.float32),
            _faces(rings),
            white,
            BACKGROUND,
            None if trunk.texture is None else (uv / _CLOTH_M).astype(np.float32),
            trunk.texture,
            shine=0.0,
        )

    def vertices(self, world_from_forearm: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "V 3"]:
        """Where the sleeve is in the world: rings from the cuff to the shoulder, then the middles of both ends.

        Args:
            world_from_forearm: of the hand's `bone_frames`.
        """
        centres = self._line(world_from_forearm)
        tangents = np.gradient(centres, axis=0)
        tangents[0] = -world_from_forearm[:3, 1]
        tangents /= np.linalg.norm(tangents, axis=-1, keepdims=True)
        # The line lies in a plane: turning about its normal carries the cross-section along without twist.
        first = tangents[0]
        normal = np.cross(first, self.shoulder_m - centres[0])
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        angles = np.arctan2(np.cross(first, tangents) @ normal, tangents @ first)
        breadth = rotation_from_vector(angles[:, None] * normal) @ world_from_forearm[:3, 0]
        depth = np.cross(tangents, breadth)
        radii = self._radii()

        hem = centres[:1], radii[:1] - _HEM_M
        rise = np.linspace(0, np.pi / 2, _CAP_STEPS + 1)[1:-1, None]
        cap = centres[-1] + np.sin(rise) * radii[-1, 0] * tangents[-1], np.cos(rise) * radii[-1]
        middles = np.concatenate([hem[0], centres, cap[0]])
        halves = np.concatenate([hem[1], radii, cap[1]])
        last = len(cap[0])
        breadth, depth = (np.concatenate([a[:1], a, np.repeat(a[-1:], last, 0)]) for a in (breadth, depth))
        # The cuff rolls with the forearm, the shoulder does not: the cloth between them is twisted evenly.
        roll = np.arctan2(depth[-1, 0], breadth[-1, 0])
        turn = np.linspace(-np.pi, np.pi, _SEGMENTS, endpoint=False) + np.linspace(0, roll, len(middles))[:, None]
        rings = (
            middles[:, None]
            + (halves[:, :1] * np.cos(turn))[..., None] * breadth[:, None]
            + (halves[:, 1:] * np.sin(turn))[..., None] * depth[:, None]
        )
        tip = centres[-1] + radii[-1, 0] * tangents[-1]
        return np.concatenate([rings.reshape(-1, 3), centres[:1], tip[None]])

    def _line(self, world_from_forearm: np.ndarray) -> np.ndarray:
        """The middle of the arm from the cuff to the shoulder; the elbow is a quadratic Bezier curve."""
        places = np.zeros((3, 3))
        places[:, 1] = -self.forearm_m * np.array([_CUFF, _BEND, _ELBOW])
        cuff, bend, elbow = apply_rigid(world_from_forearm, places)
        upper = self.shoulder_m - elbow
        up = elbow + min(_BEND_M / max(float(np.linalg.norm(upper)), 1e-9), 0.5) * upper
        forearm = cuff + np.linspace(0, 1, _FOREARM_STEPS, endpoint=False)[:, None] * (bend - cuff)
        t = np.linspace(0, 1, _BEND_STEPS, endpoint=False)[:, None]
        curve = (1 - t) ** 2 * bend + 2 * t * (1 - t) * elbow + t**2 * up
        return np.concatenate([forearm, curve, up + np.linspace(0, 1, _UPPER_STEPS)[:, None] * (self.shoulder_m - up)])

    def _radii(self) -> np.ndarray:
        """Half breadth and depth along the line, with folds of the cloth at the elbow."""
        steps = _FOREARM_STEPS + _BEND_STEPS + _UPPER_STEPS
        marks = [0, _FOREARM_STEPS, _FOREARM_STEPS + _BEND_STEPS, steps - 1]
        ends = np.array([[_UPPER_ARM_M] * 2, [_SHOULDER_RADIUS_M] * 2])
        known = np.concatenate([self.radii_m, ends])
        place = np.arange(steps)
        radii = np.stack([np.interp(place, marks, known[:, k]) for k in (0, 1)], -1)
        near = np.exp(-(((place - _FOREARM_STEPS - _BEND_STEPS / 2) / 5) ** 2))
        return np.asarray(radii * (1 + _WRINKLE * near * (1 + np.sin(place * 2.2)))[:, None])


def _faces(rings: int) -> np.ndarray:
    """Outward faces of a closed tube of rings whose ends have their middles as the last two vertices."""
    here = np.arange(rings * _SEGMENTS).reshape(rings, _SEGMENTS)
    beside = np.roll(here, -1, 1)
    a, b, c, d = here[:-1], beside[:-1], beside[1:], here[1:]
    first, last = np.full(_SEGMENTS, here.size), np.full(_SEGMENTS, here.size + 1)
    parts = [
        np.stack([a, b, c], -1).reshape(-1, 3),
        np.stack([a, c, d], -1).reshape(-1, 3),
        np.stack([beside[0], here[0], first], -1),
        np.stack([here[-1], beside[-1], last], -1),
    ]
    return np.concatenate(parts).astype(np.int32)
