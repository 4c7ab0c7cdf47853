"""Single hands out of the pictures of a store's cameras: cut out once, kept on disk, with the truth of both hands."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from handloom.datasets.clips import recordings_of
from handloom.datasets.columns import Columns
from handloom.datasets.frames import inside
from handloom.datasets.kept_pictures import read_kept, write_kept
from handloom.datasets.label_noise import LabelNoise
from handloom.datasets.layout import (
    BOXES,
    KEYPOINTS,
    PICTURED,
    POSE_KNOWN,
    WORLD_FROM_CAMERA,
    camera_feature,
)
from handloom.datasets.loader import read_frames
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.ego_crops import Cutter, cutter, hand_boxes
from handloom.geometry import apply_rigid, invert_rigid
from handloom.geometry.pinhole_views import PinholeViews
from handloom.models.internet import InterNetConfig
from handloom.progress import Progress, silent
from handloom.video.file import VideoFile

CHUNK = 32
MOVES_M = 1e-3


@dataclass(frozen=True)
class Subset:
    """Frames of recordings, and how their labels are.

    Attributes:
        recordings: their numbers.
        frame_step: every so many frames count.
        noise: of the labels; None for those of the store.
    """

    recordings: tuple[int, ...]
    frame_step: int = 1
    noise: LabelNoise | None = None


@dataclass(frozen=True, eq=False)
class HandCrops:
    """N hands of one recording and camera.

    Attributes:
        pictures: grey; on disk until they are looked at.
        views: the pinholes that they are of.
        recording, camera: number and name.
        frame, hand: which frame, and whose: 0 left, 1 right.
        joints_m: of both hands in the source camera's frame.
        valid: which of them are labelled.
        world_from_camera: pose of the source camera.
    """

    pictures: UInt8[np.ndarray, "N S S"]
    views: PinholeViews
    recording: int
    camera: str
    frame: Int[np.ndarray, "N"]
    hand: Int[np.ndarray, "N"]
    joints_m: Float[np.ndarray, "N 2 21 3"]
    valid: Bool[np.ndarray, "N 2 21"]
    world_from_camera: Float[np.ndarray, "N 4 4"]


def ego_cameras(store: Store, chosen: Sequence[str] = ()) -> list[str]:
    """The cameras that are asked for, or all that move with respect to the world in the first recording.

    Raises:
        InputError: no such camera, or none that moves.
    """
    pictured = pictured_cameras(store, chosen)
    if chosen:
        return pictured
    moving = [name for name in pictured if _moves(store, name)]
    if not moving:
        raise InputError(
            f"{store.root} has no egocentric camera: {', '.join(pictured)} stand still in its first recording. "
            "SVEgoNet is for cameras on the head; to use one all the same, name it with --cameras"
        )
    return moving


def pictured_cameras(store: Store, chosen: Sequence[str] = ()) -> list[str]:
    """The cameras that are asked for, or all. Raises InputError: no such camera, or no pictures."""
    pictured = [camera.name for camera in store.layout.pictured]
    if not pictured:
        raise InputError(f"{store.root} has no pictures; prepare it with pictures")
    if unknown := [name for name in chosen if name not in pictured]:
        raise InputError(f"{store.root} has no pictures of camera {unknown[0]!r}; it has {', '.join(pictured)}")
    return list(chosen) or pictured


def read_hand_crops(
    store: Store,
    cameras: Sequence[str],
    subset: Subset,
    config: InterNetConfig,
    folder: Path,
    wider: float = 1.0,
    progress: Progress = silent,
) -> list[HandCrops]:
    """The hands of a subset, camera by camera; pictures that are not in the folder yet are cut out.

    A hand has a crop where the store has a box for it, or ten of its joints are in the picture.

    Args:
        store, cameras, subset: what is cut.
        config: how the network wants it.
        folder: for the pictures of several stores and networks; a file for each recording and camera.
        wider: see `cutter`.
        progress: told of every recording.

    Raises:
        InputError: the store cannot be read, or a camera is not fit for the crops.
    """
    how = f"{config.crops} {config.image_px} {config.margin} {wider} {store_digest(store)}"
    place = folder / hashlib.sha256(how.encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for done, number in enumerate(subset.recordings):
        progress("crops", done, len(subset.recordings))
        for camera in cameras:
            path = place / f"{number:06d}-{camera}-{subset.frame_step}.npy"
            found.append(_crops(store, number, camera, subset, config, path, wider))
    progress("crops", len(subset.recordings), len(subset.recordings))
    return found


def numbers_of(store: Store, split: str) -> tuple[int, ...]:
    """The recordings of a split by number. Raises InputError: there are none."""
    return tuple(recording.index for recording in recordings_of(store, split))


def _crops(
    store: Store, number: int, camera: str, subset: Subset, config: InterNetConfig, path: Path, wider: float
) -> HandCrops:
    def of_camera(part: str) -> str:
        return camera_feature(camera, part)

    parts = [of_camera(part) for part in (WORLD_FROM_CAMERA, POSE_KNOWN, KEYPOINTS, BOXES, PICTURED)]
    columns = store.columns(number, ["hand.joints", "hand.valid", *parts])
    world, posed, keypoints, stored, pictured = (columns[name] for name in parts)
    step = np.zeros(len(posed), bool)
    step[:: subset.frame_step] = True
    # Hidden joints count; those behind the camera stand at 0, 0.
    seen = inside(keypoints, store.layout.camera(camera).size) & keypoints.any(-1) & columns["hand.valid"]
    boxes = _boxes(keypoints, seen, stored)
    there = np.asarray(np.isfinite(boxes).all(-1) & (step & posed & pictured)[:, None])
    frame, hand = np.nonzero(there)
    cut = cutter(config, store.recordings[number].cameras[camera], boxes[there].astype(np.float64), wider)
    kept = cut.views.valid
    if len(frame) and not path.exists():
        _write_pictures(path, store, number, camera, frame, cut)
    pictures = read_kept(path, (len(frame), cut.size, cut.size))
    joints, valid = _labels(columns, subset, number)
    own = apply_rigid(invert_rigid(np.where(posed[:, None, None], world, np.eye(4)))[:, None], joints)
    rows = np.flatnonzero(kept)
    return HandCrops(
        pictures if kept.all() else pictures[rows],
        cut.views.of(rows),
        number,
        camera,
        frame[rows],
        hand[rows],
        own[frame[rows]],
        valid[frame[rows]],
        world[frame[rows]].astype(np.float64),
    )


def _labels(columns: Columns, subset: Subset, number: int) -> tuple[np.ndarray, np.ndarray]:
    joints, valid = columns["hand.joints"].astype(np.float64), columns["hand.valid"]
    return (joints, valid) if subset.noise is None else subset.noise.applied(joints, valid, number)


def _boxes(keypoints: np.ndarray, seen: np.ndarray, stored: np.ndarray) -> Float[np.ndarray, "T 2 4"]:
    """Those of the store where it has them, else around the joints in the picture."""
    flat = hand_boxes(keypoints.reshape(-1, 21, 2), seen.reshape(-1, 21))
    given = np.asarray(stored.any(-1))
    return np.where(given[..., None], stored, flat.reshape(*given.shape, 4))


def _write_pictures(
    path: Path, store: Store, number: int, camera: str, frame: Int[np.ndarray, "N"], cut: Cutter
) -> None:
    recording = store.recordings[number]
    video, first = recording.videos[camera]
    if not video.is_file():
        raise InputError(f"{video} is missing; the store is not whole: prepare it again")
    pictures = np.zeros((len(frame), cut.size, cut.size), np.uint8)
    with VideoFile(video) as file:
        needed = np.unique(frame)
        for chunk in np.split(needed, range(CHUNK, len(needed), CHUNK)):
            for index, picture in zip(chunk, read_frames(file, chunk + first)):
                grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
                for row in np.flatnonzero((frame == index) & cut.views.valid):
                    pictures[row] = cut.cut(grey, int(row))
    write_kept(path, pictures)


def _moves(store: Store, camera: str) -> bool:
    if not store.recordings:
        return False
    names = [camera_feature(camera, part) for part in (WORLD_FROM_CAMERA, POSE_KNOWN)]
    columns = store.columns(0, names)
    poses = columns[names[0]][columns[names[1]]]
    return len(poses) > 1 and float(np.abs(poses - poses[0]).max()) > MOVES_M
