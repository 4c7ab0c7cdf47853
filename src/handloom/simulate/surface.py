"""The skin of a hand: one closed surface whose vertices mean the same on every hand, bent by dual quaternions."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from handloom.geometry.transforms import invert_rigid, vector_from_rotation
from handloom.simulate.flesh import FOREARM_MM, flesh
from handloom.simulate.hand import FRAMES, HandShape
from handloom.simulate.polygonise import neighbour_mean, project, spread, surface_nets
from handloom.skeleton import LEFT, RIGHT

# The template is polygonised with thicker fingers and a shorter forearm than real, so that an even grid gives more
# vertices to the fingers and fewer to the forearm.
_STEP_M = 0.0048
_FINGERS_THICKER = 1.15
_TEMPLATE_FOREARM_MM = 60.0
_LOWER_M, _UPPER_M = np.array([-0.130, -0.100, -0.085]), np.array([0.115, 0.195, 0.040])

# Rounds of diffusion that turn "nearest bone" into smooth weights: everywhere, then in the fleshy palm only.
_DIFFUSION, _PALM_DIFFUSION = 7, 22
# The part that each of `FRAMES` hangs on, and the parts in an order in which parents come first.
_PARENT = (0, *(p for f in range(5) for p in (0 if f < 3 else 13 + f, 3 * f + 1, 3 * f + 2)), 0, 0, 0)
_LEVELS = ((16, 17, 18, 1, 4, 7), (10, 13, 2, 5, 8), (11, 14, 3, 6, 9), (12, 15))


@dataclass(frozen=True, eq=False)
class HandSurface:
    """A hand's skin at rest. Vertex k is the same spot of skin on every hand.

    Attributes:
        side: `skeleton.LEFT` or `RIGHT`.
        vertices_m: in the hand frame, in `flesh.REST_ANGLES`.
        faces: outwards by the right-hand rule; every edge belongs to exactly two.
        weights: how far each part of `FRAMES` moves a vertex; rows sum to 1.
        part_from_hand: transforms into the parts' own frames at rest.
    """

    side: int
    vertices_m: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    weights: Float[np.ndarray, "V 19"]
    part_from_hand: Float[np.ndarray, "19 4 4"]


def hand_surface(shape: HandShape) -> HandSurface:
    """The skin of one hand: the template brought to the shape's bones, then onto its flesh."""
    rest, faces, weights, template_frames = _template()
    body = flesh(shape)
    stretch = _stretch(shape)
    local = np.einsum(
        "fij,vj->vfi", invert_rigid(template_frames)[:, :3], np.pad(rest, ((0, 0), (0, 1)), constant_values=1)
    )
    moved = np.einsum("fij,vfj->vfi", body.frames[:, :3, :3], local * stretch) + body.frames[:, :3, 3]
    vertices = project(body.distance, np.einsum("vf,vfi->vi", weights, moved), rounds=4)
    part_from_hand = invert_rigid(body.frames)
    if shape.side == LEFT:
        mirror = np.array([-1.0, 1.0, 1.0, 1.0])
        vertices, faces = vertices * mirror[:3], faces[:, ::-1]
        part_from_hand = mirror[:, None] * part_from_hand * mirror
    return HandSurface(shape.side, vertices, np.ascontiguousarray(faces), weights, part_from_hand)


def _stretch(shape: HandShape) -> np.ndarray:
    """How much longer (y) and thicker (x, z) every part is than the template's."""
    template = _template_shape()
    lengths, radii = shape.lengths_m / template.lengths_m, shape.radii_m / template.radii_m
    y = np.ones(len(FRAMES))
    across = np.ones(len(FRAMES))
    y[[0, 16, 17]] = lengths[[8, 12, 16]]
    y[1:16] = lengths.reshape(5, 4)[:, 1:].ravel()
    across[1:16] = radii[1:].reshape(5, 4)[:, :3].ravel()
    across[[0, 16, 17]] = radii[9::4].mean()
    y[18] = FOREARM_MM / _TEMPLATE_FOREARM_MM * lengths[8]
    across[18] = radii[0]
    return np.stack([across, y, across], -1)


def _template_shape() -> HandShape:
    average = HandShape.average(RIGHT)
    radii = average.radii_m.copy()
    for finger in range(5):
        radii[2 + 4 * finger : 5 + 4 * finger] *= _FINGERS_THICKER
    return replace(average, radii_m=radii)


