"""`Episode`: one recording of a data set with all that is known of it, whatever files it came from or goes to.

Readers of official layouts give episodes, writers and the simulator take or make them; units and axes are ours:
metres, seconds, pixels; world frame; 0 left, 1 right; the 21 joints of `skeleton`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from handloom.errors import HandloomError, RecordError
from handloom.geometry import Camera
from handloom.hands import HandTrack
from handloom.skeleton import JOINT_COUNT

SPLITS = ("train", "val", "test")


class Problem(NamedTuple):
    """A part of a data set that was left out, and why."""

    place: str
    """File and line, or the episode."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class PictureFiles:
    """One picture file per frame, or None where there is none."""

    paths: tuple[Path | None, ...]


@dataclass(frozen=True, eq=False)
class VideoSpan:
    """Frames of a video: `frames[t]` is the index, from 0 in presentation order, of frame t; -1 where none is."""

    path: Path
    frames: Int[np.ndarray, "T"]


@dataclass(frozen=True, eq=False)
class RenderedPictures:
    """Pictures that are made when asked for: `picture(t)` is RGB (H, W, 3) of frame t.

    Writers ask for frame 0 of every stream, then frame 1 of every stream, and so on, each once.
    """

    picture: Callable[[int], UInt8[np.ndarray, "H W 3"]]


Pictures = PictureFiles | VideoSpan | RenderedPictures


@dataclass(frozen=True, eq=False)
class CameraStream:
    """One camera of an episode of T frames.

    Attributes:
        name: the data set's own name of the camera.
        camera: intrinsics, for the pictures as they are stored.
        world_from_camera: pose per frame; a fixed camera repeats its own; all NaN where it is unknown.
        pictures: where the picture of each frame is; None when there are none at all.
        monochrome: pictures have one channel, shown as three equal ones.
        boxes_px: x0, y0, x1, y1 around each hand, NaN where the hand has none in this view.
        visible: the data set's own per-view validity of joints.

    Raises:
        RecordError: a field has the wrong shape, or a pose is not rigid.
    """

    name: str
    camera: Camera
    world_from_camera: Float[np.ndarray, "T 4 4"]
    pictures: Pictures | None = None
    monochrome: bool = False
    boxes_px: Float[np.ndarray, "T 2 4"] | None = None
    visible: Bool[np.ndarray, "T 2 21"] | None = None

    def __post_init__(self) -> None:
        T, place = len(self.world_from_camera), f"camera {self.name!r}"
        _fix(self, place, "world_from_camera", (T, 4, 4), np.float64)
        _fix(self, place, "boxes_px", (T, 2, 4), np.float64)
        _fix(self, place, "visible", (T, 2, JOINT_COUNT), np.bool_)
        _check_rigid(place, "world_from_camera", self.world_from_camera)
        stored = {PictureFiles: "paths", VideoSpan: "frames"}.get(type(self.pictures))
        if stored is not None and (found := len(getattr(self.pictures, stored))) != T:
            raise RecordError(f"{place}: {T} poses but {found} pictures; give one of each per frame")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.world_from_camera)


