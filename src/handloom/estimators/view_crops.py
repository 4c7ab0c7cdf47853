"""Pictures of hands, cut once with room around them, from which the crops of every round and jitter are cut again.

All are virtual perspective cameras at the place of the real one, so a view may be a pinhole or a fisheye. Boxes and
outlines are on a crop camera's own plane: x / z and y / z of its frame.
"""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.geometry import Camera, Pinhole
from handloom.geometry.crops import crop_keypoints

ROOM = 2.2
"""Side of a kept picture over that of the square that just holds the hand."""
_SEEN_SHARE = 0.5
"""A view sees a hand if this share of its square is in the picture."""
_COARSE = 0.6
"""Pictures finer than a crop by more than this are made smaller first, so that no pixel is skipped."""
_PLANE = Pinhole(1, 1, 1.0, 1.0, 0.0, 0.0)
"""Its pixels are places on the plane at distance 1."""


@dataclass(frozen=True, eq=False)
class HandCrops:
    """Pictures of N hands in V views.

    Attributes:
        pictures: square, RGB; black where nothing is known.
        crop_from_world: pose of each crop camera; NaN where the view does not see the hand.
        focal_px: of each crop camera; its principal point is the picture's middle.
    """

    pictures: UInt8[np.ndarray, "hands views size size 3"]
    crop_from_world: Float[np.ndarray, "hands views 4 4"]
    focal_px: Float[np.ndarray, "hands views"]

    @property
    def seen(self) -> Bool[np.ndarray, "hands views"]:
        """Which views see which hand."""
        return np.asarray(np.isfinite(self.focal_px))

    def of(self, hands: np.ndarray, views: np.ndarray | slice = slice(None)) -> "HandCrops":
        """Some of the hands, in some of the views."""
        return HandCrops(*(getattr(self, item.name)[hands][:, views] for item in fields(self)))

    def put(self, hands: np.ndarray, view: int, one: "HandCrops") -> None:
        """Take some hands of one view from crops of that view alone, in place."""
        for item in fields(self):
            getattr(self, item.name)[hands, view] = getattr(one, item.name)[:, 0]

    def plane(self, points: Float[np.ndarray, "hands n 3"]) -> Float[np.ndarray, "hands views n 2"]:
        """World points on the planes of the crop cameras; NaN behind them and where there is none."""
        pose = self.crop_from_world
        local = np.einsum("hvij,hnj->hvni", pose[..., :3, :3], points) + pose[..., None, :3, 3]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(local[..., 2:] > 0.01, local[..., :2] / local[..., 2:], np.nan)

    def closer(self, outline: Float[np.ndarray, "hands views n 2"], size: int, margin: float) -> "HandCrops":
        """Crops about outlines on the planes, cut from these pictures.

        Args:
            outline: points that the crop holds; NaN where not known.
            size: of the crops.
            margin: side of a crop over that of the square that just holds the outline.
        """
        aimed = crop_keypoints(_PLANE, outline, size, margin)
        seen = aimed.valid & self.seen
        pictures = np.zeros((*seen.shape, size, size, 3), np.uint8)
        middle, own_middle = (size - 1) / 2, (self.pictures.shape[2] - 1) / 2
        for hand, view in np.argwhere(seen):
            turn, focal, own = aimed.crop_from_camera[hand, view], aimed.focal_px[hand, view], self.focal_px[hand, view]
            to_plane = np.array([[1 / focal, 0, -middle / focal], [0, 1 / focal, -middle / focal], [0, 0, 1]])
            to_picture = np.array([[own, 0, own_middle], [0, own, own_middle], [0, 0, 1]]) @ turn.T @ to_plane
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            pictures[hand, view] = cv2.warpPerspective(self.pictures[hand, view], to_picture, (size, size), flags=flags)
        poses = self.crop_from_world.copy()
        poses[..., :3, :] = aimed.crop_from_camera @ poses[..., :3, :]
        poses[~seen] = np.nan
        return HandCrops(pictures, poses, np.where(seen, aimed.focal_px, np.nan))


