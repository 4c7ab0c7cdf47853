"""What all recordings of one store have in common, and the features that follow from it."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from handloom.errors import InputError
from handloom.formats.episode import Episode
from handloom.skeleton import HANDS, JOINT_COUNT

Size = tuple[int, int]

VIDEO = "observation.images."
"""Prefix of the video features. Nothing else may be called observation or action: LeRobot's policies take such
features for their state and their command."""

VISIBLE, KEYPOINTS, BOXES = "visible", "keypoints", "boxes"
WORLD_FROM_CAMERA, POSE_KNOWN, PICTURED = "world_from_camera", "pose_known", "pictured"

_HAND_AXES = {"hand": list(HANDS), "joint": JOINT_COUNT}
_BOX_AXES = {"hand": list(HANDS), "side": ["x0", "y0", "x1", "y1"]}
_DEFAULTS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
_LABELS = ("label.action", "label.verb", "label.noun")


@dataclass(frozen=True)
class StoredCamera:
    """One camera of every recording: its name, and whether there are pictures and whether they are grey."""

    name: str
    monochrome: bool
    pictures: bool


@dataclass(frozen=True)
class StoreLayout:
    """Name of the data set, constant integer rate, size of all pictures, cameras, and objects."""

    dataset: str
    fps: int
    size: Size
    cameras: tuple[StoredCamera, ...]
    object_names: tuple[str, ...]

    @property
    def video_keys(self) -> list[str]:
        """Names of the video features."""
        return [VIDEO + camera.name for camera in self.cameras if camera.pictures]

    def features(self) -> dict[str, dict[str, Any]]:
        """The `features` of info.json, without what the video files themselves say."""
        joints = [2, JOINT_COUNT]
        result = {name: _feature(dtype, [1]) for name, dtype in _DEFAULTS.items()}
        result["task_index"] = _feature("int64", [1])
        result["time_us"] = _feature("int64", [1], unit="us", meaning="true capture time")
        result["frame_id"] = _feature("int64", [1], meaning="frame number of the official release")
        axes = {**_HAND_AXES, "axis": ["x", "y", "z"]}
        result["hand.joints"] = _feature("float32", [*joints, 3], axes, unit="m", frame="world", validity="hand.valid")
        result["hand.valid"] = _feature("bool", joints, _HAND_AXES)
        result["hand.confidence"] = _feature("float32", joints, _HAND_AXES)
        for name in _LABELS:
            result[name] = _feature("int64", [1], meaning=f"row of {name[6:]}s in meta/handloom.json, -1 for none")
        if count := len(self.object_names):
            objects = list(self.object_names)
            notes = {"unit": "m", "frame": "world from object", "validity": "object.known"}
            result["object.label"] = _feature("int64", [1], meaning="object in use, -1 for none")
            result["object.poses"] = _feature("float32", [count, 4, 4], {"object": objects}, **notes)
            result["object.known"] = _feature("bool", [count], objects)
        for camera in self.cameras:
            result |= self._camera_features(camera)
        return result

    def _camera_features(self, camera: StoredCamera) -> dict[str, dict[str, Any]]:
        def name(part: str) -> str:
            return camera_feature(camera.name, part)

        width, height = self.size
        joints = [2, JOINT_COUNT]
        pixels = {"unit": "px", "validity": name(VISIBLE)}
        result = {
            name(WORLD_FROM_CAMERA): _feature("float32", [4, 4], unit="m", validity=name(POSE_KNOWN)),
            name(POSE_KNOWN): _feature("bool", [1]),
            name(KEYPOINTS): _feature("float32", [*joints, 2], {**_HAND_AXES, "axis": ["x", "y"]}, **pixels),
            name(VISIBLE): _feature("bool", joints, _HAND_AXES),
            name(BOXES): _feature("float32", [2, 4], _BOX_AXES, unit="px"),
        }
        if camera.pictures:
            result[name(PICTURED)] = _feature("bool", [1], meaning="False: no picture, black in the video")
            result[VIDEO + camera.name] = _feature("video", [height, width, 3], ["height", "width", "channels"])
        return result

    def as_json(self) -> dict[str, Any]:
        """Plain values, the inverse of `layout_from_json`."""
        return asdict(self)


def camera_feature(camera: str, part: str) -> str:
    """Name of a per-frame feature of a camera."""
    return f"camera.{camera}.{part}"


def layout_from_json(values: dict[str, Any], place: str) -> StoreLayout:
    """The layout that `StoreLayout.as_json` gave. Raises InputError: fields are missing or of another kind."""
    try:
        width, height = values["size"]
        return StoreLayout(
            dataset=str(values["dataset"]),
            fps=int(values["fps"]),
            size=(int(width), int(height)),
            cameras=tuple(StoredCamera(**camera) for camera in values["cameras"]),
            object_names=tuple(values["object_names"]),
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise InputError(f"{place}: the layout of the store is damaged ({failure!r}); prepare it again") from None


def layout_of(episode: Episode, size: Size | None, cameras: tuple[str, ...]) -> StoreLayout:
    """The layout that this recording asks for.

    Args:
        episode: the first of the store.
        size: width and height of all pictures; None keeps that of the recording's pictures.
        cameras: names; empty takes all.

    Raises:
        InputError: a camera that is not there or cannot be stored under its name, odd or impossible size.
    """
    known = {stream.name: stream for stream in episode.streams}
    if absent := [name for name in cameras if name not in known]:
        raise InputError(f"{episode.name} has no camera {', '.join(absent)}; it has {', '.join(known) or 'none'}")
    chosen = [known[name] for name in cameras or known]
    for stream in chosen:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", stream.name) or "image" in stream.name:
            raise InputError(
                f'{episode.name}: a camera cannot be stored under the name {stream.name!r}; use letters, digits, "_" '
                'and "-", and not the word "image"'
            )
    sizes = {(stream.camera.width, stream.camera.height) for stream in chosen}
    if size is None and len(sizes) > 1:
        raise InputError(f"{episode.name}: cameras of several sizes {sorted(sizes)}; say which --size to bring them to")
    width, height = size or next(iter(sizes), (0, 0))
    if chosen and (width % 2 or height % 2 or not 16 <= width <= 8192 or not 16 <= height <= 8192):
        raise InputError(f"stored pictures must have even sides of 16 ... 8192 pixels, found {width} x {height}")
    fps = round(episode.frame_rate)
    if fps < 1:
        raise InputError(f"{episode.name}: a rate of {float(episode.frame_rate):g} frames/s; at least 1 is needed")
    return StoreLayout(
        dataset=episode.dataset,
        fps=fps,
        size=(width, height),
        cameras=tuple(StoredCamera(s.name, s.monochrome, s.pictures is not None) for s in chosen),
        object_names=episode.object_names,
    )


def check_fits(episode: Episode, layout: StoreLayout) -> None:
    """Make sure that a recording can stand in a store of this layout. Raises InputError: what differs."""
    if not len(episode):
        raise InputError(f"{episode.name} has no frames")
    for what, found, expected in (
        ("data set", episode.dataset, layout.dataset),
        ("rate", round(episode.frame_rate), layout.fps),
        ("objects", episode.object_names, layout.object_names),
    ):
        if found != expected:
            raise InputError(f"{episode.name}: {what} {found}, but the store began with {expected}; use another store")
    streams = {stream.name: stream for stream in episode.streams}
    for camera in layout.cameras:
        stream = streams.get(camera.name)
        if stream is None:
            raise InputError(
                f"{episode.name} has no camera {camera.name!r} (it has {', '.join(streams) or 'none'}); all "
                "recordings of a store have the same cameras: choose with --cameras"
            )
        if (stream.pictures is not None) != camera.pictures:
            state = "no pictures" if camera.pictures else "pictures"
            raise InputError(f"{episode.name}: camera {camera.name!r} has {state}, unlike the first recording's")


def _feature(dtype: str, shape: list[int], names: Any = None, **notes: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": names, **notes}
