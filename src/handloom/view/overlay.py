"""Both skeletons drawn onto a video frame."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.errors import InputError
from handloom.skeleton import BONES, HANDS, WRIST
from handloom.view.colours import BONE_RGB, FADED_RGB, HAND_RGB, JOINT_RGB, OUTLINE_RGB

_SHIFT = 4  # OpenCV takes sub-pixel positions as integers with this many fractional bits.
_SUBPIXEL = 1 << _SHIFT
_PARENTS, _CHILDREN = np.array(BONES).T
# L and R as strokes in a unit disc: OpenCV's fonts differ between its versions and do not centre.
_LETTERS = (
    [np.array([[-0.26, -0.46], [-0.26, 0.46], [0.32, 0.46]])],
    [
        np.array(
            [
                [-0.3, 0.48],
                [-0.3, -0.46],
                [0.08, -0.46],
                [0.28, -0.36],
                [0.28, -0.12],
                [0.08, 0.0],
                [-0.3, 0.0],
            ]
        ),
        np.array([[0.02, 0.0], [0.34, 0.48]]),
    ],
)
_BONE_RGB, _JOINT_RGB = np.array(BONE_RGB, np.float32), np.array(JOINT_RGB, np.float32)


def draw_hands(
    image: UInt8[np.ndarray, "H W 3"],
    keypoints_px: Float[np.ndarray, "2 21 2"],
    valid: Bool[np.ndarray, "2 21"],
    confidence: Float[np.ndarray, "2 21"],
    labels: bool = True,
) -> None:
    """Draw the left and the right hand onto an RGB image, in place.

    Fingers have the colours of `view.colours`. The left hand is edged white, the right black, and a badge at
    the wrist says L or R. A bone or joint gets thinner and greyer as its confidence falls. Lines grow with
    the image, but stay fine on a small hand. What is not valid, not finite or further outside than ten image
    sizes is left out.

    Args:
        image: RGB, C-contiguous and writable.
        keypoints_px: left and right hand, pixel centres at integers.
        valid: which keypoints exist.
        confidence: 0 ... 1.
        labels: draw the badges.

    Raises:
        InputError: the image cannot be drawn on.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"expected an image of (height, width, 3) uint8 to draw on, found {image.shape} {image.dtype}")
    if not (image.flags.c_contiguous and image.flags.writeable):
        raise InputError("the image to draw on must be C-contiguous and writable; pass a copy: image.copy()")
    reach = 10 * max(image.shape)
    with np.errstate(invalid="ignore"):
        drawable = valid & (np.abs(keypoints_px) < reach).all(-1)
    for hand in range(len(HANDS)):
        if drawable[hand].any():
            _draw_hand(image, hand, keypoints_px[hand], drawable[hand], np.clip(confidence[hand], 0, 1), labels)


def _draw_hand(
    image: np.ndarray,
    hand: int,
    points: np.ndarray,
    drawable: np.ndarray,
    confidence: np.ndarray,
    label: bool,
) -> None:
    width = _line_width(image, points[drawable])
    edge = max(1, round(0.35 * width))
    strength = np.where(np.isfinite(confidence), confidence, 0)
    bone_strength = np.minimum(strength[_PARENTS], strength[_CHILDREN])
    bone_width = np.maximum(1, np.rint(width * (0.45 + 0.55 * bone_strength))).astype(int).tolist()
    radius = np.rint(_SUBPIXEL * np.maximum(1.5, width * (0.55 + 0.35 * strength))).astype(int).tolist()
    bone_colour, joint_colour = _faded(_BONE_RGB, bone_strength), _faded(_JOINT_RGB, strength)

    at = np.rint(np.where(drawable[:, None], points, 0) * _SUBPIXEL).astype(int).tolist()
    bones = np.flatnonzero(drawable[_PARENTS] & drawable[_CHILDREN]).tolist()
    outline = OUTLINE_RGB[hand]
    for bone in bones:
        a, b = BONES[bone]
        cv2.line(image, at[a], at[b], outline, bone_width[bone] + 2 * edge, cv2.LINE_AA, _SHIFT)
    for bone in bones:
        a, b = BONES[bone]
        cv2.line(image, at[a], at[b], bone_colour[bone], bone_width[bone], cv2.LINE_AA, _SHIFT)
    for joint in np.flatnonzero(drawable).tolist():
        cv2.circle(image, at[joint], radius[joint] + edge * _SUBPIXEL // 2, outline, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, at[joint], radius[joint], joint_colour[joint], cv2.FILLED, cv2.LINE_AA, _SHIFT)
    if label and drawable[WRIST]:
        _draw_badge(image, hand, points, drawable, width)


def _draw_badge(image: np.ndarray, hand: int, points: np.ndarray, drawable: np.ndarray, width: float) -> None:
    """A disc with L or R beside the wrist, away from the fingers, so that it covers none of them."""
    radius = max(7.0, 3.0 * width)
    away = points[WRIST] - points[drawable].mean(0)
    length = float(np.hypot(*away))
    away = away / length if length > 0 else np.array([0.0, 1.0])
    x, y = points[WRIST] + away * (radius + 1.6 * width)
    height, image_width = image.shape[:2]
    if not (-radius < x < image_width + radius and -radius < y < height + radius):
        return
    centre = (round(x * _SUBPIXEL), round(y * _SUBPIXEL))
    cv2.circle(
        image,
        centre,
        round((radius + max(1.0, width / 3)) * _SUBPIXEL),
        OUTLINE_RGB[hand],
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )
    cv2.circle(image, centre, round(radius * _SUBPIXEL), HAND_RGB[hand], -1, cv2.LINE_AA, _SHIFT)
    stroke = max(1, round(radius / 4.5))
    lines = [np.rint((line * radius + [x, y]) * _SUBPIXEL).astype(np.int32) for line in _LETTERS[hand]]
    cv2.polylines(image, lines, False, (255, 255, 255), stroke, cv2.LINE_AA, _SHIFT)


def _line_width(image: np.ndarray, points: np.ndarray) -> float:
    by_image: float = min(image.shape[:2]) / 200
    by_hand = float((points.max(0) - points.min(0)).max()) / 40
    return max(1.0, min(by_image, max(by_hand, by_image / 3)))


def _faded(colours: np.ndarray, strength: np.ndarray) -> list[list[float]]:
    grey = np.array(FADED_RGB, np.float32)
    mixed: list[list[float]] = (grey + (colours - grey) * (0.25 + 0.75 * strength[:, None])).tolist()
    return mixed
