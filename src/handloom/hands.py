"""`HandTrack`: the one record that every part of Handloom passes on."""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import RecordError
from handloom.geometry import Camera
from handloom.skeleton import JOINT_COUNT


class CameraSource(StrEnum):
    """Where the camera of a record comes from; absolute depth is only as good as it."""

    CALIBRATED = "calibrated"
    FIELD_OF_VIEW = "field of view given"
    GUESSED = "guessed"
    UNKNOWN = "unknown"


class ScaleSource(StrEnum):
    """What fixes the metric scale of a record."""

    HAND_SIZE = "hand size given"
    TRACKER = "tracker's own scale"
    MEASURED = "measured by several cameras or sensors"


@dataclass(frozen=True)
class ActionSegment:
    """One labelled stretch of time, in seconds, end exclusive; `score` is how sure the label is, 0 ... 1.

    Raises:
        RecordError: no label, times that are not finite or do not increase, a score outside 0 ... 1.
    """

    label: str
    start_s: float
    end_s: float
    score: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.label, str) or not self.label.strip():
            raise RecordError(f"an action segment needs a label, found {self.label!r}")
        for name in ("start_s", "end_s", "score"):
            value = getattr(self, name)
            if not _is_finite(value):
                raise RecordError(f"action segment {self.label!r}: {name} must be a finite number, found {value!r}")
            _set(self, **{name: float(value)})
        if not self.start_s < self.end_s:
            raise RecordError(
                f"action segment {self.label!r} must end after it starts, found {self.start_s:g} ... {self.end_s:g} s"
            )
        if not 0 <= self.score <= 1:
            raise RecordError(f"action segment {self.label!r}: score must lie in 0 ... 1, found {self.score:g}")


@dataclass(frozen=True, eq=False)
class HandTrack:
    """Both hands over T frames. Axis 1 is the hand: 0 left, 1 right; 21 joints in the order of `skeleton`.

    A joint that was not seen has `valid` False, NaN coordinates and confidence 0; never a zero pose.
    Numbers stored under invalid joints are wiped on construction, so none can leak out.

    Attributes:
        times_s: presentation time of every frame, strictly increasing.
        joints_m: metres, in `frame`: camera (x right, y down, z forward) or world.
        valid: which joints exist.
        confidence: 0 ... 1, the estimator's own measure.
        keypoints_px: image position, pixel centres at integers; NaN where there is no image.
        camera: the camera model, or None for a world-frame record without images.
        frame: "camera" or "world".
        world_from_camera: camera pose per frame where it is known.
        object_names, object_probabilities: which object is in hand: one distribution per frame, NaN in frames
            without an estimate; both or neither.
        actions: action segments in order of their start. They may overlap (two hands can do two things); the
            current one is then the one that began last, as in the labels of the store.
        camera_source, scale_source: how far absolute numbers can be trusted.

    Raises:
        RecordError: a field has the wrong shape, a valid joint is not finite, times do not increase, ...
    """

    times_s: Float[np.ndarray, "T"]
    joints_m: Float[np.ndarray, "T 2 21 3"]
    valid: Bool[np.ndarray, "T 2 21"]
    confidence: Float[np.ndarray, "T 2 21"]
    keypoints_px: Float[np.ndarray, "T 2 21 2"]
    camera: Camera | None = None
    frame: str = "camera"
    world_from_camera: Float[np.ndarray, "T 4 4"] | None = None
    object_names: tuple[str, ...] = ()
    object_probabilities: Float[np.ndarray, "T objects"] | None = None
    actions: tuple[ActionSegment, ...] = field(default=())
    camera_source: CameraSource = CameraSource.UNKNOWN
    scale_source: ScaleSource = ScaleSource.TRACKER

    def __post_init__(self) -> None:
        T = len(np.asarray(self.times_s))
        hand_shape = (T, 2, JOINT_COUNT)
        times = _array("times_s", self.times_s, (T,), np.float64)
        valid = _array("valid", self.valid, hand_shape, np.bool_)
        joints = _array("joints_m", self.joints_m, (*hand_shape, 3), np.float32)
        keypoints = _array("keypoints_px", self.keypoints_px, (*hand_shape, 2), np.float32)
        confidence = _array("confidence", self.confidence, hand_shape, np.float32)

        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise RecordError("times_s must be finite and strictly increasing")
        bad = valid & ~np.isfinite(joints).all(-1)
        if bad.any():
            frame, hand, joint = np.argwhere(bad)[0]
            raise RecordError(
                f"joints_m is not finite at frame {frame}, hand {hand}, joint {joint}, which is marked valid "
                f"({int(bad.sum())} such joints); mark missing joints with valid=False"
            )
        seen = confidence[valid]
        if not ((seen >= 0) & (seen <= 1)).all():
            raise RecordError("confidence of valid joints must lie in 0 ... 1")
        for name, kind in (("camera_source", CameraSource), ("scale_source", ScaleSource)):
            if getattr(self, name) not in set(kind):
                raise RecordError(f"{name} must be one of {', '.join(kind)}, found {getattr(self, name)!r}")
            _set(self, **{name: kind(getattr(self, name))})
        if self.frame not in ("camera", "world"):
            raise RecordError(f'frame must be "camera" or "world", found {self.frame!r}')

        joints[~valid] = np.nan
        keypoints[~valid] = np.nan
        confidence[~valid] = 0
        _set(self, times_s=times, joints_m=joints, valid=valid, confidence=confidence, keypoints_px=keypoints)
        if self.world_from_camera is not None:
            _set(
                self,
                world_from_camera=_rigid(_array("world_from_camera", self.world_from_camera, (T, 4, 4), np.float64)),
            )
        _set(self, object_names=tuple(self.object_names), actions=tuple(self.actions))
        _check_names(self.object_names)
        if bool(self.object_names) != (self.object_probabilities is not None):
            raise RecordError("give object_names and object_probabilities together, or neither")
        if self.object_probabilities is not None:
            shape = (T, len(self.object_names))
            probabilities = _array("object_probabilities", self.object_probabilities, shape, np.float32)
            _set(self, object_probabilities=_distributions(probabilities))
        _check_order(self.actions)
        for name in _ARRAYS:
            array = getattr(self, name)
            if array is not None:
                array.setflags(write=False)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.times_s)

    def __repr__(self) -> str:
        left, right = self.present.sum(0)
        return (
            f"HandTrack({len(self)} frames, left hand in {left}, right hand in {right}, {self.frame} space, "
            f"camera {self.camera_source}, scale: {self.scale_source})"
        )

    @property
    def present(self) -> Bool[np.ndarray, "T 2"]:
        """Whether any joint of the hand exists in the frame."""
        return np.asarray(self.valid.any(-1))

    @property
    def any_hand(self) -> Bool[np.ndarray, "T"]:
        """Whether the frame shows a hand at all."""
        return np.asarray(self.valid.any((1, 2)))

    @property
    def frame_rate(self) -> float:
        """Median frames per second; NaN for fewer than two frames."""
        return float(1 / np.median(np.diff(self.times_s))) if len(self) > 1 else float("nan")

    @property
    def object_labels(self) -> Int[np.ndarray, "T"]:
        """Row of `object_names` of the likeliest object in each frame; -1 without an estimate."""
        labels = np.full(len(self), -1)
        if self.object_probabilities is not None:
            known = np.isfinite(self.object_probabilities).all(-1)
            labels[known] = self.object_probabilities[known].argmax(-1)
        return labels

    @property
    def action_labels(self) -> Int[np.ndarray, "T"]:
        """Row of `actions` of the segment that each frame lies in, the one that began last; -1 outside of all."""
        labels = np.full(len(self), -1)
        for row, action in enumerate(self.actions):
            first, end = np.searchsorted(self.times_s, [action.start_s, action.end_s])
            labels[first:end] = row
        return labels

    def __getitem__(self, frames: slice) -> "HandTrack":
        """The record of a range of frames.

        Action segments are cut to the time of the range, which lasts from its first frame to the frame that would
        come next; where the range begins or ends with the record, segments keep that end.
        """
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return replace(
            self,
            actions=self._actions_within(frames),
            **{name: array[frames] for name, array in arrays.items() if array is not None},
        )

    def _actions_within(self, frames: slice) -> tuple[ActionSegment, ...]:
        chosen = range(len(self))[frames]
        if not chosen:
            return ()
        begin = -math.inf if chosen[0] == 0 else self.times_s[chosen[0]]
        after = chosen[-1] + chosen.step
        end = math.inf if after >= len(self) else self.times_s[after]
        cut = ((action, max(action.start_s, begin), min(action.end_s, end)) for action in self.actions)
        return tuple(replace(action, start_s=first, end_s=last) for action, first, last in cut if first < last)


