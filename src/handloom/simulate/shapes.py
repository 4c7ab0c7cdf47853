"""Closed meshes from which things are made: boxes, turned bodies, pipes and plates, each around its own middle.

Colours are sRGB, 0 ... 255. Sizes are metres.
"""

import numpy as np
from jaxtyping import Float, UInt8

from handloom.simulate.mesh import BACKGROUND, Mesh

Colour = tuple[int, int, int]
_SHARP_COSINE = 0.8
"""Profiles that turn more (37 degrees) have an edge there."""


def box(
    size: tuple[float, float, float],
    colour: Colour,
    rounding: float = 0.0,
    texture: UInt8[np.ndarray, "h w 3"] | None = None,
    instance: int = BACKGROUND,
    shine: float = 0.1,
    repeat_m: float | None = None,
) -> Mesh:
    """A box with rounded edges. A texture is on every side, upright on the upright ones; every `repeat_m` anew, if
    that is given."""
    half = np.array(size) / 2
    rounding = min(rounding, 0.999 * float(half.min()))
    steps = np.array([-1.0, -0.7, 0.0]) if rounding > 0 else np.array([-1.0])
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    uv: list[np.ndarray] = []
    for axis in range(3):
        for sign in (-1, 1):
            across, along = ((1, 2), (0, 2), (0, 1))[axis]
            nodes = [
                np.concatenate([e, -e[::-1]])
                for e in (steps * rounding - (half[k] - rounding) for k in (across, along))
            ]
            if rounding <= 0:
                nodes = [np.array([-half[k], half[k]]) for k in (across, along)]
            a, b = np.meshgrid(*nodes, indexing="ij")
            side = np.empty((*a.shape, 3))
            side[..., axis], side[..., across], side[..., along] = sign * half[axis], a, b
            core = np.clip(side, rounding - half, half - rounding)
            offset = side - core
            length = np.linalg.norm(offset, axis=-1, keepdims=True)
            side = core + offset * (rounding / np.where(length > 0, length, 1)) if rounding > 0 else side
            # Front sides are turned outwards, and texts are not mirrored.
            flip = sign * (-1 if axis == 1 else 1)
            scale = 1 / (2 * half[[across, along]]) if repeat_m is None else np.ones(2) / repeat_m
            picture = np.stack([(flip * a + half[across]) * scale[0], (half[along] - b) * scale[1]], -1)
            faces.append(_grid(a.shape[0], a.shape[1], flip > 0) + sum(len(v) for v in vertices))
            vertices.append(side.reshape(-1, 3))
            uv.append(picture.reshape(-1, 2))
    return _mesh(np.concatenate(vertices), np.concatenate(faces), colour, np.concatenate(uv), texture, instance, shine)


def turned(
    profile: Float[np.ndarray, "n 2"],
    colour: Colour | UInt8[np.ndarray, "n 3"],
    texture: UInt8[np.ndarray, "h w 3"] | None = None,
    instance: int = BACKGROUND,
    shine: float = 0.25,
    segments: int = 28,
) -> Mesh:
    """A body of revolution about z.

    Args:
        profile: (radius, height) from the bottom up along the outside; it is closed where it ends on the axis.
        colour: of the body, or of every point of the profile.
        texture: once around, top edge at the end of the profile.
    """
    points, shades = _with_edges(profile, np.broadcast_to(np.array(colour, np.uint8), (len(profile), 3)))
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([-np.sin(angle), np.cos(angle)], -1)  # the seam of the texture is at +y
    ring = np.stack(np.broadcast_arrays(points[:, None, :1] * circle, points[:, None, 1:] + 0 * circle), 0)
    vertices = np.concatenate([ring[0], ring[1][..., :1]], -1)
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1))])
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, segments + 1), 1 - (arc / arc[-1])[:, None]), -1)
    colours = np.repeat(shades, segments + 1, axis=0)
    return _mesh(
        vertices.reshape(-1, 3), _grid(len(points), segments + 1, False), colours, uv.reshape(-1, 2), texture, instance,
        shine,
    )  # fmt: skip


