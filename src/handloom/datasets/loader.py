"""Clips out of a store: decoded pictures and the numbers that go with them, ready to be stacked to batches."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from handloom.datasets.clips import ClipPlace
from handloom.datasets.columns import Columns
from handloom.datasets.labels import segment_labels
from handloom.datasets.layout import KEYPOINTS, PICTURED, VISIBLE, WORLD_FROM_CAMERA, camera_feature
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.geometry import Camera, apply_rigid, invert_rigid
from handloom.video.file import VideoFile

OPEN_VIDEOS, OPEN_TABLES = 64, 16
"""So many recordings stay at hand: a file is looked through once, not for every clip."""


class Clip(NamedTuple):
    """T frames of one camera.

    Attributes:
        pictures: RGB.
        joints_m: in the camera frame; 0 where `joints_valid` is False.
        joints_valid: joints that exist, in frames whose camera pose is known.
        keypoints_px: image positions; 0 behind the camera.
        visible: joints to be seen in this view.
        valid: False for padding.
        pictured: False where there is no picture (it is black).
        action, verb, noun: rows of the store's names, -1 for none; of a clip of a segment, all those of the segment.
        object: likewise, of every frame.
        frames: index in the recording.
        camera: intrinsics.
        recording: number of the recording.
    """

    pictures: UInt8[np.ndarray, "T H W 3"]
    joints_m: Float[np.ndarray, "T 2 21 3"]
    joints_valid: Bool[np.ndarray, "T 2 21"]
    keypoints_px: Float[np.ndarray, "T 2 21 2"]
    visible: Bool[np.ndarray, "T 2 21"]
    valid: Bool[np.ndarray, "T"]
    pictured: Bool[np.ndarray, "T"]
    action: Int[np.ndarray, "T"]
    verb: Int[np.ndarray, "T"]
    noun: Int[np.ndarray, "T"]
    object: Int[np.ndarray, "T"]
    frames: Int[np.ndarray, "T"]
    camera: Camera
    recording: int


class Batch(NamedTuple):
    """Clips of one length, stacked: `pictures` (B, T, H, W, 3) and so on; see `Clip`."""

    pictures: UInt8[np.ndarray, "B T H W 3"]
    joints_m: Float[np.ndarray, "B T 2 21 3"]
    joints_valid: Bool[np.ndarray, "B T 2 21"]
    keypoints_px: Float[np.ndarray, "B T 2 21 2"]
    visible: Bool[np.ndarray, "B T 2 21"]
    valid: Bool[np.ndarray, "B T"]
    pictured: Bool[np.ndarray, "B T"]
    action: Int[np.ndarray, "B T"]
    verb: Int[np.ndarray, "B T"]
    noun: Int[np.ndarray, "B T"]
    object: Int[np.ndarray, "B T"]
    frames: Int[np.ndarray, "B T"]
    cameras: tuple[Camera, ...]
    recordings: tuple[int, ...]


class ClipDataset:
    """Clips of one camera by number, in any order; neighbours in order are cheapest. Can be sent to workers.

    Args:
        root: folder of the store.
        camera: whose pictures.
        places: the clips.
        decode: False leaves `pictures` without pixels, for those who need the numbers alone.

    Raises:
        InputError: no such store or camera.
    """

    def __init__(self, root: Path | str, camera: str, places: Sequence[ClipPlace], decode: bool = True) -> None:
        self.root, self.camera, self.places, self.decode = Path(root), camera, tuple(places), decode
        self._open()

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.places)

    def __getitem__(self, number: int) -> Clip:
        """A clip. Raises InputError: a file is missing or damaged; names it and the frame."""
        recording, frames, valid, segment = self.places[number]
        numbers = {name: column[frames] for name, column in self._numbers(recording).items()}
        stored = self.store.recordings[recording]
        if segment is not None:
            own = segment_labels(stored.segments[segment], self.store.words)
            numbers |= {kind: np.full(len(frames), row) for kind, row in own.items()}
        path, first = stored.videos[self.camera]
        return Clip(
            pictures=read_frames(self._video(path), frames + first) if self.decode else _no_pictures(len(frames)),
            valid=valid,
            frames=frames,
            camera=stored.cameras[self.camera],
            recording=recording,
            **numbers,
        )

    def __getstate__(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("root", "camera", "places", "decode")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self.store = Store(self.root)
        pictured = [camera.name for camera in self.store.layout.pictured]
        if self.camera not in pictured:
            raise InputError(f"{self.root} has no pictures of camera {self.camera!r}; it has {', '.join(pictured)}")
        self._video = lru_cache(OPEN_VIDEOS)(_open_video)
        self._numbers = lru_cache(OPEN_TABLES)(self._read_numbers)

    def _read_numbers(self, recording: int) -> Columns:
        def of_camera(part: str) -> str:
            return camera_feature(self.camera, part)

        objects = ["object.label"] if self.store.layout.object_names else []
        parts = [WORLD_FROM_CAMERA, "pose_known", KEYPOINTS, VISIBLE, PICTURED]
        labels = ["label.action", "label.verb", "label.noun", *objects]
        names = ["hand.joints", "hand.valid", *labels, *map(of_camera, parts)]
        columns = self.store.columns(recording, names)
        known = columns[of_camera("pose_known")]
        valid = columns["hand.valid"] & known[:, None, None]
        poses = np.where(known[:, None, None], columns[of_camera(WORLD_FROM_CAMERA)], np.eye(4, dtype=np.float32))
        joints = apply_rigid(invert_rigid(poses)[:, None], columns["hand.joints"])
        return {
            "joints_m": np.where(valid[..., None], joints, 0).astype(np.float32),
            "joints_valid": valid,
            "keypoints_px": columns[of_camera(KEYPOINTS)],
            "visible": columns[of_camera(VISIBLE)],
            "pictured": columns[of_camera(PICTURED)],
            "action": columns["label.action"],
            "verb": columns["label.verb"],
            "noun": columns["label.noun"],
            "object": columns["object.label"] if objects else np.full(len(known), -1),
        }


def read_frames(video: VideoFile, frames: Int[np.ndarray, "T"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Pictures of a video by index, decoded in one pass; an index may come more than once.

    Raises:
        InputError: a frame that the video does not have or that does not decode.
    """
    wanted, place = np.unique(frames, return_inverse=True)
    info = video.info
    pictures = np.empty((len(frames), info.height, info.width, 3), np.uint8)
    row = {int(index): np.flatnonzero(place == number) for number, index in enumerate(wanted)}
    first = int(wanted[0]) if len(wanted) else 0
    for frame in video.select(row.__contains__, limit=int(wanted[-1]) + 1 if len(wanted) else 0, start=first):
        pictures[row.pop(frame.index)] = frame.image
    if row:
        lost = min(row)
        reasons = {problem.index: problem.reason for problem in video.problems}
        reason = reasons.get(lost, f"the video has {info.frame_count} frames")
        raise InputError(f"{info.path}, frame {lost}: {reason}; prepare the store again")
    return pictures


def _no_pictures(count: int) -> UInt8[np.ndarray, "T 0 0 3"]:
    return np.empty((count, 0, 0, 3), np.uint8)


def stack(clips: Sequence[Clip]) -> Batch:
    """A batch of clips. Raises InputError: none, or clips of several lengths or sizes."""
    shapes = {clip.pictures.shape for clip in clips}
    if len(shapes) != 1:
        raise InputError(f"a batch needs clips of one length and size, found {sorted(shapes)}")
    arrays = {name: np.stack([getattr(clip, name) for clip in clips]) for name in Clip._fields[:-2]}
    cameras, recordings = tuple(clip.camera for clip in clips), tuple(clip.recording for clip in clips)
    return Batch(**arrays, cameras=cameras, recordings=recordings)


def _open_video(path: Path) -> VideoFile:
    if not path.is_file():
        raise InputError(f"{path} is missing; the store is not whole: prepare it again")
    return VideoFile(path)
