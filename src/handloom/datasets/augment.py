"""HTT's augmentation of a training clip: shift, blur, colour (section 4.1; numbers as in the released code)."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from handloom.geometry import Camera

SHIFT, JITTER, HUE, BLUR_PX = 0.1, 0.5, 0.15, 0.5
"""Largest shift in picture widths, largest change of the three factors, of the hue (in turns), and of the radius."""

BRIGHTNESS, CONTRAST, SATURATION, HUE_TURN = range(4)


@dataclass(frozen=True, eq=False)
class ClipAugmentation:
    """What is done to the T frames of a clip.

    Attributes:
        shift_px: columns and rows by which the crop moves; the same for all frames.
        brightness, contrast, saturation: factors, the same for all frames; 1 changes nothing.
        hue: added to the hue, in turns; the same for all frames.
        blur_px: radius (standard deviation) per frame.
        orders: the order of the four colour operations per frame.
    """

    shift_px: tuple[int, int]
    brightness: float
    contrast: float
    saturation: float
    hue: float
    blur_px: Float[np.ndarray, "T"]
    orders: Int[np.ndarray, "T 4"]

    def of(self, frames: Int[np.ndarray, "t"]) -> "ClipAugmentation":
        """What is done to some of the frames."""
        return replace(self, blur_px=self.blur_px[frames], orders=self.orders[frames])


def draw_augmentation(rng: np.random.Generator, frames: int, width: int) -> ClipAugmentation:
    """Draw the augmentation of a clip of `frames` pictures that are `width` px wide."""
    # Towards zero, as the original does: no shift is twice as likely as any other.
    right, down = np.trunc(SHIFT * width * rng.uniform(-1, 1, 2)).astype(int).tolist()
    brightness, contrast, saturation = rng.uniform(1 - JITTER, 1 + JITTER, 3).tolist()
    return ClipAugmentation(
        shift_px=(right, down),
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=float(rng.uniform(-HUE, HUE)),
        blur_px=rng.uniform(0, BLUR_PX, frames),
        orders=rng.permuted(np.tile(np.arange(4), (frames, 1)), axis=1),
    )


def augment_pictures(pictures: UInt8[np.ndarray, "T H W 3"], drawn: ClipAugmentation) -> UInt8[np.ndarray, "T H W 3"]:
    """Blur, change the colours of, and shift RGB pictures; what comes in from outside is black."""
    result = np.zeros_like(pictures)
    to, of = _overlap(pictures.shape[1:3], drawn.shift_px)
    for frame, picture in enumerate(pictures):
        changed = _blurred(picture, drawn.blur_px[frame])
        for operation in drawn.orders[frame]:
            changed = _COLOURS[operation](changed, drawn)
        result[frame][to] = changed[of]
    return result


def augment_keypoints(
    keypoints_px: Float[np.ndarray, "*batch 2"], drawn: ClipAugmentation
) -> Float[np.ndarray, "*batch 2"]:
    """Image positions after the shift."""
    return np.asarray(keypoints_px - np.asarray(drawn.shift_px, keypoints_px.dtype))


def augment_camera(camera: Camera, drawn: ClipAugmentation) -> Camera:
    """The camera after the shift: its principal point moves with the pictures."""
    return camera.cropped(*drawn.shift_px, camera.width, camera.height)


def _overlap(size: tuple[int, int], shift: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of the result that the picture reaches, and those of the picture that go there."""
    sides = [(slice(max(0, -s), n - max(0, s)), slice(max(0, s), n + min(0, s))) for n, s in zip(size, shift[::-1])]
    (rows_to, rows_of), (columns_to, columns_of) = sides
    return (rows_to, columns_to), (rows_of, columns_of)


def _blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    """Three box filters of fractional width in each direction, of variance radius² together (Gwosdek et al. 2011)."""
    variance = radius**2 / 3
    edge = variance / (2 * (1 - variance))
    box = np.array([edge, 1, edge]) / (1 + 2 * edge)
    # The outermost two of the seven taps are below 1e-4, far under one grey level.
    kernel = np.convolve(np.convolve(box, box), box)[1:-1]
    kernel /= kernel.sum()
    return np.asarray(cv2.sepFilter2D(picture, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def _scaled(picture: np.ndarray, factor: float, grey: int) -> np.ndarray:
    """Levels moved away from a grey by a factor, cut off to whole levels."""
    levels = grey + factor * (np.arange(256) - grey)
    return np.asarray(cv2.LUT(picture, np.clip(levels, 0, 255).astype(np.uint8)))


def _brightness(picture: np.ndarray, drawn: ClipAugmentation) -> np.ndarray:
    return _scaled(picture, drawn.brightness, 0)


def _contrast(picture: np.ndarray, drawn: ClipAugmentation) -> np.ndarray:
    mean = cv2.mean(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[0]
    return _scaled(picture, drawn.contrast, int(mean + 0.5))


def _saturation(picture: np.ndarray, drawn: ClipAugmentation) -> np.ndarray:
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    # Nearly half a level less, because this rounds where the original cuts off.
    return np.asarray(cv2.addWeighted(picture, drawn.saturation, grey, 1 - drawn.saturation, -0.498))


def _hue(picture: np.ndarray, drawn: ClipAugmentation) -> np.ndarray:
    colours = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL)
    colours[..., 0] += np.uint8(int(drawn.hue * 255) % 256)  # wraps round
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB_FULL))


_COLOURS = {BRIGHTNESS: _brightness, CONTRAST: _contrast, SATURATION: _saturation, HUE_TURN: _hue}