SUM_TOLERANCE = 1e-3
"""How far a frame's object probabilities may be from a sum of 1: half precision is enough."""

_ARRAYS = (
    "times_s",
    "joints_m",
    "valid",
    "confidence",
    "keypoints_px",
    "world_from_camera",
    "object_probabilities",
)


def _array(name: str, value: object, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    array = np.array(value, dtype=dtype)
    if array.shape != shape:
        raise RecordError(f"{name} must have shape {shape}, found {array.shape}")
    return array


def _rigid(transforms: np.ndarray) -> np.ndarray:
    rotation = transforms[:, :3, :3]
    known = np.isfinite(transforms).all((1, 2))
    error = np.abs(rotation[known] @ rotation[known].transpose(0, 2, 1) - np.eye(3))
    if error.size and (error.max() > 1e-3 or (np.linalg.det(rotation[known]) < 0).any()):
        raise RecordError("world_from_camera must hold rigid 4x4 transforms (orthonormal, right-handed)")
    return transforms


def _check_names(names: tuple[object, ...]) -> None:
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise RecordError(f"object_names must be texts that are not empty, found {names!r}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecordError(f"object_names must be unique, but {twice!r} comes twice")


def _distributions(probabilities: np.ndarray) -> np.ndarray:
    known = ~np.isnan(probabilities).all(-1)
    rows = probabilities[known]
    bad = ~((rows >= 0) & (rows <= 1)).all(-1) | (np.abs(rows.sum(-1, dtype=np.float64) - 1) > SUM_TOLERANCE)
    if bad.any():
        frame = int(np.flatnonzero(known)[bad][0])
        raise RecordError(
            f"object_probabilities of frame {frame} must lie in 0 ... 1 and sum to 1, found "
            f"{probabilities[frame].tolist()} ({int(bad.sum())} such frames); a frame without an estimate is all NaN"
        )
    return probabilities


def _check_order(actions: tuple[ActionSegment, ...]) -> None:
    for before, after in pairwise(actions):
        if after.start_s < before.start_s:
            raise RecordError(
                f"actions must be in order of their start, but {after.label!r} at {after.start_s:g} s follows "
                f"{before.label!r} at {before.start_s:g} s"
            )


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _set(record: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(record, name, value)
