"""The trained detector of hands at work: a picture in, boxes of hands out."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.estimators.whole_pictures import canvas_size, fitted, resized_boxes
from handloom.formats.weights import load_pretrained
from handloom.formats.weights_config import weights_folder
from handloom.metrics.boxes import intersection_over_union
from handloom.models.hand_detector import HandDetector, HandDetectorConfig, decode

MOST = 16
"""Boxes of a picture, before those of one hand are brought together."""
_SAME = 0.4
"""Boxes that overlap by more are of one hand: those of both hands of a person hardly ever do."""
_CHUNK = 16


class HandBoxes(NamedTuple):
    """The hands of one picture, the surest first.

    Attributes:
        boxes_px: x0, y0, x1, y1.
        scores: 0 ... 1.
        right_probability: 0 ... 1, that it is a right hand.
    """

    boxes_px: Float[np.ndarray, "n 4"]
    scores: Float[np.ndarray, "n"]
    right_probability: Float[np.ndarray, "n"]

    @property
    def right(self) -> Bool[np.ndarray, "n"]:
        """Which are called right hands."""
        return np.asarray(self.right_probability > 0.5)

    def of(self, rows: np.ndarray) -> "HandBoxes":
        """Some of them."""
        return HandBoxes(*(values[rows] for values in self))


class HandFinder:
    """A trained detector on a device."""

    def __init__(self, model: HandDetector, device: torch.device) -> None:
        self._device, self._model = device, model.to(device).eval()
        self.config = model.config
        self.name = f"hand-detector (torch {torch.__version__}, {self._device.type})"

    @classmethod
    def load(cls, folder: Path, device: Device = "auto") -> "HandFinder":
        """The detector of a folder of weights or of a training run. Raises InputError: also of no such device."""
        model = load_pretrained(HandDetector, HandDetectorConfig, weights_folder(folder))
        return cls(model, choose_device(device))

    def find(self, picture: UInt8[np.ndarray, "H W 3"]) -> HandBoxes:
        """The hands in an RGB picture of any size."""
        small = fitted(picture, self.config.long_side_px)
        found = self.find_fitted(small[None])[0]
        size, own = (image.shape[1::-1] for image in (small, picture))
        return found._replace(boxes_px=resized_boxes(found.boxes_px, size, own))

    def find_fitted(self, pictures: UInt8[np.ndarray, "N h w 3"]) -> list[HandBoxes]:
        """The hands in pictures that are scaled as the network wants them, in pixels of these."""
        starts = range(0, len(pictures), _CHUNK)
        return [hands for start in starts for hands in self._found(pictures[start : start + _CHUNK])]

    @torch.inference_mode()
    def _found(self, pictures: UInt8[np.ndarray, "n h w 3"]) -> list[HandBoxes]:
        h, w = pictures.shape[1:3]
        width, height = canvas_size(w, h, self.config.multiple_px)
        canvas = torch.zeros(len(pictures), 3, height, width, device=self._device)
        canvas[:, :, :h, :w] = torch.from_numpy(np.array(pictures)).to(self._device).permute(0, 3, 1, 2)
        found = decode(self._model(canvas), MOST)
        boxes, scores = (part.cpu().numpy().astype(np.float64) for part in found)
        boxes = np.clip(boxes, -0.5, np.array([w, h, w, h]) - 0.5)
        return [_told_apart(*one) for one in zip(boxes, scores)]


def _told_apart(boxes_px: Float[np.ndarray, "most 4"], scores: Float[np.ndarray, "most 2"]) -> HandBoxes:
    """Each hand once: of boxes that lie on each other the surest."""
    best = scores.max(1)
    kept: list[int] = []
    for row in np.argsort(-best, kind="stable").tolist():
        if best[row] > 0 and not (intersection_over_union(boxes_px[row], boxes_px[kept]) > _SAME).any():
            kept.append(row)
    share = scores[:, 1] / np.maximum(scores.sum(1), 1e-9)
    return HandBoxes(boxes_px[kept], best[kept], share[kept])
