"""The object in hand and the current action, in a small band in a corner of the picture."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom.hands import HandTrack
from handloom.view.colours import RGB, label_colours

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 22  # Of a capital letter at scale 1.
_BACKGROUND_RGB, _TEXT_RGB = (16, 18, 24), (245, 245, 248)
_OPACITY = 0.62
_SMALLEST_LETTER_PX, _LETTER_SHARE = 5.5, 0.0135


class Said(NamedTuple):
    """An action or an object that is known at a moment, with its colour, and how sure that is (0 ... 1)."""

    label: str
    score: float
    colour: RGB


class Band:
    """Draws what is known at a moment into a corner of pictures of one size.

    OpenCV's letters are ASCII: accents are dropped, and what has no such letter becomes "?".
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        letter = _SMALLEST_LETTER_PX + _LETTER_SHARE * min(width, height)
        self._scale = letter / _FONT_HEIGHT
        self._stroke = max(1, round(letter / 9))
        self._line_height, self._margin = round(2.1 * letter), round(0.9 * letter)
        self._max_text = width - 2 * self._margin - round(3.4 * letter)
        self._letter = letter
        self.fits = self._max_text > 6 * letter and height > 6 * self._line_height

    def draw(
        self, image: UInt8[np.ndarray, "H W 3"], said: Sequence[Said], top: bool = True, left: bool = True
    ) -> None:
        """Draw onto an RGB picture, in place, one below the other; nothing where nothing is known."""
        if not said or not self.fits:
            return
        texts = [self._text(line.label, line.score) for line in said]
        band_width, band_height = self._size(texts)
        x = self._margin if left else self.width - self._margin - band_width
        y = self._margin if top else self.height - self._margin - band_height
        band = image[y : y + band_height, x : x + band_width]
        band[:] = (band * (1 - _OPACITY) + np.array(_BACKGROUND_RGB) * _OPACITY).astype(np.uint8)
        mark, begin = round(0.4 * self._letter), x + round(0.8 * self._letter)
        for row, (line, text) in enumerate(zip(said, texts)):
            middle = y + round((row + 0.5) * self._line_height + 0.2 * self._letter)
            cv2.rectangle(image, (begin, middle - mark), (begin + 2 * mark, middle + mark), line.colour, cv2.FILLED)
            at = (begin + 2 * mark + round(0.7 * self._letter), middle + round(0.5 * self._letter))
            cv2.putText(image, text, at, _FONT, self._scale, _TEXT_RGB, self._stroke, cv2.LINE_AA)

    def reach(self, labels: Sequence[str], lines: int) -> tuple[int, int]:
        """Columns and rows of a corner that the band may cover with any of the labels in so many lines."""
        width, _ = self._size([self._text(label, 0) for label in labels])
        return width + 2 * self._margin, lines * self._line_height + 2 * self._margin

    def _text(self, label: str, score: float) -> str:
        name, end = _ascii(label), f"  {score:.2f}"
        while name and self._text_width(name + end) > self._max_text:
            name = name.removesuffix("...")[:-1].rstrip()
            name = name and name + "..."
        return name + end

    def _text_width(self, text: str) -> int:
        return int(cv2.getTextSize(text, _FONT, self._scale, self._stroke)[0][0])

    def _size(self, texts: Sequence[str]) -> tuple[int, int]:
        text = max(map(self._text_width, texts))
        return text + round(3.1 * self._letter), round(len(texts) * self._line_height + 0.4 * self._letter)


class Caption:
    """Draws the labels of any frame of a record onto its picture, always in the same corner.

    The corner is the one in which the band covers the fewest keypoints over the whole record, so that it neither
    hides the hands, where that can be helped, nor jumps about.

    Args:
        track: the record.
        keypoints_px: its keypoints in pictures of this size.
        width, height: of the pictures.
    """

    def __init__(self, track: HandTrack, keypoints_px: Float[np.ndarray, "T 2 21 2"], width: int, height: int) -> None:
        self._track, self._band = track, Band(width, height)
        self._objects, self._actions = track.object_labels, track.action_labels
        self._object_rgb = label_colours(track.object_names[row] for row in self._objects if row >= 0)
        self._action_rgb = label_colours(action.label for action in track.actions)
        self._top, self._left = True, True
        if self._band.fits:
            self._top, self._left = self._choose_corner(keypoints_px)

    def draw(self, image: UInt8[np.ndarray, "H W 3"], index: int) -> None:
        """Draw onto the RGB picture of a frame, in place; nothing where neither object nor action is known."""
        self._band.draw(image, self._said(index), self._top, self._left)

    def _said(self, index: int) -> list[Said]:
        said, track = [], self._track
        if (row := self._actions[index]) >= 0:
            action = track.actions[row]
            said.append(Said(action.label, action.score, self._action_rgb[action.label]))
        if (row := self._objects[index]) >= 0:
            assert track.object_probabilities is not None
            name = track.object_names[row]
            said.append(Said(name, float(track.object_probabilities[index, row]), self._object_rgb[name]))
        return said

    def _choose_corner(self, keypoints_px: np.ndarray) -> tuple[bool, bool]:
        """Top or bottom, left or right: where the largest band of the record covers the fewest keypoints."""
        known = [*self._action_rgb, *self._object_rgb]
        if not known:
            return True, True
        across, down = self._band.reach(known, bool(self._action_rgb) + bool(self._object_rgb))
        points = keypoints_px[np.isfinite(keypoints_px).all(-1)]
        from_left, from_top = points[:, 0] < across, points[:, 1] < down
        from_right, from_bottom = points[:, 0] > self._band.width - across, points[:, 1] > self._band.height - down
        covered = {
            (top, left): int((vertical & horizontal).sum())
            for top, vertical in ((True, from_top), (False, from_bottom))
            for left, horizontal in ((True, from_left), (False, from_right))
        }
        return min(covered, key=lambda corner: covered[corner])


def _ascii(label: str) -> str:
    plain = unicodedata.normalize("NFKD", label.replace("ß", "ss"))
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in letters)
