"""Rigid 4x4 transforms, named `a_from_b`, and rotation vectors."""

from jaxtyping import Float

from handloom.geometry.arrays import Array, array_namespace, like


def rigid(rotation: Float[Array, "*batch 3 3"], translation: Float[Array, "*batch 3"]) -> Float[Array, "*batch 4 4"]:
    """The 4x4 transform of a rotation and a translation."""
    xp = array_namespace(rotation, translation)
    top = xp.concat([rotation, translation[..., None]], axis=-1)
    return xp.concat([top, xp.zeros_like(top[..., :1, :]) + like([0, 0, 0, 1], top)], axis=-2)


def apply_rigid(
    a_from_b: Float[Array, "*#batch 4 4"], points_b: Float[Array, "*#batch n 3"]
) -> Float[Array, "... n 3"]:
    """Points of frame b in frame a. Batch axes broadcast."""
    xp = array_namespace(a_from_b, points_b)
    return points_b @ xp.matrix_transpose(a_from_b[..., :3, :3]) + a_from_b[..., None, :3, 3]


def invert_rigid(a_from_b: Float[Array, "*batch 4 4"]) -> Float[Array, "*batch 4 4"]:
    """`b_from_a`."""
    xp = array_namespace(a_from_b)
    rotation = xp.matrix_transpose(a_from_b[..., :3, :3])
    return rigid(rotation, -(rotation @ a_from_b[..., :3, 3:])[..., 0])


def rotation_from_vector(vector: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3 3"]:
    """Rotation matrix of a rotation vector (axis times angle in radians), by Rodrigues' formula."""
    xp = array_namespace(vector)
    square = xp.sum(vector * vector, axis=-1)[..., None, None]
    near = square < 1e-5  # below, three terms of the series are exact in double precision
    angle = xp.sqrt(xp.where(near, 1.0, square))
    sine = xp.where(near, 1 - square / 6 * (1 - square / 20), xp.sin(angle) / angle)
    cosine = xp.where(near, 0.5 - square / 24 * (1 - square / 30), (1 - xp.cos(angle)) / (angle * angle))
    x, y, z = (vector[..., i] for i in range(3))
    zero = xp.zeros_like(x)
    rows = [xp.stack(row, axis=-1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    cross = xp.stack(rows, axis=-2)
    return like(((1, 0, 0), (0, 1, 0), (0, 0, 1)), vector) + sine * cross + cosine * (cross @ cross)


def vector_from_rotation(rotation: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3"]:
    """Rotation vector, at most pi long, by way of the quaternion's largest part (Shepperd 1978)."""
    xp = array_namespace(rotation)
    r = [[rotation[..., i, j] for j in range(3)] for i in range(3)]
    trace = r[0][0] + r[1][1] + r[2][2]
    # Row i is the quaternion (w, x, y, z) times four times its part i.
    candidates = xp.stack(
        [
            xp.stack([1 + trace, r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]], axis=-1),
            xp.stack([r[2][1] - r[1][2], 1 + 2 * r[0][0] - trace, r[1][0] + r[0][1], r[0][2] + r[2][0]], axis=-1),
            xp.stack([r[0][2] - r[2][0], r[1][0] + r[0][1], 1 + 2 * r[1][1] - trace, r[2][1] + r[1][2]], axis=-1),
            xp.stack([r[1][0] - r[0][1], r[0][2] + r[2][0], r[2][1] + r[1][2], 1 + 2 * r[2][2] - trace], axis=-1),
        ],
        axis=-2,
    )
    largest = xp.argmax(xp.stack([candidates[..., i, i] for i in range(4)], axis=-1), axis=-1)
    quaternion = xp.sum(
        xp.where((xp.arange(4, device=rotation.device) == largest[..., None])[..., None], candidates, 0.0),
        axis=-2,
    )
    quaternion = quaternion / xp.sqrt(xp.sum(quaternion * quaternion, axis=-1, keepdims=True))
    quaternion = xp.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    axis, w = quaternion[..., 1:], quaternion[..., :1]
    square = xp.sum(axis * axis, axis=-1, keepdims=True)
    near = square < 1e-10
    sine = xp.sqrt(xp.where(near, 1.0, square))
    return axis * xp.where(near, 2 + square / 3, 2 * xp.atan2(sine, w) / sine)
