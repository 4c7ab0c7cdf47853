"""The object in hand and the current action, in a small band in a corner of the picture."""

import unicodedata
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


class _Line(NamedTuple):
    colour: RGB
    text: str


class Caption:
    """Draws the labels of any frame of a record onto its picture, always in the same corner.

    The corner is the one in which the band covers the fewest keypoints over the whole record, so that it neither
    hides the hands, where that can be helped, nor jumps about. OpenCV's letters are ASCII: accents are dropped, and
    what has no such letter becomes "?".

    Args:
        track: the record.
        keypoints_px: its keypoints in pictures of this size.
        width, height: of the pictures.
    """

    def __init__(self, track: HandTrack, keypoints_px: Float[np.ndarray, "T 2 21 2"], width: int, height: int) -> None:
        self._track = track
        self._objects, self._actions = track.object_labels, track.action_labels
        object_rgb = label_colours(track.object_names[row] for row in self._objects if row >= 0)
        action_rgb = label_colours(action.label for action in track.actions)
        self._colours = {"object": object_rgb, "action": action_rgb}
        letter = _SMALLEST_LETTER_PX + _LETTER_SHARE * min(width, height)
        self._scale = letter / _FONT_HEIGHT
        self._stroke = max(1, round(letter / 9))
        self._line_height, self._margin = round(2.1 * letter), round(0.9 * letter)
        self._max_text = width - 2 * self._margin - round(3.4 * letter)
        self._letter = letter
        self._fits = self._max_text > 6 * letter and height > 6 * self._line_height
        self._top, self._left = True, True
        if self._fits:
            self._top, self._left = self._choose_corner(keypoints_px, width, height)

    def draw(self, image: UInt8[np.ndarray, "H W 3"], index: int) -> None:
        """Draw onto the RGB picture of a frame, in place; nothing where neither object nor action is known."""
        lines = self._lines(index)
        if not lines or not self._fits:
            return
        height, width = image.shape[:2]
        band_width, band_height = self._size(lines)
        x = self._margin if self._left else width - self._margin - band_width
        y = self._margin if self._top else height - self._margin - band_height
        band = image[y : y + band_height, x : x + band_width]
        band[:] = (band * (1 - _OPACITY) + np.array(_BACKGROUND_RGB) * _OPACITY).astype(np.uint8)
        for row, line in enumerate(lines):
            middle = y + round((row + 0.5) * self._line_height + 0.2 * self._letter)
            mark = round(0.4 * self._letter)
            left = x + round(0.8 * self._letter)
            cv2.rectangle(image, (left, middle - mark), (left + 2 * mark, middle + mark), line.colour, cv2.FILLED)
            at = (left + 2 * mark + round(0.7 * self._letter), middle + round(0.5 * self._letter))
            cv2.putText(image, line.text, at, _FONT, self._scale, _TEXT_RGB, self._stroke, cv2.LINE_AA)

    def _lines(self, index: int) -> list[_Line]:
        lines, track = [], self._track
        if (row := self._actions[index]) >= 0:
            action = track.actions[row]
            lines.append(self._line("action", action.label, action.score))
        if (row := self._objects[index]) >= 0:
            assert track.object_probabilities is not None
            lines.append(self._line("object", track.object_names[row], float(track.object_probabilities[index, row])))
        return lines

    def _line(self, kind: str, label: str, score: float) -> _Line:
        name, end = _ascii(label), f"  {score:.2f}"
        while name and self._text_width(name + end) > self._max_text:
            name = name.removesuffix("...")[:-1].rstrip()
            name = name and name + "..."
        return _Line(self._colours[kind][label], name + end)

    def _text_width(self, text: str) -> int:
        return int(cv2.getTextSize(text, _FONT, self._scale, self._stroke)[0][0])

    def _size(self, lines: list[_Line]) -> tuple[int, int]:
        text = max(self._text_width(line.text) for line in lines)
        return text + round(3.1 * self._letter), round(len(lines) * self._line_height + 0.4 * self._letter)

    def _choose_corner(self, keypoints_px: np.ndarray, width: int, height: int) -> tuple[bool, bool]:
        """Top or bottom, left or right: where the largest band of the record covers the fewest keypoints."""
        known = [
            *(self._line("action", label, 0) for label in self._colours["action"]),
            *(self._line("object", label, 0) for label in self._colours["object"]),
        ]
        if not known:
            return True, True
        band_width, _ = self._size(known)
        kinds = sum(bool(colours) for colours in self._colours.values())
        reach = np.array([band_width, kinds * self._line_height]) + 2 * self._margin
        points = keypoints_px[np.isfinite(keypoints_px).all(-1)]
        from_left, from_top = points[:, 0] < reach[0], points[:, 1] < reach[1]
        from_right, from_bottom = points[:, 0] > width - reach[0], points[:, 1] > height - reach[1]
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
