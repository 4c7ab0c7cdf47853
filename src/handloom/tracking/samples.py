"""A handful of pictures, evenly spread over a clip of unknown length, in bounded memory."""

import cv2
import numpy as np
from jaxtyping import UInt8

MAX_WIDTH = 640


class FrameSamples:
    """Keeps every n-th frame, scaled down; n doubles whenever twice the wanted number is held."""

    def __init__(self, wanted: int = 12):
        self.wanted = wanted
        self._stride = 1
        self._kept: list[tuple[int, UInt8[np.ndarray, "h w 3"]]] = []

    def push(self, index: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Offer a frame. The frames kept in the end do not depend on the order of offers."""
        while index % self._stride == 0 and len(self._kept) >= 2 * self.wanted:
            self._stride *= 2
            self._kept = [sample for sample in self._kept if sample[0] % self._stride == 0]
        if index % self._stride == 0:
            self._kept.append((index, _fitted(image)))

    def choose(self, preferred: np.ndarray, count: int = 8) -> list[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
        """Up to `count` samples, evenly spread, from frames marked in `preferred` where there are any."""
        inside = sorted((sample for sample in self._kept if sample[0] < len(preferred)), key=lambda sample: sample[0])
        chosen = [sample for sample in inside if preferred[sample[0]]] or inside
        if not chosen:
            return []
        picks = np.unique(np.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().astype(int))
        return [chosen[pick] for pick in picks]


def _fitted(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if width <= MAX_WIDTH:
        return image.copy()
    size = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
