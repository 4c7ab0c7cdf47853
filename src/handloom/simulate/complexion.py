"""The colour of skin, vertex by vertex: back and palm, nails, knuckles, creases, and what makes one person's own."""

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.simulate.hand import FRAMES
from handloom.simulate.polygonise import vertex_normals
from handloom.simulate.surface import HandSurface
from handloom.skeleton import LEFT

# The back of the hand in daylight from light to dark, sRGB. All colours and lines here are our estimates, by eye.
_TONES = (
    np.array(
        [(238, 204, 184), (226, 180, 152), (205, 152, 121), (173, 119, 89), (136, 90, 66), (99, 64, 48), (70, 47, 38)]
    )
    / 255
)
_BLOOD = np.array([0.80, 0.42, 0.36])
_PALM, _NAIL, _NAIL_EDGE = np.array([0.90, 0.68, 0.58]), np.array([0.93, 0.74, 0.68]), np.array([0.95, 0.90, 0.84])
_CREASE_M, _KNUCKLE_M = 0.0028, 0.005
_MOTTLES, _SHORTEST_M, _LONGEST_M = 24, 0.006, 0.04
# Heart, head and life line in millimetres of the average right palm.
_PALM_LINES_MM = (
    ((38, 58), (18, 62), (0, 68), (-12, 80)),
    ((30, 40), (8, 50), (-14, 60), (-27, 66)),
    ((-28, 66), (-12, 54), (-3, 36), (-6, 14)),
)


def skin_tone(darkness: float) -> Float[np.ndarray, "3"]:
    """sRGB, 0 ... 1, of a place between the lightest (0) and the darkest (1) shade.

    Raises:
        InputError: outside 0 ... 1.
    """
    if not 0 <= darkness <= 1:
        raise InputError(f"a skin tone's darkness must lie in 0 ... 1, found {darkness:g}")
    places = np.linspace(0, 1, len(_TONES))
    return np.array([np.interp(darkness, places, channel) for channel in _TONES.T])


def skin_colours(
    surface: HandSurface, tone: Float[np.ndarray, "3"], rng: np.random.Generator
) -> Float[np.ndarray, "V 3"]:
    """Base colour of every vertex, sRGB, 0 ... 1.

    Args:
        tone: colour of the back of the hand, as `skin_tone` gives it.
        rng: draws the mottling; the same state gives a person's two hands the same kind of skin.
    """
    vertices = surface.vertices_m
    normals = vertex_normals(vertices, surface.faces)
    part = surface.weights.argmax(1)
    to_part = surface.part_from_hand[part]
    local = np.einsum("vij,vj->vi", to_part[:, :3, :3], vertices) + to_part[:, :3, 3]
    facing = np.einsum("vi,vi->v", to_part[:, 2, :3], normals)
    back, front = _rise(facing, -0.1, 0.6), _rise(-facing, -0.1, 0.6)
    fleshy = 1 - surface.weights[:, FRAMES.index("forearm")]

    colour = np.broadcast_to(tone, vertices.shape)
    colour = _mix(colour, 0.5 * tone + 0.5 * _PALM, front * fleshy)
    colour = colour * (1 + _mottling(vertices, rng)[:, None])

    y = local[:, 1]
    distal = np.isin(part, range(3, 16, 3))
    joint = np.isin(part, range(1, 16))
    at_joint = joint * np.exp(-0.5 * (y / _KNUCKLE_M) ** 2)
    colour = _mix(
        colour, 0.5 * colour + 0.5 * _BLOOD * colour.mean(-1, keepdims=True) / _BLOOD.mean(), 0.45 * at_joint * back
    )
    lines = np.where(joint & (part != 1), np.exp(-0.5 * (y / _CREASE_M) ** 2), 0.0)
    lines = np.maximum(lines * front, _palm_lines(surface) * np.isin(part, (0, 1, 16, 17)) * front)
    colour = colour * (1 - 0.17 * lines[:, None])

    for tip in range(3, 16, 3):
        here = distal & (part == tip)
        long, half = y[here].max(), np.abs(local[here, 0]).max()
        place = y[here] / long
        nail = (
            _rise(place, 0.38, 0.55)
            * _rise(0.8 * half - np.abs(local[here, 0]), 0, 0.25 * half)
            * _rise(facing[here], 0.1, 0.5)
        )
        colour[here] = _mix(colour[here], 0.25 * tone + 0.75 * _NAIL, nail)
        colour[here] = _mix(colour[here], _NAIL_EDGE, nail * _rise(place, 0.9, 0.97))
        colour[here] = _mix(colour[here], _BLOOD, 0.15 * _rise(place, 0.3, 0.9) * front[here])
    return np.asarray(np.clip(colour, 0, 1))


def _palm_lines(surface: HandSurface) -> np.ndarray:
    points = surface.vertices_m[:, :2] * (-1.0 if surface.side == LEFT else 1.0, 1.0)
    nearest = np.full(len(points), np.inf)
    for line in _PALM_LINES_MM:
        corners = np.array(line) / 1000
        a, along = corners[:-1], np.diff(corners, axis=0)
        t = np.clip(np.einsum("vsi,si->vs", points[:, None] - a, along) / (along**2).sum(-1), 0, 1)
        distance = np.linalg.norm(points[:, None] - a - t[..., None] * along, axis=-1).min(1)
        nearest = np.minimum(nearest, distance)
    return np.asarray(np.exp(-0.5 * (nearest / _CREASE_M) ** 2))


def _mottling(vertices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blotches of a few per cent: waves of random direction, length and phase."""
    direction = rng.standard_normal((_MOTTLES, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    wave = direction * 2 * np.pi / np.exp(rng.uniform(np.log(_SHORTEST_M), np.log(_LONGEST_M), (_MOTTLES, 1)))
    waves = np.sin(vertices @ wave.T + rng.uniform(0, 2 * np.pi, _MOTTLES))
    return np.asarray(0.035 * waves.sum(-1) / np.sqrt(_MOTTLES / 2))


def _mix(colour: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.asarray(colour + share[:, None] * (other - colour))


def _rise(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
