"""Pictures of any camera as HTT wants them: its size, and without distortion."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom.geometry import Camera, Pinhole


class PinholePicture:
    """The pinhole picture of a given size that a camera's picture fits into, seen from the same place.

    The picture is scaled to fit and keeps its shape; what is left is black. A lens with distortion is resampled to the
    pinhole with its focal lengths and its centre: straight things become straight, and what a fisheye sees beyond the
    edge is lost.

    Attributes:
        source: the camera of the pictures.
        camera: the pinhole of the result; it has the coordinate frame of `source`.
    """

    def __init__(self, source: Camera, size: tuple[int, int]) -> None:
        self.source = source
        scale = min(size[0] / source.width, size[1] / source.height)
        self._scaled = max(1, round(source.width * scale)), max(1, round(source.height * scale))
        self._corner = (size[0] - self._scaled[0]) // 2, (size[1] - self._scaled[1]) // 2
        placed = source.resized(*self._scaled).cropped(-self._corner[0], -self._corner[1], *size)
        self.camera = Pinhole(*size, placed.fx, placed.fy, placed.cx, placed.cy)
        self._map: np.ndarray | None = None
        if not isinstance(source, Pinhole):
            rows, columns = np.indices((size[1], size[0]))
            rays, _ = self.camera.unproject(np.stack([columns, rows], -1).astype(np.float64))
            pixels, seen = source.resized(*self._scaled).project(rays)
            # Far outside, so that the border's black is taken.
            self._map = np.where(seen[..., None], pixels, -10.0 * max(size)).astype(np.float32)

    @property
    def undistorts(self) -> bool:
        """Whether the picture is resampled through a lens model."""
        return self._map is not None

    def view(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as the pinhole sees it."""
        if image.shape[1::-1] != self._scaled:
            image = np.asarray(cv2.resize(image, self._scaled, interpolation=cv2.INTER_AREA))
        width, height = self.camera.width, self.camera.height
        if self._map is not None:
            return np.asarray(cv2.remap(image, self._map[..., 0], self._map[..., 1], cv2.INTER_LINEAR))
        if self._scaled == (width, height):
            return image
        (x, y), framed = self._corner, np.zeros((height, width, 3), np.uint8)
        framed[y : y + image.shape[0], x : x + image.shape[1]] = image
        return framed

    def to_source(self, keypoints_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Positions in the pinhole's picture as positions in the camera's; NaN where its lens model has none."""
        pixels, _ = self.source.project(self.camera.unproject(np.asarray(keypoints_px, np.float64))[0])
        return np.asarray(pixels)