@cache
def _template() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces, weights and frames of the right hand that all others are made of."""
    body = flesh(_template_shape(), _TEMPLATE_FOREARM_MM)
    vertices, faces = surface_nets(body.distance, _LOWER_M, _UPPER_M, _STEP_M)
    vertices = spread(body.distance, vertices, faces, rounds=6)
    return vertices, faces, _weights(vertices, faces, body.frames), body.frames


def _weights(vertices: np.ndarray, faces: np.ndarray, frames: np.ndarray) -> np.ndarray:
    shape = _template_shape()
    starts, ends = frames[:, :3, 3].copy(), frames[:, :3, 3].copy()
    ends[1:16] += shape.lengths_m.reshape(5, 4)[:, 1:].reshape(15, 1) * frames[1:16, :3, 1]
    ends[0] = frames[7, :3, 3]
    ends[16], ends[17] = frames[10, :3, 3], frames[13, :3, 3]
    ends[18] = starts[18] - _TEMPLATE_FOREARM_MM / 1000 * frames[18, :3, 1]
    along = ends - starts
    t = np.clip(np.einsum("vfi,fi->vf", vertices[:, None] - starts, along) / (along**2).sum(-1), 0, 1)
    distance = np.linalg.norm(vertices[:, None] - starts - t[..., None] * along, axis=-1)
    nearest = distance.argmin(1)
    weights = np.eye(len(FRAMES))[nearest]
    mean = neighbour_mean(faces, len(vertices))
    fleshy = np.isin(nearest, (0, 1, 16, 17, 18))[:, None]
    for round_ in range(_DIFFUSION + _PALM_DIFFUSION):
        blurred = 0.5 * (weights + mean @ weights)
        weights = np.where(fleshy | (round_ < _DIFFUSION), blurred, weights)
    weights[weights < 1e-3] = 0
    return np.asarray(weights / weights.sum(1, keepdims=True))


def skin(surface: HandSurface, world_from_part: Float[np.ndarray, "*batch 19 4 4"]) -> Float[np.ndarray, "*batch V 3"]:
    """Vertices of a bent hand in the world, in float32 metres.

    Args:
        world_from_part: `bone_frames` of a pose of the same side and shape.

    Source: Kavan et al., "Skinning with dual quaternions", I3D 2007: joints keep their volume where linear blending
    would pinch them.
    """
    moves = world_from_part @ surface.part_from_hand
    real, dual = _dual_quaternions(moves)
    batch = world_from_part.shape[:-3]
    both = np.concatenate([real, dual], -1).reshape(-1, len(FRAMES), 8).astype(np.float32)
    weights, rest = surface.weights.astype(np.float32), surface.vertices_m.astype(np.float32)
    out = np.empty((len(both), *rest.shape), np.float32)
    for i, quaternions in enumerate(both):
        blend = (weights @ quaternions).T
        blend = blend / np.sqrt((blend[:4] ** 2).sum(0))
        w, v, dw, dv = blend[0], blend[1:4].T, blend[4], blend[5:8].T
        turned = np.cross(v, np.cross(v, rest) + w[:, None] * rest)
        shift = w[:, None] * dv - dw[:, None] * v + np.cross(v, dv)
        out[i] = rest + 2 * (turned + shift)
    return out.reshape(*batch, *rest.shape)


def _dual_quaternions(moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rigid transforms as unit dual quaternions (w, x, y, z), each in the half space of its parent's."""
    vector = vector_from_rotation(moves[..., :3, :3])
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    real = np.concatenate([np.cos(angle / 2), 0.5 * np.sinc(angle / (2 * np.pi)) * vector], -1)
    for level in _LEVELS:
        parts = list(level)
        parents = [_PARENT[part] for part in parts]
        against = (real[..., parts, :] * real[..., parents, :]).sum(-1, keepdims=True) < 0
        real[..., parts, :] = np.where(against, -real[..., parts, :], real[..., parts, :])
    t, w, v = moves[..., :3, 3], real[..., :1], real[..., 1:]
    dual = 0.5 * np.concatenate([-(t * v).sum(-1, keepdims=True), w * t + np.cross(t, v)], -1)
    return real, dual
