"""Virtual perspective cameras aimed at hands: undistorted, centred crops from any camera model."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import InputError
from handloom.geometry.arrays import Array, array_namespace, like, nan_unless
from handloom.geometry.cameras import Camera, Pinhole

_MIN_HALF_WIDTH = 0.01  # of the crop at distance 1; a single point would ask for infinite magnification
_MAX_HALF_WIDTH = 5.0  # beyond about 80 degrees from the axis a perspective image is all corners
_BOX_SIDE_POINTS = 9  # the sides of a box are curves for a fisheye, so more than its corners count


@dataclass(frozen=True, eq=False)
class Crops:
    """Square pinhole cameras at the place of the source camera, one per hand.

    Attributes:
        source: the camera that took the image.
        size: width and height of a crop in pixels.
        crop_from_camera: rotation from the source's camera frame into the crop camera's; NaN where not
            `valid`.
        focal_px: focal length of each crop camera.
        valid: whether there was something to aim at.
    """

    source: Camera
    size: int
    crop_from_camera: Float[Array, "*hands 3 3"]
    focal_px: Float[Array, "*hands"]
    valid: Bool[Array, "*hands"]

    def camera(self, *hand: int) -> Pinhole:
        """The crop camera of one hand.

        Raises:
            InputError: there is no crop for it.
        """
        if not bool(self.valid[hand]):
            raise InputError(f"hand {hand} has no crop camera: nothing valid to aim at")
        focal, middle = float(self.focal_px[hand]), (self.size - 1) / 2
        return Pinhole(self.size, self.size, focal, focal, middle, middle)

    def project(self, points: Float[Array, "*hands n 3"]) -> tuple[Float[Array, "*hands n 2"], Bool[Array, "*hands n"]]:
        """Points in the source's camera frame to crop pixels; NaN and False behind the crop camera."""
        xp = array_namespace(points)
        turned = points @ xp.matrix_transpose(self.crop_from_camera)
        valid = turned[..., 2] > 0
        turned = xp.where(valid[..., None], turned, 1.0)
        pixels = turned[..., :2] / turned[..., 2:] * self.focal_px[..., None, None] + (self.size - 1) / 2
        return nan_unless(valid, pixels), valid

    def rays(self, crop_px: Float[Array, "*hands n 2"]) -> Float[Array, "*hands n 3"]:
        """Crop pixels to unit rays in the source's camera frame."""
        xp = array_namespace(crop_px)
        plane = (crop_px - (self.size - 1) / 2) / self.focal_px[..., None, None]
        rays = xp.concat([plane, xp.ones_like(plane[..., :1])], axis=-1) @ self.crop_from_camera
        return rays / xp.sqrt(xp.sum(rays * rays, axis=-1, keepdims=True))

    def to_source(
        self, crop_px: Float[Array, "*hands n 2"]
    ) -> tuple[Float[Array, "*hands n 2"], Bool[Array, "*hands n"]]:
        """Crop pixels to source pixels."""
        return self.source.project(self.rays(crop_px))

    def from_source(
        self, source_px: Float[Array, "*hands n 2"]
    ) -> tuple[Float[Array, "*hands n 2"], Bool[Array, "*hands n"]]:
        """Source pixels to crop pixels."""
        return self.project(self.source.unproject(source_px)[0])

    def source_map(self) -> tuple[Float[Array, "*hands size size 2"], Bool[Array, "*hands size size"]]:
        """For every crop pixel (row, column) the source pixel (x, y) to sample, and whether it lies in the
        image.

        As float32 it is the map of `cv2.remap`; for `torch.nn.functional.grid_sample(align_corners=False)`
        use (2 * map + 1) / (width, height) - 1.
        """
        xp = array_namespace(self.focal_px)
        row, column = np.indices((self.size, self.size)).reshape(2, -1)
        hands = tuple(self.focal_px.shape)
        grid = like(np.stack([column, row], -1), self.focal_px)
        grid = xp.broadcast_to(grid, (*hands, *grid.shape))
        pixels, valid = self.to_source(grid)
        last = like([self.source.width, self.source.height], pixels) - 0.5
        valid = valid & xp.all((pixels >= -0.5) & (pixels <= last), axis=-1)
        shape = (*hands, self.size, self.size)
        return pixels.reshape(*shape, 2), valid.reshape(shape)


