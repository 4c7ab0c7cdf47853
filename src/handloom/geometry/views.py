"""Several calibrated cameras looking at the same points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int

from handloom.geometry.arrays import Array, array_namespace, nan_unless, squared_length
from handloom.geometry.cameras import Camera


@dataclass(frozen=True, eq=False)
class Views:
    """Image positions of n points in several views, with the cameras and their poses.

    Attributes:
        cameras: one per view.
        cam_from_world: (views, 1, 4, 4) for cameras that stand still, (views, n, 4, 4) for cameras that move.
        keypoints_px: image positions; NaN where not seen.
        rays: unit rays of the image positions; NaN where not seen.
        weights: confidence, 0 where not seen.
    """

    cameras: Sequence[Camera]
    cam_from_world: Float[Array, "views poses 4 4"]
    keypoints_px: Float[Array, "views n 2"]
    rays: Float[Array, "views n 3"]
    weights: Float[Array, "views n"]

    @property
    def moving(self) -> bool:
        """Whether every point has its own poses."""
        return bool(self.cam_from_world.shape[1] != 1)

    @property
    def projections(self) -> Float[Array, "..."]:
        """The poses in the shape that `triangulate_dlt` takes."""
        return self.cam_from_world if self.moving else self.cam_from_world[:, 0]

    def weighted(self, weights: Float[Array, "views n"]) -> "Views":
        """The same views with other weights."""
        return replace(self, weights=weights)

    def points(self, chosen: Bool[Array, "n"] | Int[Array, "m"]) -> "Views":
        """The views of some of the points, by mask or by index."""
        return replace(
            self,
            cam_from_world=self.cam_from_world[:, chosen] if self.moving else self.cam_from_world,
            keypoints_px=self.keypoints_px[:, chosen],
            rays=self.rays[:, chosen],
            weights=self.weights[:, chosen],
        )

    def in_camera(self, view: int, points: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """World points in the frame of one camera."""
        pose = self.cam_from_world[view]
        if self.moving:
            return (pose[:, :3, :3] @ points[:, :, None])[:, :, 0] + pose[:, :3, 3]
        return points @ pose[0, :3, :3].T + pose[0, :3, 3]

    def by_world(self, view: int, jacobian: Float[Array, "n 2 3"]) -> Float[Array, "n 2 3"]:
        """A derivative by the point in one camera's frame as derivative by the point in the world."""
        rotation = self.cam_from_world[view, :, :3, :3]
        if self.moving:
            return jacobian @ rotation
        return (jacobian.reshape(-1, 3) @ rotation[0]).reshape(-1, 2, 3)

    def reprojection_error(self, points: Float[Array, "n 3"]) -> Float[Array, "views n"]:
        """Pixel distance between projected points and image positions; infinite where a point cannot be seen.

        NaN where there is no image position.
        """
        xp = array_namespace(points)
        errors = []
        for view, camera in enumerate(self.cameras):
            pixels, visible = camera.project(self.in_camera(view, points))
            errors.append(xp.where(visible, xp.sqrt(squared_length(pixels - self.keypoints_px[view])), float("inf")))
        errors = xp.stack(errors, axis=0)
        return nan_unless(xp.isfinite(self.rays[..., 0]), errors)