def pipe(
    path: Float[np.ndarray, "n 3"],
    radii: Float[np.ndarray, "n"] | float,
    colour: Colour,
    instance: int = BACKGROUND,
    shine: float = 0.25,
    segments: int = 10,
    flatten: float = 1.0,
) -> Mesh:
    """A round bar along a path that is nowhere parallel to x, closed at its ends; `flatten` scales its height."""
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(path),))
    path = np.concatenate([path[:1], path, path[-1:]])
    radius = np.concatenate([[1e-6], radius, [1e-6]])
    along = np.gradient(path[1:-1], axis=0)
    along = np.concatenate([along[:1], along, along[-1:]])
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    side = np.cross(along, np.cross(np.array([1.0, 0, 0]), along))
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    other = np.cross(along, side) * flatten
    angle = np.linspace(0, 2 * np.pi, segments + 1)[:, None]
    rings = path[:, None] + radius[:, None, None] * (np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None])
    return _mesh(rings.reshape(-1, 3), _grid(len(path), segments + 1, False), colour, None, None, instance, shine)


def plate(
    outline: Float[np.ndarray, "n 2"], thickness: float, colour: Colour, instance: int = BACKGROUND, shine: float = 0.25
) -> Mesh:
    """A plate in the xy plane whose outline runs counter-clockwise and is seen whole from the origin (gears, knobs)."""
    n, half = len(outline), thickness / 2
    closed = np.concatenate([outline, outline[:1]])
    corners = np.repeat(closed, 2, axis=0)[1:-1]  # both sides of every edge: flat walls
    walls = np.stack([np.column_stack([corners, np.full(2 * n, h)]) for h in (-half, half)])
    caps = [np.column_stack([np.concatenate([[[0, 0]], outline]), np.full(n + 1, h)]) for h in (-half, half)]
    start = np.arange(0, 2 * n, 2)
    low, high = np.stack([start, start + 1], -1), np.stack([start, start + 1], -1) + 2 * n
    around = np.stack([np.zeros(n, int), 1 + np.arange(n), 1 + (np.arange(n) + 1) % n], -1)
    faces = np.concatenate(
        [
            np.stack([low[:, 0], low[:, 1], high[:, 1]], -1),
            np.stack([low[:, 0], high[:, 1], high[:, 0]], -1),
            around[:, ::-1] + 4 * n,
            around + 5 * n + 1,
        ]
    )
    vertices = np.concatenate([walls.reshape(-1, 3), *caps])
    return _mesh(vertices, faces, colour, None, None, instance, shine)


def shift(x: float, y: float, z: float) -> Float[np.ndarray, "4 4"]:
    """A pure translation."""
    moved = np.eye(4)
    moved[:3, 3] = x, y, z
    return moved


def facing_y(x: float, y: float, z: float) -> Float[np.ndarray, "4 4"]:
    """z turned to y, and a translation."""
    moved = shift(x, y, z)
    moved[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    return moved


def _grid(rows: int, columns: int, forward: bool) -> np.ndarray:
    """Two triangles for every cell of a grid of vertices."""
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    b, c, d = a + columns, a + columns + 1, a + 1
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    return faces if forward else faces[:, ::-1]


def _with_edges(profile: np.ndarray, shades: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The profile with points doubled where it turns sharply, so that normals are not smoothed there."""
    step = np.diff(profile, axis=0)
    step = step / np.maximum(np.linalg.norm(step, axis=-1, keepdims=True), 1e-9)
    sharp = (step[:-1] * step[1:]).sum(-1) < _SHARP_COSINE
    times = np.ones(len(profile), int)
    times[1:-1] += sharp
    return np.repeat(profile, times, axis=0).astype(np.float64), np.repeat(shades, times, axis=0)


def _mesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    colour: Colour | np.ndarray,
    uv: np.ndarray | None,
    texture: np.ndarray | None,
    instance: int,
    shine: float,
) -> Mesh:
    colours = np.ascontiguousarray(np.broadcast_to(np.array(colour, np.uint8), vertices.shape))
    return Mesh(
        vertices.astype(np.float32),
        faces.astype(np.int32),
        colours,
        instance,
        uv.astype(np.float32) if texture is not None and uv is not None else None,
        texture,
        shine,
    )
