"""Futures as a fan over the last picture: paths of wrists and fingertips, and the hands at their ends."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom.futures import Futures
from handloom.geometry import Camera
from handloom.skeleton import BONES, FINGERTIPS, HANDS, WRIST
from handloom.view.colours import BONE_RGB, FADED_RGB, HAND_RGB

_SHIFT = 4
_DARKER = 0.45
_NEAREST_M = 0.05
_STEPS = 8


def draw_fan(image: UInt8[np.ndarray, "H W 3"], futures: Futures, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
    """The picture, darkened, with all futures; colours grow from grey to full along time. Joints are in its camera."""
    out = np.ascontiguousarray((image * _DARKER).astype(np.uint8))
    pixels, seen = camera.project(np.where(np.isfinite(futures.joints_m), futures.joints_m, 0.0))
    ahead = np.asarray(seen) & (futures.joints_m[..., 2] > _NEAREST_M) & futures.valid
    frames = futures.joints_m.shape[1]
    width = max(1, round(min(image.shape[:2]) / 300))
    for sample in range(len(pixels) - 1, -1, -1):
        thick = width + 1 if sample == 0 else width
        for hand in range(len(HANDS)):
            for joint in (*FINGERTIPS, WRIST):
                for t in range(1, frames):
                    if ahead[sample, t - 1, hand, joint] and ahead[sample, t, hand, joint]:
                        colour = _mixed(HAND_RGB[hand], t / frames)
                        size = thick if joint == WRIST else max(1, thick - 1)
                        _line(out, pixels[sample, t - 1, hand, joint], pixels[sample, t, hand, joint], colour, size)
            _skeleton(out, pixels[sample, -1, hand], ahead[sample, -1, hand], thick if sample == 0 else 1)
    return out


def _skeleton(image: np.ndarray, points: Float[np.ndarray, "21 2"], drawn: np.ndarray, width: int) -> None:
    for bone, (a, b) in enumerate(BONES):
        if drawn[a] and drawn[b]:
            _line(image, points[a], points[b], BONE_RGB[bone], width)


def _line(image: np.ndarray, a: np.ndarray, b: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
    if max(np.abs(a).max(), np.abs(b).max()) < 10 * max(image.shape):
        start, end = (np.rint(p * (1 << _SHIFT)).astype(int).tolist() for p in (a, b))
        cv2.line(image, start, end, colour, width, cv2.LINE_AA, _SHIFT)


def _mixed(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    grey = np.array(FADED_RGB)
    r, g, b = np.rint(grey + (np.array(colour) - grey) * min(1.0, 0.3 + share * _STEPS / (_STEPS - 1))).astype(int)
    return int(r), int(g), int(b)
