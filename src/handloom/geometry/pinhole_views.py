"""Views of hands through pinholes: where a joint is in a square picture of one hand, and back.

Two ways to choose the pinhole: a virtual camera that is turned to the hand (any source camera), or, as the toolkit of
AssemblyHands does, a square of whole pixels cut out of the picture of a camera that is a pinhole itself.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.geometry.cameras import Camera, Pinhole
from handloom.geometry.crops import Crops

SQUARE_MARGIN, SMALLEST_SQUARE_PX = 1.75, 100
"""Of the toolkit's squares."""


@dataclass(frozen=True, eq=False)
class PinholeViews:
    """N pinholes at the place of one source camera.

    Attributes:
        turn: crop_from_camera, a rotation.
        matrix: intrinsics; pixel centres at whole numbers.
        valid: whether there is such a view; the others hold no numbers of meaning.
    """

    turn: Float[np.ndarray, "N 3 3"]
    matrix: Float[np.ndarray, "N 3 3"]
    valid: Bool[np.ndarray, "N"]

    def __len__(self) -> int:
        """Number of views."""
        return len(self.valid)

    def of(self, rows: Bool[np.ndarray, "N"] | Int[np.ndarray, "n"]) -> "PinholeViews":
        """Some of the views."""
        return PinholeViews(self.turn[rows], self.matrix[rows], self.valid[rows])

    def project(
        self, points: Float[np.ndarray, "N joints 3"]
    ) -> tuple[Float[np.ndarray, "N joints 2"], Float[np.ndarray, "N joints"]]:
        """Points in the source's camera frame: pixels, NaN behind the view, and depth along its axis."""
        turned = points @ self.turn.transpose(0, 2, 1)
        depth = turned[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = (turned @ self.matrix.transpose(0, 2, 1))[..., :2] / depth[..., None]
        return np.where(depth[..., None] > 0, pixels, np.nan), depth

    def rays(self, pixels: Float[np.ndarray, "N joints 2"]) -> Float[np.ndarray, "N joints 3"]:
        """Rays with depth 1 in the crop cameras' own frames."""
        homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1)
        return np.asarray(homogeneous @ np.linalg.inv(self.matrix).transpose(0, 2, 1))

    def back_project(
        self, pixels: Float[np.ndarray, "N joints 2"], depth: Float[np.ndarray, "N joints"]
    ) -> Float[np.ndarray, "N joints 3"]:
        """Points in the source's camera frame."""
        return np.asarray((self.rays(pixels) * depth[..., None]) @ self.turn)

    def changed(self, affine: Float[np.ndarray, "N 2 3"]) -> "PinholeViews":
        """The views after an affine change of their pixels."""
        last = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (len(affine), 1, 3))
        return replace(self, matrix=np.concatenate([affine, last], 1) @ self.matrix)


def turned_views(crops: Crops) -> PinholeViews:
    """Crop cameras that are turned to hands."""
    valid = crops.valid
    matrix = np.zeros((len(valid), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = np.where(valid, crops.focal_px, 1.0)
    matrix[:, :2, 2] = (crops.size - 1) / 2
    matrix[:, 2, 2] = 1
    return PinholeViews(np.where(valid[:, None, None], crops.crop_from_camera, np.eye(3)), matrix, valid)


def square_boxes(boxes_px: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N 4"]:
    """Boxes x0, y0, width, height as squares around their middles, `SQUARE_MARGIN` times their longer sides."""
    side = SQUARE_MARGIN * boxes_px[:, 2:].max(1)
    middle = boxes_px[:, :2] + boxes_px[:, 2:] / 2
    return np.concatenate([middle - side[:, None] / 2, side[:, None], side[:, None]], 1)


def whole_squares(boxes_px: Float[np.ndarray, "N 4"]) -> Int[np.ndarray, "N 3"]:
    """Left, top and side of the squares that the toolkit cuts out for boxes x0, y0, width, height.

    Both sides and corners are cut towards zero, as released.
    """
    squares = square_boxes(boxes_px)
    side = np.maximum(np.trunc(squares[:, 2]), SMALLEST_SQUARE_PX)
    corner = np.trunc(squares[:, :2] + squares[:, 2:] / 2 - side[:, None] / 2)
    return np.concatenate([corner, side[:, None]], 1).astype(int)


def square_views(camera: Camera, squares: Int[np.ndarray, "N 3"], size: int) -> PinholeViews:
    """What squares of whole pixels show when they are stretched to `size` pixels, without half a pixel's shift.

    Raises:
        InputError: the camera is no pinhole.
    """
    if not isinstance(camera, Pinhole):
        raise InputError(
            f"the toolkit's squares need pictures of a pinhole, found a {type(camera).__name__}: prepare the store "
            "with rectified pictures, or leave --behaviour at paper, whose crop cameras take any lens"
        )
    scale = size / squares[:, 2]
    affine = np.zeros((len(squares), 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = scale
    affine[:, :, 2] = -scale[:, None] * squares[:, :2]
    whole = np.broadcast_to(camera.matrix, (len(squares), 3, 3)), np.ones(len(squares), bool)
    return PinholeViews(np.broadcast_to(np.eye(3), (len(squares), 3, 3)), *whole).changed(affine)


def affine_to_square(
    centre: Float[np.ndarray, "2"], size: Float[np.ndarray, "2"], scale: float, rotation_deg: float, out: int
) -> Float[np.ndarray, "2 3"]:
    """Maps a turned box onto a square picture: its centre onto (out / 2, out / 2), the middles of its lower and right
    sides onto those of the picture's.

    Args:
        centre: of the box, in pixels.
        size: width and height of the box before scaling.
        scale: of the box.
        rotation_deg: of the box; positive turns its right side downwards.
        out: side of the picture.
    """
    angle = np.radians(rotation_deg)
    c, s = np.cos(angle), np.sin(angle)
    right, down = np.array([c, s]), np.array([-s, c])
    width, height = scale * np.asarray(size)
    linear = out * np.stack([right / width, down / height])
    return np.concatenate([linear, (out / 2 - linear @ centre)[:, None]], 1)