def nothing(hands: int, views: int, size: int) -> HandCrops:
    """Hands that no view sees."""
    shape = (hands, views)
    pictures = np.zeros((*shape, size, size, 3), np.uint8)
    return HandCrops(pictures, np.full((*shape, 4, 4), np.nan), np.full(shape, np.nan))


def cut(
    image: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    camera_from_world: Float[np.ndarray, "4 4"],
    joints: Float[np.ndarray, "hands 21 3"],
    size: int,
    room: float = ROOM,
) -> HandCrops:
    """The hands of one picture, as crops of one view.

    Args:
        image: the picture.
        camera, camera_from_world: what took it.
        joints: where the hands are about, in the world; NaN where not known.
        size: of the crops.
        room: side of a crop over that of the square that just holds the joints.
    """
    if not np.isfinite(camera_from_world).all():
        return nothing(len(joints), 1, size)
    local = joints @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    pixels, _ = camera.project(np.where(np.isfinite(local), local, [0, 0, -1.0]))
    return cut_outlines(image, camera, camera_from_world, pixels, size, room)


def cut_outlines(
    image: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    camera_from_world: Float[np.ndarray, "4 4"],
    outline_px: Float[np.ndarray, "hands n 2"],
    size: int,
    room: float,
) -> HandCrops:
    """The same, where it is known which points of the picture each crop should hold; NaN for no such point."""
    out = nothing(len(outline_px), 1, size)
    crops = crop_keypoints(camera, outline_px, size, room)
    if not crops.valid.any():
        return out
    scale = float(np.nanmax(crops.focal_px)) / max(camera.fx, camera.fy)
    if scale < _COARSE:
        width, height = (max(1, round(side * scale / _COARSE)) for side in (camera.width, camera.height))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        crops = replace(crops, source=camera.resized(width, height))
    places, inside = crops.source_map()
    inner = slice(round(size / 2 * (1 - 1 / room)), round(size / 2 * (1 + 1 / room)))
    seen = crops.valid & (inside[:, inner, inner].mean((1, 2)) >= _SEEN_SHARE)
    for hand in np.flatnonzero(seen):
        place = np.where(inside[hand, ..., None], places[hand], -10.0).astype(np.float32)
        out.pictures[hand, 0] = cv2.remap(image, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
        turn = np.eye(4)
        turn[:3, :3] = crops.crop_from_camera[hand]
        out.crop_from_world[hand, 0] = turn @ camera_from_world
        out.focal_px[hand, 0] = crops.focal_px[hand]
    return out


def boxes_of(outline: Float[np.ndarray, "*batch n 2"]) -> Float[np.ndarray, "*batch 4"]:
    """Boxes x0, y0, x1, y1 that just hold outlines; NaN where nothing is known."""
    known = np.isfinite(outline)
    low = np.where(known, outline, np.inf).min(-2)
    high = np.where(known, outline, -np.inf).max(-2)
    box = np.concatenate([low, high], -1)
    return np.where(np.isfinite(box).all(-1, keepdims=True), box, np.nan)


def corners(boxes: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 4 2"]:
    """Corners of boxes: outlines that are as large."""
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)
    return np.stack([np.stack([x, y], -1) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], -2)


def disturbed(
    boxes: Float[np.ndarray, "*batch 4"], rng: np.random.Generator, shift: float, scale: float
) -> Float[np.ndarray, "*batch 4"]:
    """Boxes as an imperfect detector would give them.

    Args:
        boxes: the right ones.
        rng: decides.
        shift: standard deviation of the middle, each way, in sides of the box.
        scale: standard deviation of the logarithm of the side.
    """
    middle, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    side = half.max(-1, keepdims=True)
    middle = middle + 2 * side * rng.normal(0, shift, middle.shape)
    half = half * np.exp(rng.normal(0, scale, side.shape))
    return np.concatenate([middle - half, middle + half], -1)
