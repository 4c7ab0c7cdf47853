"""What all recordings of one store have in common, and the features that follow from it."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from handloom.errors import InputError
from handloom.formats.calibration_values import same_shape
from handloom.formats.episode import CameraStream, Episode
from handloom.geometry import Camera
from handloom.skeleton import HANDS, JOINT_COUNT

Size = tuple[int, int]

VIDEO = "observation.images."
"""Prefix of the video features. Nothing else may be called observation or action: LeRobot's policies take such
features for their state and their command."""

VISIBLE, KEYPOINTS, BOXES = "visible", "keypoints", "boxes"
WORLD_FROM_CAMERA, POSE_KNOWN, PICTURED = "world_from_camera", "pose_known", "pictured"

VIEWS, REPROJECTION = "hand.views", "hand.reprojection"

_HAND_AXES = {"hand": list(HANDS), "joint": JOINT_COUNT}
_BOX_AXES = {"hand": list(HANDS), "side": ["x0", "y0", "x1", "y1"]}
_DEFAULTS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
_LABELS = ("label.action", "label.verb", "label.noun")


@dataclass(frozen=True)
class StoredCamera:
    """One camera of every recording: its name, whether its pictures are grey, and their size."""

    name: str
    monochrome: bool
    width: int
    height: int

    @property
    def size(self) -> Size:
        """Width and height of its pictures."""
        return self.width, self.height


@dataclass(frozen=True)
class StoreLayout:
    """Name of the data set, constant integer rate, cameras, objects, whether there are pictures at all, and whether it
    is known what the labels rest on."""

    dataset: str
    fps: int
    cameras: tuple[StoredCamera, ...]
    object_names: tuple[str, ...]
    pictures: bool
    evidence: bool = False

    @property
    def pictured(self) -> list[StoredCamera]:
        """The cameras that have pictures: all or none."""
        return list(self.cameras) if self.pictures else []

    @property
    def video_keys(self) -> list[str]:
        """Names of the video features."""
        return [VIDEO + camera.name for camera in self.pictured]

    @property
    def sizes(self) -> str:
        """Sizes of the pictures for people."""
        names: dict[Size, list[str]] = {}
        for camera in self.pictured:
            names.setdefault(camera.size, []).append(camera.name)
        several = len(names) > 1
        parts = (f"{w} x {h} px" + (f" ({', '.join(who)})" if several else "") for (w, h), who in names.items())
        return "; ".join(parts) or "none"

    def camera(self, name: str) -> StoredCamera:
        """The camera of this name. Raises InputError: there is none."""
        found = next((camera for camera in self.cameras if camera.name == name), None)
        if found is None:
            known = ", ".join(camera.name for camera in self.cameras) or "none"
            raise InputError(f"the store has no camera {name!r}; it has {known}")
        return found

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
        if self.evidence:
            meaning = "number of views that the joint was computed from"
            result[VIEWS] = _feature("int64", joints, _HAND_AXES, meaning=meaning)
            result[REPROJECTION] = _feature("float32", joints, _HAND_AXES, unit="px", validity=VIEWS)
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

        joints = [2, JOINT_COUNT]
        pixels = {"unit": "px", "validity": name(VISIBLE)}
        result = {
            name(WORLD_FROM_CAMERA): _feature("float32", [4, 4], unit="m", validity=name(POSE_KNOWN)),
            name(POSE_KNOWN): _feature("bool", [1]),
            name(KEYPOINTS): _feature("float32", [*joints, 2], {**_HAND_AXES, "axis": ["x", "y"]}, **pixels),
            name(VISIBLE): _feature("bool", joints, _HAND_AXES),
            name(BOXES): _feature("float32", [2, 4], _BOX_AXES, unit="px"),
        }
        if self.pictures:
            shape = [camera.height, camera.width, 3]
            result[name(PICTURED)] = _feature("bool", [1], meaning="False: no picture, black in the video")
            result[VIDEO + camera.name] = _feature("video", shape, ["height", "width", "channels"])
        return result

    def as_json(self) -> dict[str, Any]:
        """Plain values, the inverse of `layout_from_json`."""
        values = asdict(self)
        return values if self.evidence else {name: value for name, value in values.items() if name != "evidence"}


def camera_feature(camera: str, part: str) -> str:
    """Name of a per-frame feature of a camera."""
    return f"camera.{camera}.{part}"


def layout_from_json(values: dict[str, Any], place: str) -> StoreLayout:
    """The layout that `StoreLayout.as_json` gave. Raises InputError: fields are missing or of another kind."""
    try:
        return StoreLayout(
            dataset=str(values["dataset"]),
            fps=int(values["fps"]),
            cameras=tuple(StoredCamera(**camera) for camera in values["cameras"]),
            object_names=tuple(values["object_names"]),
            pictures=bool(values["pictures"]),
            evidence=bool(values.get("evidence", False)),
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise InputError(f"{place}: the layout of the store is damaged ({failure!r}); prepare it again") from None


def stored_size(camera: Camera, size: Size | None) -> Size:
    """Size of a camera's pictures in the store: `size` where they have its shape, else its width and their own shape.

    None keeps the camera's own size.
    """
    if size is None:
        return camera.width, camera.height
    own_height = size[0] * camera.height / camera.width
    return size if same_shape(camera, size) else (size[0], max(2, 2 * round(own_height / 2)))


def layout_of(episode: Episode, size: Size | None, cameras: Sequence[str], pictures: bool) -> StoreLayout:
    """The layout that this recording asks for.

    Args:
        episode: the first of the store.
        size: of pictures that have its shape, see `stored_size`.
        cameras: those to store.
        pictures: whether their pictures are stored, too.

    Raises:
        InputError: a camera that is not there or cannot be stored under its name, odd or impossible size.
    """
    chosen = []
    for name in cameras:
        stream = _stream(episode, name)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or "image" in name:
            raise InputError(
                f'{episode.name}: a camera cannot be stored under the name {name!r}; use letters, digits, "_" '
                'and "-", and not the word "image"'
            )
        width, height = stored_size(stream.camera, size)
        if width % 2 or height % 2 or not 16 <= width <= 8192 or not 16 <= height <= 8192:
            raise InputError(
                f"stored pictures must have even sides of 16 ... 8192 pixels, found {width} x {height} of camera "
                f"{name!r}; give another --size"
            )
        chosen.append(StoredCamera(name, stream.monochrome, width, height))
    fps = round(episode.frame_rate)
    if fps < 1:
        raise InputError(f"{episode.name}: a rate of {float(episode.frame_rate):g} frames/s; at least 1 is needed")
    return StoreLayout(
        episode.dataset, fps, tuple(chosen), episode.object_names, pictures, episode.evidence is not None
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
    for stored in layout.cameras:
        camera = _stream(episode, stored.name).camera
        if not same_shape(camera, stored.size):
            raise InputError(
                f"{episode.name}: camera {stored.name!r} has {camera.width} x {camera.height} pixels, another shape "
                f"than the {stored.width} x {stored.height} with which the store began; use another store"
            )


def _stream(episode: Episode, name: str) -> CameraStream:
    stream = next((stream for stream in episode.streams if stream.name == name), None)
    if stream is None:
        known = ", ".join(stream.name for stream in episode.streams) or "none"
        raise InputError(
            f"{episode.name} has no camera {name!r} (it has {known}); all recordings of a store have the same "
            "cameras: finish the download, or choose those that all have with --cameras"
        )
    return stream


def _feature(dtype: str, shape: list[int], names: Any = None, **notes: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": names, **notes}
