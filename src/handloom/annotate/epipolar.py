"""How well two views agree on what they see: the distance from the epipolar planes, for any camera model."""

import numpy as np
from jaxtyping import Float

from handloom.geometry import Camera


def world_rays(
    camera: Camera, camera_from_world: Float[np.ndarray, "poses 4 4"], keypoints_px: Float[np.ndarray, "T *shape 2"]
) -> tuple[Float[np.ndarray, "poses 3"], Float[np.ndarray, "T *shape 3"]]:
    """Centre of the camera, and unit rays of image positions, in the world; one pose per T, or one for all."""
    rays, _ = camera.unproject(keypoints_px.astype(np.float64))
    rotation = camera_from_world[:, :3, :3]
    world = np.einsum("tji,t...j->t...i", rotation, rays) if len(rotation) > 1 else rays @ rotation[0]
    centre = -np.einsum("tji,tj->ti", rotation, camera_from_world[:, :3, 3])
    return centre, world


def epipolar_error_px(
    baseline: Float[np.ndarray, "*#batch 3"],
    rays_a: Float[np.ndarray, "*#batch 3"],
    rays_b: Float[np.ndarray, "*#batch 3"],
    focal_a: float,
    focal_b: float,
) -> Float[np.ndarray, "..."]:
    """Mean over both views of the angle between a ray and the epipolar plane of the other, times the focal length.

    Half of what moving one point costs if the other stays, and near the reprojection error of the point between the
    rays. Rays that meet behind a camera are as wrong as can be: 90 degrees.

    Args:
        baseline: from the centre of a to that of b.
        rays_a, rays_b: unit rays in the world; NaN where not seen.
        focal_a, focal_b: in pixels.
    """
    plane_a, plane_b = np.cross(baseline, rays_a), np.cross(baseline, rays_b)
    triple = (rays_b * plane_a).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        off_a = np.abs(triple) / np.linalg.norm(plane_a, axis=-1)
        off_b = np.abs(triple) / np.linalg.norm(plane_b, axis=-1)
        error = (np.arcsin(np.minimum(off_a, 1)) * focal_b + np.arcsin(np.minimum(off_b, 1)) * focal_a) / 2
        # With c = a x b the rays come nearest at s = (b x c) . base / c.c, t = (a x c) . base / c.c.
        common = np.cross(rays_a, rays_b)
        behind = ((np.cross(rays_b, common) * baseline).sum(-1) > 0) != (
            (np.cross(rays_b, common) * rays_a).sum(-1) > 0
        )
        behind |= ((np.cross(rays_a, common) * baseline).sum(-1) > 0) == (
            (np.cross(rays_a, common) * rays_b).sum(-1) > 0
        )
    return np.where(behind & np.isfinite(error), np.pi / 4 * (focal_a + focal_b), error)
