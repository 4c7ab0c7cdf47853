"""Clips in the size of the pictures that a network wants, and the pinhole camera that it needs."""

import cv2
import numpy as np
from jaxtyping import UInt8

from handloom.datasets.loader import Clip
from handloom.errors import InputError
from handloom.geometry import Camera, Pinhole


def resized(clip: Clip, size: tuple[int, int]) -> Clip:
    """The clip with pictures of another size; also of a clip without pixels."""
    before = clip.camera.width, clip.camera.height
    if before == size:
        return clip
    scale = np.array(size, np.float32) / np.array(before, np.float32)
    return clip._replace(
        pictures=scaled_pictures(clip.pictures, size) if clip.pictures.size else clip.pictures,
        keypoints_px=(clip.keypoints_px + 0.5) * scale - 0.5,
        camera=clip.camera.resized(*size),
    )


def scaled_pictures(pictures: UInt8[np.ndarray, "T H W 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "T h w 3"]:
    """Pictures of another size; every new pixel is the mean of what it covers when they shrink."""
    method = cv2.INTER_AREA if size[0] < pictures.shape[2] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(picture, size, interpolation=method) for picture in pictures])


def pinhole(camera: Camera, name: str) -> Pinhole:
    """The camera, which must be a pinhole. Raises InputError: the networks know no other."""
    if not isinstance(camera, Pinhole):
        raise InputError(
            f"camera {name!r} is a {type(camera).__name__}; networks place joints by a pinhole camera. Choose another "
            "camera, or prepare the store with undistorted pictures"
        )
    return camera
