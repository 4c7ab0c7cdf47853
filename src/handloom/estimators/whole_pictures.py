"""Whole pictures as the detector of hands takes them: scaled to one length of their longer side."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Size = tuple[int, int]

BOX_ROOM = 0.1
"""Boxes of hands are wider than the joints by this share of their longer side all round, for the flesh about them."""


def fitted_size(width: int, height: int, long_side_px: int) -> Size:
    """Width and height with this longer side, in the same shape but for rounding."""
    scale = long_side_px / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def fitted(picture: UInt8[np.ndarray, "H W 3"], long_side_px: int) -> UInt8[np.ndarray, "h w 3"]:
    """The picture at that size."""
    height, width = picture.shape[:2]
    way = cv2.INTER_AREA if max(width, height) > long_side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, fitted_size(width, height, long_side_px), interpolation=way))


def canvas_size(width: int, height: int, multiple_px: int) -> Size:
    """The smallest width and height that are multiples and hold the picture."""
    return -(-width // multiple_px) * multiple_px, -(-height // multiple_px) * multiple_px


def tight_boxes(boxes_px: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 4"]:
    """Boxes without that room: they just hold the joints."""
    room = BOX_ROOM / (1 + 2 * BOX_ROOM) * (boxes_px[..., 2:] - boxes_px[..., :2]).max(-1, keepdims=True)
    return np.asarray(boxes_px + np.concatenate([room, room, -room, -room], -1))


def resized_boxes(boxes_px: Float[np.ndarray, "*batch 4"], before: Size, after: Size) -> Float[np.ndarray, "*batch 4"]:
    """Boxes x0, y0, x1, y1 in a picture of another size; the middle of the first pixel is 0."""
    scale = np.array(after * 2) / np.array(before * 2)
    return np.asarray((boxes_px + 0.5) * scale - 0.5)
