"""Whole pictures of a store's cameras with the boxes of hands in them: scaled down once and kept on disk."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from handloom.datasets.columns import Columns
from handloom.datasets.frames import inside
from handloom.datasets.hand_crops import pictured_cameras
from handloom.datasets.kept_pictures import read_kept, write_kept
from handloom.datasets.layout import (
    BOXES,
    KEYPOINTS,
    PICTURED,
    POSE_KNOWN,
    VISIBLE,
    Size,
    camera_feature,
)
from handloom.datasets.loader import read_frames
from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.ego_crops import hand_boxes
from handloom.estimators.hand_finder import HandFinder
from handloom.estimators.whole_pictures import BOX_ROOM, fitted, fitted_size, resized_boxes
from handloom.metrics.boxes import JudgedPicture
from handloom.progress import Progress, silent
from handloom.video.file import VideoFile

LEAST_VISIBLE = 4
"""A hand of which fewer joints are to be seen may be found or not."""
CHUNK = 32


@dataclass(frozen=True, eq=False)
class HandPictures:
    """N pictures of one recording and camera.

    Attributes:
        pictures: RGB, scaled to one longer side; on disk until they are looked at.
        recording, camera: their names.
        frame: of the recording.
        size: width and height of the pictures in the store.
        boxes_px: of the left and the right hand, in the scaled pictures; NaN for none.
        counted: False for a hand that is hidden or cut off: it may be found or not.
    """

    pictures: UInt8[np.ndarray, "N h w 3"]
    recording: str
    camera: str
    frame: Int[np.ndarray, "N"]
    size: Size
    boxes_px: Float[np.ndarray, "N 2 4"]
    counted: Bool[np.ndarray, "N 2"]

    def judged(self, finder: HandFinder, step: int = 1) -> list[JudgedPicture]:
        """What a detector finds in every so many of the pictures, beside what is there."""
        found = finder.find_fitted(self.pictures[::step])
        return [
            JudgedPicture(hands.boxes_px, hands.scores, hands.right, true, counted)
            for hands, true, counted in zip(found, self.boxes_px[::step], self.counted[::step])
        ]


def cameras_of_stores(stores: Sequence[Store], chosen: Sequence[str]) -> list[list[str]]:
    """Of each store the cameras that are asked for, or all.

    Raises:
        InputError: a store without pictures or without any of the cameras, or a camera that none has.
    """
    own = [pictured_cameras(store) for store in stores]
    known = sorted({name for names in own for name in names})
    if unknown := [name for name in chosen if name not in known]:
        raise InputError(f"no store has pictures of camera {unknown[0]!r}; there are {', '.join(known)}")
    found = [[name for name in names if not chosen or name in chosen] for names in own]
    for store, names in zip(stores, found):
        if not names:
            pictured_cameras(store, chosen)  # says which it has
    return found


def read_hand_pictures(
    store: Store,
    recordings: Sequence[StoredRecording],
    cameras: Sequence[str],
    long_side_px: int,
    folder: Path,
    frame_step: int = 1,
    progress: Progress = silent,
) -> list[HandPictures]:
    """The pictures of some recordings, camera by camera; those that are not in the folder yet are scaled now.

    A frame counts if some hand is labelled in it; a hand that is not is then taken to be absent. Boxes are the
    store's own, or go around the joints in the picture.

    Args:
        store, recordings, cameras: what is read.
        long_side_px: of the scaled pictures.
        folder: for the pictures of several stores and sizes; a file for each recording and camera.
        frame_step: every so many frames count.
        progress: told of every recording.

    Raises:
        InputError: the store cannot be read.
    """
    key = hashlib.sha256(f"{long_side_px} {frame_step} {store_digest(store)}".encode()).hexdigest()[:16]
    place = folder / key
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for done, recording in enumerate(recordings):
        progress("pictures", done, len(recordings))
        for camera in cameras:
            path = place / f"{recording.index:06d}-{camera}.npy"
            found.append(_pictures(store, recording, camera, long_side_px, frame_step, path))
    progress("pictures", len(recordings), len(recordings))
    return found


def _pictures(
    store: Store, recording: StoredRecording, camera: str, long_side_px: int, frame_step: int, path: Path
) -> HandPictures:
    stored = store.layout.camera(camera)
    parts = [camera_feature(camera, part) for part in (KEYPOINTS, VISIBLE, BOXES, POSE_KNOWN, PICTURED)]
    columns = store.columns(recording.index, ["hand.valid", *parts])
    boxes, counted, known = _boxes(columns, parts, stored.size)
    known[np.arange(len(known)) % frame_step > 0] = False
    frame = np.flatnonzero(known & columns[parts[-1]])
    size = fitted_size(*stored.size, long_side_px)
    if len(frame) and not path.exists():
        _write(path, recording, camera, frame, long_side_px, size)
    return HandPictures(
        read_kept(path, (len(frame), size[1], size[0], 3)),
        recording.name,
        camera,
        frame,
        stored.size,
        resized_boxes(boxes[frame], stored.size, size),
        counted[frame],
    )


def _boxes(
    columns: Columns, parts: Sequence[str], size: Size
) -> tuple[Float[np.ndarray, "T 2 4"], Bool[np.ndarray, "T 2"], Bool[np.ndarray, "T"]]:
    """Boxes, which of them count, and in which frames it is known where the hands are."""
    keypoints, visible, stored, posed, _ = (columns[name] for name in parts)
    # Those behind the camera stand at 0, 0.
    there = inside(keypoints, size) & keypoints.any(-1) & columns["hand.valid"] & posed[:, None, None]
    tight = hand_boxes(keypoints.reshape(-1, 21, 2), there.reshape(-1, 21), 0.0, 1).reshape(*posed.shape, 2, 4)
    room = BOX_ROOM * (tight[..., 2:] - tight[..., :2]).max(-1, keepdims=True)
    around = tight + np.concatenate([-room, -room, room, room], -1)
    last = np.array([size[0], size[1]] * 2) - 0.5
    around = np.clip(around, -0.5, last)
    given = np.asarray(stored.any(-1))
    seen = ((there & visible).sum(-1) >= LEAST_VISIBLE) & (there.sum(-1) >= visible.shape[-1] // 2)
    known = np.asarray((columns["hand.valid"].any((1, 2)) & posed) | given.any(1))
    return np.where(given[..., None], stored, around).astype(np.float64), np.asarray(given | seen), known


def _write(
    path: Path,
    recording: StoredRecording,
    camera: str,
    frame: Int[np.ndarray, "N"],
    long_side_px: int,
    size: Size,
) -> None:
    video, first = recording.videos[camera]
    if not video.is_file():
        raise InputError(f"{video} is missing; the store is not whole: prepare it again")
    pictures = np.zeros((len(frame), size[1], size[0], 3), np.uint8)
    with VideoFile(video) as file:
        for start in range(0, len(frame), CHUNK):
            some = frame[start : start + CHUNK]
            for row, picture in enumerate(read_frames(file, some + first), start):
                pictures[row] = fitted(picture, long_side_px)
    write_kept(path, pictures)
