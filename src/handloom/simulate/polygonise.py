"""Closed triangle meshes of implicit surfaces: surface nets, and even spreading of the vertices."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

Field = Callable[[Float[np.ndarray, "points 3"]], Float[np.ndarray, "points"]]
"""Signed distance, roughly: negative inside, slope near 1 at the surface."""

_CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1])
_GRADIENT_STEP_M = 2e-5
_FILLED_M = 1e-6


def surface_nets(
    field: Field, lower: Float[np.ndarray, "3"], upper: Float[np.ndarray, "3"], step: float
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """The zero level of a field as triangles that face outwards: one vertex per crossed cell of a cubic grid, one
    quad per crossed grid edge.

    The surface must lie wholly within the box.

    Source: Gibson, "Constrained elastic surface nets", MICCAI 1998.
    """
    counts = np.ceil((upper - lower) / step).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), -1)
    values = _filled(field((lower + step * grid).reshape(-1, 3)).reshape(counts))
    inside = values < 0

    cells = tuple(counts - 1)
    corner_values = np.stack([values[tuple(slice(c, c + n) for c, n in zip(corner, cells))] for corner in _CORNERS], -1)
    crossed = (corner_values < 0).any(-1) & (corner_values > 0).any(-1)
    index = np.full(cells, -1)
    index[crossed] = np.arange(crossed.sum())
    a, b = corner_values[crossed][:, _EDGES].transpose(2, 0, 1)
    cut = (a < 0) != (b < 0)
    share = np.where(cut, a / np.where(cut, a - b, 1), 0)[..., None]
    points = _CORNERS[_EDGES[:, 0]] + share * (_CORNERS[_EDGES[:, 1]] - _CORNERS[_EDGES[:, 0]])
    centre = (points * cut[..., None]).sum(1) / cut.sum(1, keepdims=True)
    vertices = lower + step * (np.argwhere(crossed) + centre)

    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        first = np.take(inside, np.arange(counts[axis] - 1), axis)
        second = np.take(inside, np.arange(1, counts[axis]), axis)
        for flips, outwards in ((first & ~second, True), (~first & second, False)):
            here = np.argwhere(flips)
            around = []
            for du, dv in ((0, 0), (-1, 0), (-1, -1), (0, -1)):
                cell = here.copy()
                cell[:, u] += du
                cell[:, v] += dv
                around.append(index[tuple(cell.T)])
            quad = np.stack(around, -1)
            quads.append(quad if outwards else quad[:, ::-1])
    return vertices, _split(vertices, np.concatenate(quads))


def _filled(values: np.ndarray) -> np.ndarray:
    """Grid values without faces whose two inner corners lie across: one outer corner of such a face joins the inside.
    Every edge of the mesh then belongs to exactly two quads."""
    values = values.copy()
    index = np.arange(values.size).reshape(values.shape)
    while True:
        changed = False
        for u, v in ((0, 1), (1, 2), (2, 0)):
            a, c = np.moveaxis(index, (u, v), (0, 1))[:-1, :-1], np.moveaxis(index, (u, v), (0, 1))[1:, 1:]
            b, d = np.moveaxis(index, (u, v), (0, 1))[1:, :-1], np.moveaxis(index, (u, v), (0, 1))[:-1, 1:]
            corners = np.stack([a, b, c, d], -1).reshape(-1, 4)
            inside = values.ravel()[corners] < 0
            across = (inside[:, 0] == inside[:, 2]) & (inside[:, 1] == inside[:, 3]) & (inside[:, 0] != inside[:, 1])
            outer = np.where(inside[across], np.inf, values.ravel()[corners[across]]).argmin(1)
            values.flat[corners[across][np.arange(len(outer)), outer]] = -_FILLED_M
            changed |= bool(across.any())
        if not changed:
            return values


def _split(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Two triangles per quad by the shorter diagonal, or by the other where something else already joins its ends."""
    p = vertices[quads]
    straight = np.linalg.norm(p[:, 0] - p[:, 2], axis=-1) <= np.linalg.norm(p[:, 1] - p[:, 3], axis=-1)
    quads = np.where(straight[:, None], quads, np.roll(quads, -1, axis=1))
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], -1).reshape(-1, 2)
    pairs = np.sort(np.concatenate([quads[:, [0, 2]], np.unique(np.sort(sides, axis=1), axis=0)]), axis=1)
    _, which, uses = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    taken = uses[which[: len(quads)]] > 1
    quads = np.where(taken[:, None], np.roll(quads, -1, axis=1), quads)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def neighbour_mean(faces: Int[np.ndarray, "F 3"], vertex_count: int) -> csr_matrix:
    """The sparse matrix that averages over each vertex's neighbours."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    linked = csr_matrix((np.ones(len(ends)), ends.T), shape=(vertex_count, vertex_count))
    linked = ((linked + linked.T) > 0).astype(np.float64)
    return csr_matrix(linked.multiply(1 / linked.sum(1)))


def vertex_normals(
    vertices: Float[np.ndarray, "*batch V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "*batch V 3"]:
    """Unit normals at the vertices, outwards, weighted by the area of the faces around."""
    corners = vertices[..., faces, :]
    area = np.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
    gather = csr_matrix(
        (np.ones(faces.size), (faces.ravel(), np.repeat(np.arange(len(faces)), 3))),
        shape=(vertices.shape[-2], len(faces)),
    )
    flat = area.reshape(-1, *area.shape[-2:])
    normals = np.stack([gather @ item for item in flat]).reshape(vertices.shape)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-30))


def project(field: Field, vertices: Float[np.ndarray, "V 3"], rounds: int = 3) -> Float[np.ndarray, "V 3"]:
    """Vertices moved onto the zero level along the gradient, by Newton's method."""
    for _ in range(rounds):
        value = field(vertices)
        gradient = np.stack(
            [(field(vertices + step) - value) / _GRADIENT_STEP_M for step in _GRADIENT_STEP_M * np.eye(3)], -1
        )
        slope = np.maximum((gradient**2).sum(-1, keepdims=True), 0.1)
        vertices = vertices - value[:, None] * gradient / slope
    return vertices


def spread(
    field: Field, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], rounds: int
) -> Float[np.ndarray, "V 3"]:
    """Vertices spread evenly over the zero level: steps to the mean of the neighbours, each put back on the level."""
    mean = neighbour_mean(faces, len(vertices))
    for _ in range(rounds):
        vertices = project(field, vertices + 0.5 * (mean @ vertices - vertices), rounds=1)
    return project(field, vertices)