@dataclass(frozen=True)
class LabelledSegment:
    """A labelled stretch of an episode: frames `start` ... `end` - 1, as indices into the episode.

    `label`, `verb`, `noun` and the ids are None where the data set withholds them; ids are the official ones.
    """

    label: str | None
    verb: str | None
    noun: str | None
    label_id: int | None
    start: int
    end: int
    segment_id: int | None = None
    verb_id: int | None = None
    noun_id: int | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the labels of T frames rest on: how many views each joint was computed from, and their mean reprojection
    error in pixels, NaN where there is none."""

    views: Int[np.ndarray, "T 2 21"]
    reprojection_px: Float[np.ndarray, "T 2 21"]


@dataclass(frozen=True, eq=False)
class Episode:
    """One recording: T frames of two hands in the world frame, seen by some cameras.

    Attributes:
        dataset: "h2o", "fpha", "assemblyhands", "assembly101", or the simulator's rig.
        name: unique in the data set, with "/" between its parts.
        subject: who.
        split: "train", "val", "test", or None where the data set puts the recording into none.
        frame_ids: official frame numbers, strictly increasing, not necessarily without gaps.
        frame_rate: nominal frames per second of the T frames.
        hands: in the world frame.
        streams: the cameras, with unique names.
        segments: labelled stretches, in order of their start; they may overlap.
        object_names: the objects that the data set names, in the order of its ids.
        object_poses: world_from_object, NaN where unknown.
        object_labels: index into `object_names` of the object in use, -1 for none.
        scene: the data set's own name of place, scenario or toy.
        problems: what was left out of this episode.
        evidence: what its labels rest on, where they were made from several views.

    Raises:
        RecordError: fields that do not belong together.
    """

    dataset: str
    name: str
    subject: str
    split: str | None
    frame_ids: Int[np.ndarray, "T"]
    frame_rate: Fraction
    hands: HandTrack
    streams: tuple[CameraStream, ...] = ()
    segments: tuple[LabelledSegment, ...] = ()
    object_names: tuple[str, ...] = ()
    object_poses: Float[np.ndarray, "T objects 4 4"] | None = None
    object_labels: Int[np.ndarray, "T"] | None = None
    scene: str = ""
    problems: tuple[Problem, ...] = ()
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        T, objects, place = len(self.hands), len(self.object_names), f"episode {self.name!r}"
        _fix(self, place, "frame_ids", (T,), np.int64)
        _fix(self, place, "object_poses", (T, objects, 4, 4), np.float64)
        _fix(self, place, "object_labels", (T,), np.int64)
        if self.split not in (*SPLITS, None):
            raise RecordError(f"{place}: split must be one of {', '.join(SPLITS)} or None, found {self.split!r}")
        if self.frame_rate <= 0:
            raise RecordError(f"{place}: the frame rate must be positive, found {self.frame_rate}")
        if self.hands.frame != "world":
            raise RecordError(f"{place}: hands must be in the world frame, found {self.hands.frame!r}")
        stuck = np.flatnonzero(np.diff(self.frame_ids) <= 0)
        if len(stuck):
            first, second = self.frame_ids[stuck[0] : stuck[0] + 2]
            raise RecordError(f"{place}: frame ids must increase, but {second} follows {first}")
        names = [stream.name for stream in self.streams]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise RecordError(f"{place}: two cameras are called {twice!r}")
        for stream in self.streams:
            if len(stream) != T:
                raise RecordError(f"{place}: {T} frames, but {len(stream)} of camera {stream.name!r}")
        for segment in self.segments:
            if not 0 <= segment.start < segment.end <= T:
                raise RecordError(
                    f"{place}: segment {segment.label!r} covers frames {segment.start} ... {segment.end} (end "
                    f"exclusive) of an episode of {T}"
                )
        if self.object_poses is not None:
            _check_rigid(place, "object_poses", self.object_poses)
        if self.evidence is not None and (found := self.evidence.views.shape) != (T, 2, JOINT_COUNT):
            raise RecordError(f"{place}: evidence must have shape {(T, 2, JOINT_COUNT)}, found {found}")
        labels = self.object_labels
        if labels is not None and ((labels < -1) | (labels >= objects)).any():
            raise RecordError(
                f"{place}: object labels must lie in -1 ... {objects - 1}, found {labels.min()} ... {labels.max()}"
            )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.hands)

    @property
    def times_s(self) -> Float[np.ndarray, "T"]:
        """Capture time of every frame."""
        return self.hands.times_s

    def stream(self, name: str) -> CameraStream:
        """The camera of this name.

        Raises:
            RecordError: there is none.
        """
        found = next((stream for stream in self.streams if stream.name == name), None)
        if found is None:
            known = ", ".join(stream.name for stream in self.streams) or "none"
            raise RecordError(f"episode {self.name!r} has no camera {name!r}; it has {known}")
        return found


class EpisodeSource(ABC):
    """The episodes of a data set: iterate over all, or read one by name. It can be sent to worker processes.

    Attributes:
        names: of the episodes, in a fixed order.
        skip_bad: leave out what is bad and go on; otherwise the first fault raises.
        problems: what was left out, up to now, apart from what stands in an episode's own `problems`.
        with_pictures: look for pictures; otherwise streams have none, and none are missed.
        pictures_belong: where pictures are looked for, to be told to a user who has put them elsewhere.
        common_names: what one camera is called in a store where its own name differs between recordings.
    """

    names: tuple[str, ...]
    with_pictures = True
    pictures_belong = ""
    common_names: Mapping[str, str] = MappingProxyType({})

    def __init__(self, skip_bad: bool) -> None:
        self.skip_bad = skip_bad
        self.problems: list[Problem] = []

    @abstractmethod
    def read(self, name: str) -> Episode:
        """The episode of this name.

        Raises:
            InputError, CalibrationError: there is none, or a file of it cannot be used; names file and line.
        """

    def cameras_of(self, name: str) -> tuple[str, ...] | None:
        """Names of the cameras of an episode without reading it; None where only reading tells.

        Raises:
            InputError, CalibrationError: as `read`.
        """
        return None

    def made_of(self, name: str) -> str:
        """A digest that changes when what an episode is read from does; always the same where nothing can change."""
        return ""

    def __iter__(self) -> Iterator[Episode]:
        """All episodes, one at a time; with `skip_bad`, those that cannot be read go to `problems`."""
        for name in self.names:
            try:
                episode = self.read(name)
            except HandloomError as failure:
                if not self.skip_bad:
                    raise
                self.problems.append(Problem(name, str(failure)))
                continue
            yield episode

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.names)


def _fix(record: object, place: str, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """Bring an array field into its type, check its shape, and lock it."""
    value = getattr(record, name)
    if value is None:
        return
    array = np.array(value, dtype=dtype)
    if array.shape != shape:
        raise RecordError(f"{place}: {name} must have shape {shape}, found {array.shape}")
    if shape[-2:] == (4, 4):
        array[np.isnan(array[..., :3, :]).all((-2, -1))] = np.nan  # the inverse of an unknown pose has a last row
    array.setflags(write=False)
    object.__setattr__(record, name, array)


def is_rigid(poses: Float[np.ndarray, "*batch 4 4"]) -> Bool[np.ndarray, "*batch"]:
    """Which transforms are finite and a rotation and a translation, to within 1e-3."""
    rotation = np.where(np.isfinite(poses).all((-2, -1), keepdims=True), poses, 0.0)[..., :3, :3]
    error = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max((-2, -1))
    return np.asarray((error < 1e-3) & (np.linalg.det(rotation) > 0) & (poses[..., 3, :] == (0, 0, 0, 1)).all(-1))


def _check_rigid(place: str, name: str, poses: Float[np.ndarray, "*batch 4 4"]) -> None:
    bad = ~is_rigid(poses) & ~np.isnan(poses).all((-2, -1))
    if bad.any():
        raise RecordError(
            f"{place}: {name}{np.argwhere(bad)[0].tolist()} is not a rigid transform (rotation and translation, or all "
            "NaN where it is unknown)"
        )