def crop_keypoints(source: Camera, keypoints_px: Float[Array, "*hands joints 2"], size: int, margin: float) -> Crops:
    """Crop cameras aimed at the middle of each hand's keypoints, upright with respect to the source.

    Args:
        source: the camera of the image.
        keypoints_px: image positions; NaN means not seen.
        size: side of the crop in pixels.
        margin: side of the crop over that of the square that just holds the keypoints, at least 1.

    Raises:
        InputError: size or margin too small.
    """
    if size < 1 or not margin >= 1:
        raise InputError(
            f"a crop needs a size of at least 1 pixel and a margin of at least 1, found {size} and {margin}"
        )
    xp = array_namespace(keypoints_px)
    rays, seen = source.unproject(keypoints_px)
    rays = xp.where(seen[..., None], rays, 0.0)
    direction = _unit(xp.sum(rays, axis=-2))
    for _ in range(4):  # aim at the middle of the box as seen in the crop itself
        plane, ahead = _on_plane(rays, direction, seen)
        some = xp.any(ahead, axis=-1)[..., None]
        low = xp.min(xp.where(ahead[..., None], plane, float("inf")), axis=-2)
        high = xp.max(xp.where(ahead[..., None], plane, -float("inf")), axis=-2)
        middle = (xp.where(some, low, 0.0) + xp.where(some, high, 0.0)) / 2
        forward = xp.concat([middle, xp.ones_like(middle[..., :1])], axis=-1)
        direction = _unit((forward[..., None, :] @ _aimed(direction))[..., 0, :])
    plane, ahead = _on_plane(rays, direction, seen)
    half = xp.max(xp.where(ahead[..., None], xp.abs(plane), 0.0), axis=(-2, -1))
    half = xp.clip(margin * half, _MIN_HALF_WIDTH, None)
    valid = xp.any(seen, axis=-1) & xp.all(ahead | ~seen, axis=-1) & (half < _MAX_HALF_WIDTH)
    return Crops(source, size, nan_unless(valid, _aimed(direction)), nan_unless(valid, size / 2 / half), valid)


def crop_boxes(source: Camera, boxes_px: Float[Array, "*hands 4"], size: int, margin: float) -> Crops:
    """As `crop_keypoints`, aimed at boxes x0, y0, x1, y1 in the source image; NaN means no box."""
    side = np.linspace(0, 1, _BOX_SIDE_POINTS)
    zero, one = np.zeros_like(side), np.ones_like(side)
    x, y = np.concatenate([side, side, zero, one]), np.concatenate([zero, one, side, side])
    outline = like(np.stack([x, y], -1), boxes_px)
    start, end = boxes_px[..., None, :2], boxes_px[..., None, 2:]
    return crop_keypoints(source, start + outline * (end - start), size, margin)


def _unit(vector: Array) -> Array:
    """Unit vectors; straight ahead where there is no direction."""
    xp = array_namespace(vector)
    length = xp.sqrt(xp.sum(vector * vector, axis=-1, keepdims=True))
    return xp.where(length > 0, vector / xp.where(length > 0, length, 1.0), like([0, 0, 1], vector))


def _aimed(direction: Array) -> Array:
    """The smallest rotation whose last row is the direction, so that it becomes the optical axis."""
    xp = array_namespace(direction)
    a, b, c = (direction[..., i] for i in range(3))
    d = 1 + c
    d = xp.where(d > 0, d, 1.0)
    rows = [(1 - a * a / d, -a * b / d, -a), (-a * b / d, 1 - b * b / d, -b), (a, b, c)]
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def _on_plane(rays: Array, direction: Array, seen: Array) -> tuple[Array, Array]:
    xp = array_namespace(rays)
    turned = rays @ xp.matrix_transpose(_aimed(direction))
    ahead = seen & (turned[..., 2] > 0.1)
    return turned[..., :2] / xp.where(ahead, turned[..., 2], 1.0)[..., None], ahead
