"""Calibration against the pictures: do hands look like hands where the cameras put them?

Colours on the projected skeletons are compared with colours at the same places of the picture at other moments, when
the hands are elsewhere. Where a calibration is right the two differ, whatever the colour of skin or gloves; and they
differ less when the skeletons are shrunk, stretched or shifted, as another focal length, principal point or pose would
do, or when they are those of another camera. A calibration that the pictures fit far worse than another one is wrong.
"""

from functools import partial

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.datasets.columns import Columns
from handloom.datasets.frames import inside
from handloom.datasets.layout import KEYPOINTS, PICTURED, VISIBLE, Size, StoredCamera, camera_feature
from handloom.datasets.loader import read_frames
from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.verdicts import Finding, State
from handloom.errors import HandloomError
from handloom.skeleton import BONES
from handloom.video.file import VideoFile

MOMENTS = 32
"""So many pictures of every camera and recording are looked at."""
FEWEST_POINTS, FEWEST_MOMENTS = 400, 8
"""Fewer places on hands tell nothing."""
SCALES = (0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.4, 1.6)
SHIFTS = tuple((step * x, step * y) for step in (0.06, 0.12) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)))
"""Other calibrations that are tried: focal lengths times 1 / scale, and shifts as shares of the picture's width."""
CLEAR, BETTER, NOTHING = 0.08, 2.0, 0.02
"""Bits of difference from which an alternative counts, how many times better it must be, and what is chance.

Measured on 64 pairs of recording and camera of the simulator: with the true calibration 0.03 ... 0.56 bits, and where
an alternative reached 0.08, at most 1.5 times better; with focal lengths 1.3 times too long 41 pairs failed, 10 warned.
What is wrong by a tenth is not found, nor a camera whose pictures hardly tell hands from the rest."""
_LEVELS = 6


def check_against_pictures(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Whether another calibration fits the pictures far better, or no sign of hands is where they should be."""
    found, judged = [], False
    for camera in store.layout.pictured:
        model = recording.cameras.get(camera.name)
        places, shown = _places(columns, camera.name)
        moments = np.flatnonzero(shown.any(1) & columns[camera_feature(camera.name, PICTURED)])
        if model is None or len(moments) < FEWEST_MOMENTS:
            continue
        moments = moments[np.unique(np.linspace(0, len(moments) - 1, MOMENTS).round().astype(int))]
        if shown[moments].sum() < FEWEST_POINTS:
            continue
        try:
            pictures = _pictures(recording, camera, moments)
        except (HandloomError, OSError):  # "videos" tells
            continue
        judged = True
        apart = partial(_difference, pictures, shown=shown[moments], size=camera.size)
        at, middle = places[moments], np.array([model.cx, model.cy])
        own = apart(at)
        others = {f"hands {scale:g} x as far from the middle": (at - middle) * scale + middle for scale in SCALES}
        for x, y in SHIFTS:
            shift = camera.width * np.array([x, y])
            others[f"hands shifted by ({shift[0]:.0f}, {shift[1]:.0f}) px"] = at + shift
        for other in store.layout.pictured:
            if other is not camera:
                moved = _places(columns, other.name)[0][moments] * (np.array(camera.size) / other.size)
                others[f"the calibration of camera {other.name}"] = moved
        scores = {what: apart(moved) for what, moved in others.items()}
        best = max(scores, key=lambda what: scores[what])
        place = f"{recording.name}, camera {camera.name}"
        if scores[best] >= max(CLEAR, BETTER * own):
            message = f"{place}: its pictures fit {best} better ({scores[best]:.2f} against {own:.2f} bits)"
            found.append(Finding(State.FAIL, f"{message}; is this its calibration?"))
        elif own < NOTHING:
            message = f"{place}: nothing in the pictures tells hands from the rest where its calibration puts them"
            found.append(Finding(State.WARN, message))
    if store.layout.pictures and not judged:
        message = f"{recording.name}: too little is to be seen of hands to compare any camera with its pictures"
        found.append(Finding(State.WARN, message))
    return found


def _places(columns: Columns, camera: str) -> tuple[Float[np.ndarray, "T points 2"], Bool[np.ndarray, "T points"]]:
    """Joints and the middles of bones in the picture, and which of them are on a hand that is to be seen."""
    joints = columns[camera_feature(camera, KEYPOINTS)]
    shown = columns[camera_feature(camera, VISIBLE)] & columns["hand.valid"]
    parents, children = np.array(BONES).T
    points = np.concatenate([joints, (joints[:, :, parents] + joints[:, :, children]) / 2], axis=2)
    known = np.concatenate([shown, shown[:, :, parents] & shown[:, :, children]], axis=2)
    return points.reshape(len(points), -1, 2), known.reshape(len(known), -1)


def _pictures(recording: StoredRecording, camera: StoredCamera, moments: np.ndarray) -> UInt8[np.ndarray, "n h w 3"]:
    path, first = recording.videos[camera.name]
    pictures = read_frames(VideoFile(path), first + moments)
    return np.stack([cv2.GaussianBlur(picture, (5, 5), 0) for picture in pictures])


def _difference(
    pictures: UInt8[np.ndarray, "n h w 3"],
    places: Float[np.ndarray, "n points 2"],
    shown: Bool[np.ndarray, "n points"],
    size: Size,
) -> float:
    """Jensen-Shannon divergence in bits (0 ... 1) of colours at the places from those there at other moments."""
    moment, point = np.nonzero(shown & inside(places, size))
    if len(moment) < FEWEST_POINTS / 2:
        return 0.0
    column, row = np.clip(np.rint(places[moment, point]).astype(int), 0, np.array(size) - 1).T
    count = len(pictures)
    here = _colours(pictures[moment, row, column])
    steps = range(count // 4, count - count // 4, max(1, count // 8))
    elsewhere = sum(_colours(pictures[(moment + step) % count, row, column]) for step in steps)
    first, second = here / here.sum(), np.asarray(elsewhere) / np.sum(elsewhere)
    middle = (first + second) / 2
    return float(sum(_information(share, middle) for share in (first, second)) / 2)


def _colours(pixels: UInt8[np.ndarray, "n 3"]) -> Float[np.ndarray, "colours"]:
    """How often each colour occurs, in six levels per channel."""
    red, green, blue = (pixels.astype(int) * _LEVELS // 256).T
    return np.bincount((red * _LEVELS + green) * _LEVELS + blue, minlength=_LEVELS**3).astype(float)


def _information(share: Float[np.ndarray, "colours"], middle: Float[np.ndarray, "colours"]) -> float:
    used = share > 0
    return float((share[used] * np.log2(share[used] / middle[used])).sum())
