"""Pictures of single hands for SVEgoNet: grey squares out of egocentric pictures, and where joints are in them."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from handloom.geometry import Camera, crop_boxes
from handloom.geometry.crops import Crops
from handloom.geometry.pinhole_views import PinholeViews, square_views, turned_views, whole_squares
from handloom.models.internet import CELL_PX, InterNetConfig
from handloom.skeleton import JOINT_ORDERS, LEFT, RIGHT, WRIST

RELEASED = np.argsort(JOINT_ORDERS["assemblyhands"])
"""theirs = ours[..., RELEASED, :] for the joints of one hand."""
OURS = np.array(JOINT_ORDERS["assemblyhands"])
ENOUGH_JOINTS = 10
"""A hand of which fewer joints are in the crop is not learned, as in the toolkit; nor does it appear in it."""


NODE_PX = 4


class Cutter(NamedTuple):
    """How N boxes become pictures.

    Attributes:
        views: the pinholes that the pictures are of.
        crops: turned crop cameras; None for squares.
        squares: left, top and side; None for turned crops.
        size: side of the pictures.
    """

    views: PinholeViews
    crops: Crops | None
    squares: Int[np.ndarray, "N 3"] | None
    size: int

    def cut(self, picture: UInt8[np.ndarray, "H W"], row: int) -> UInt8[np.ndarray, "size size"]:
        """One crop of a grey picture; black where there is none."""
        if self.squares is not None:
            return cut_square(picture, self.squares[row], self.size)
        assert self.crops is not None
        crops = self.crops
        one = slice(row, row + 1)
        own = Crops(crops.source, crops.size, crops.crop_from_camera[one], crops.focal_px[one], crops.valid[one])
        places, inside = _source_places(own)
        return np.asarray(cv2.remap(picture, np.where(inside[..., None], places, -9), None, cv2.INTER_LINEAR))  # type: ignore[call-overload]


def _source_places(crop: Crops) -> tuple[Float[np.ndarray, "size size 2"], Bool[np.ndarray, "size size"]]:
    """`Crops.source_map` of one crop from every fourth pixel, between which a lens is as good as straight."""
    nodes, weights = _between(crop.size)
    grid = np.stack(np.meshgrid(nodes, nodes), -1).reshape(1, -1, 2).astype(np.float64)
    places, seen = crop.to_source(grid)
    n = len(nodes)
    known = np.where(seen[..., None], places, 0).reshape(n, n, 2).transpose(2, 0, 1)
    full = (weights @ known @ weights.T).transpose(1, 2, 0).astype(np.float32)
    last = np.array([crop.source.width, crop.source.height]) - 0.5
    inside = ((full >= -0.5) & (full <= last)).all(-1)
    return full, inside & (weights @ seen.reshape(n, n).astype(np.float64) @ weights.T > 0.999)


@lru_cache(8)
def _between(size: int) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "size n"]]:
    """Every fourth pixel, and how all of them are between these."""
    nodes = np.arange(0, size + NODE_PX - 1, NODE_PX)
    return nodes, np.stack([np.interp(np.arange(size), nodes, row) for row in np.eye(len(nodes))], 1)


def cutter(config: InterNetConfig, camera: Camera, boxes_px: Float[np.ndarray, "N 4"], wider: float = 1.0) -> Cutter:
    """Crops for boxes x0, y0, x1, y1; NaN for no box.

    Args:
        config: how the network wants them.
        camera: of the pictures.
        boxes_px: around one hand each.
        wider: of turned crops: so much more is seen all round, in as many more pixels, for augmentation to draw on.

    Raises:
        InputError: squares of a camera that is no pinhole.
    """
    if config.crops == "square":
        valid = np.isfinite(boxes_px).all(1)
        boxes = np.where(valid[:, None], boxes_px, 0)
        squares = whole_squares(np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1))
        views = square_views(camera, squares, config.image_px)
        return Cutter(PinholeViews(views.turn, views.matrix, valid), None, squares, config.image_px)
    crops = crop_boxes(camera, boxes_px, round(config.image_px * wider), config.margin * wider)
    return Cutter(turned_views(crops), crops, None, crops.size)


def cut_square(
    picture: UInt8[np.ndarray, "H W *rest"], square: Int[np.ndarray, "3"], size: int
) -> UInt8[np.ndarray, "size size *rest"]:
    """A square of whole pixels (left, top, side), black beyond the picture, stretched to `size` pixels."""
    left, top, side = (int(value) for value in square)
    height, width = picture.shape[:2]
    part = np.zeros((side, side, *picture.shape[2:]), np.uint8)
    y0, y1, x0, x1 = max(top, 0), min(top + side, height), max(left, 0), min(left + side, width)
    if y0 < y1 and x0 < x1:
        part[y0 - top : y1 - top, x0 - left : x1 - left] = picture[y0:y1, x0:x1]
    scale = size / side
    return np.asarray(cv2.warpAffine(part, np.array([[scale, 0, 0], [0, scale, 0]]), (size, size)))


def boxes_around(points_px: Float[np.ndarray, "N n 2"]) -> Float[np.ndarray, "N 4"]:
    """Boxes about the joints of hands, or about corners that hold them, as SVEgoNet is trained on."""
    return hand_boxes(points_px, np.ones(points_px.shape[:2], bool), least=1)


def hand_boxes(
    keypoints_px: Float[np.ndarray, "N n 2"],
    seen: Bool[np.ndarray, "N n"],
    margin_px: float = 9.0,
    least: int = ENOUGH_JOINTS,
) -> Float[np.ndarray, "N 4"]:
    """Boxes around the keypoints in the picture, a little wider; NaN with fewer than `least`."""
    low = np.where(seen[..., None], keypoints_px, np.inf).min(1) - margin_px
    high = np.where(seen[..., None], keypoints_px, -np.inf).max(1) + margin_px
    enough = seen.sum(1) >= least
    return np.where(enough[:, None], np.concatenate([low, high], 1), np.nan)


class HandTargets(NamedTuple):
    """What the network should say of N crops, in its own order: right hand first.

    Attributes:
        joints: x, y and z in voxels.
        joint_valid: joints of a hand that is learned, inside the crop and the depth range.
        root_bin, root_valid: depth of the left wrist behind the right one, in bins; whether both are in the crop.
        hands: whether there is a right hand, a left one.
    """

    joints: Float[np.ndarray, "N 42 3"]
    joint_valid: Bool[np.ndarray, "N 42"]
    root_bin: Float[np.ndarray, "N"]
    root_valid: Bool[np.ndarray, "N"]
    hands: Bool[np.ndarray, "N 2"]


def hand_targets(
    config: InterNetConfig,
    views: PinholeViews,
    joints_m: Float[np.ndarray, "N 2 21 3"],
    valid: Bool[np.ndarray, "N 2 21"],
    hand: Int[np.ndarray, "N"],
) -> HandTargets:
    """Targets from joints in the source's camera frame.

    Args:
        config: of the network.
        views: of the crops.
        joints_m: of both hands, left first, in our order.
        valid: which are known.
        hand: that each crop is of.
    """
    both = [RIGHT, LEFT]
    points = joints_m[:, both][:, :, RELEASED].reshape(len(hand), 42, 3)
    known = valid[:, both][:, :, RELEASED]
    pixels, depth = views.project(points)
    wrist = np.repeat(_by_hand(depth)[:, :, OURS[WRIST]], 21, 1)
    joints = np.concatenate([pixels / CELL_PX, voxels_of(config, depth - wrist)[..., None]], -1)
    last = np.array([config.cells, config.cells, config.voxels])
    with np.errstate(invalid="ignore"):
        inside = ((joints >= 0) & (joints < last)).all(-1)
    # Without a wrist there is no depth to count from.
    inside = known & known[:, :, OURS[WRIST], None] & _by_hand(np.asarray(inside))
    own = np.arange(2)[None] == np.where(hand == RIGHT, 0, 1)[:, None]
    appears = own | ((inside.sum(2) >= ENOUGH_JOINTS) & config.other_hand)
    inside &= appears[..., None]
    wrists = inside[:, :, OURS[WRIST]]
    apart = _by_hand(depth)[:, :, OURS[WRIST]]
    return HandTargets(
        np.nan_to_num(joints, posinf=0, neginf=0),
        inside.reshape(-1, 42),
        voxels_of(config, apart[:, 1] - apart[:, 0]),
        wrists.all(1),
        appears,
    )


def voxels_of(config: InterNetConfig, depth_m: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Places along z of depths behind the wrist."""
    return (1000 * depth_m / config.range_mm + 1) / 2 * config.voxels


def depths_of(config: InterNetConfig, voxels: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Depths behind the wrist, in metres, of places along z."""
    return (voxels / config.voxels * 2 - 1) * config.range_mm / 1000


def _by_hand(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), 2, 21, *values.shape[2:])
