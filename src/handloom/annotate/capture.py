"""A capture: what several cameras saw of one scene, each on its own clock, with lens and pose of every camera."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from handloom.annotate.options import AnnotateOptions
from handloom.datasets.store import Store
from handloom.datasets.store_write import INFO
from handloom.errors import InputError
from handloom.formats.assemblyhands import read_assemblyhands
from handloom.formats.dataset_files import fingerprint
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, PictureFiles, Pictures, VideoSpan
from handloom.formats.pictures import fitted
from handloom.formats.rig_calibration import is_calibration, read_rig_calibration
from handloom.formats.rig_values import RigCalibration, RigView
from handloom.geometry import Camera, Pinhole, invert_rigid
from handloom.video import open_source
from handloom.video.images import IMAGE_SUFFIXES, natural_order

_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg")
_PICTURES_IN = ("", "videos", "media", "images")
_CALIBRATION_IN = ("", "calibration", "camera_parameters", "calib", "cameras")


@dataclass(frozen=True, eq=False)
class CaptureCamera:
    """One camera of a capture, with N pictures of its own.

    Attributes:
        name: of the camera.
        camera: its lens, for the pictures as they are.
        camera_from_world: (1, 4, 4) of a fixed camera, or (N, 4, 4); in the calibration's unit; NaN where unknown.
        times_s: of the pictures, from the camera's own zero.
        pictures: where they are.
        monochrome: whether they are grey.
    """

    name: str
    camera: Camera
    camera_from_world: Float[np.ndarray, "poses 4 4"]
    times_s: Float[np.ndarray, "N"]
    pictures: Pictures
    monochrome: bool = False

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.times_s)

    @property
    def rate(self) -> float:
        """Pictures per second."""
        return float(1 / np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 1.0

    def poses(self, index: Int[np.ndarray, "T"]) -> Float[np.ndarray, "poses 4 4"]:
        """Pose at some pictures, NaN for index -1; (1, 4, 4) for a fixed camera."""
        if len(self.camera_from_world) == 1:
            return self.camera_from_world
        return np.where((index >= 0)[:, None, None], self.camera_from_world[np.maximum(index, 0)], np.nan)


@dataclass(frozen=True, eq=False)
class Capture:
    """One recording: cameras, metres per unit of their poses (None: unknown), what its source tells beside pictures."""

    name: str
    cameras: tuple[CaptureCamera, ...]
    unit_m: float | None
    template: Episode | None = None


class Captures:
    """The recordings of a capture: one of a folder; all of a store or of a tree of AssemblyHands.

    Attributes:
        names: of the recordings.
        common_names: see `EpisodeSource`.

    Raises:
        InputError, CalibrationError: nothing to annotate in the folder, or a calibration that does not fit.
    """

    def __init__(self, path: Path, options: AnnotateOptions) -> None:
        self.path, self.options = path, options
        self._episodes: EpisodeSource | Store | None = None
        self.common_names: Mapping[str, str] = {}
        if not path.is_dir():
            what = "is a file" if path.exists() else "no such folder"
            raise InputError(f"{path}: {what}; give the folder that holds the cameras' videos or image folders")
        if (path / INFO).is_file():
            self._episodes = Store(path)
            self.names = tuple(recording.name for recording in self._episodes.recordings)
            if not self._episodes.layout.pictures:
                raise InputError(f"{path} is a store without pictures; there is nothing to see hands in")
        elif (path / "annotations").is_dir():
            self._episodes = read_assemblyhands(path, cameras=options.cameras or None)
            self.names, self.common_names = self._episodes.names, self._episodes.common_names
        else:
            self.names = (path.resolve().name,)

    def made_of(self, name: str) -> tuple[str, str]:
        """Digests that change with the recording's pictures and with its calibration."""
        if isinstance(self._episodes, EpisodeSource):
            return self._episodes.made_of(name), ""
        if isinstance(self._episodes, Store):
            recording = self._episodes.recordings[self.names.index(name)]
            videos = [video for video, _ in recording.videos.values()]
            return fingerprint(self.path, [recording.data, *videos]), ""
        path = self._calibration_path()
        root = path if path.is_dir() else path.parent
        return fingerprint(self.path, self._sources().values()), fingerprint(root, [path])

    def read(self, name: str) -> Capture:
        """One recording.

        Raises:
            InputError, CalibrationError: fewer than two cameras, or what is wrong with a file.
        """
        if isinstance(self._episodes, EpisodeSource):
            capture = _of_episode(self._episodes.read(name))
        elif isinstance(self._episodes, Store):
            capture = _of_episode(self._episodes.episode(self.names.index(name)))
        else:
            capture = self._folder(name)
        cameras = _chosen(capture.cameras, self.options.cameras, self.path)
        if len(cameras) < 2:
            raise InputError(
                f"{self.path}: one camera ({', '.join(camera.name for camera in cameras) or 'none'}); annotation "
                "triangulates, which takes at least two. `handloom track` works with one"
            )
        return replace(capture, cameras=cameras)

    def _folder(self, name: str) -> Capture:
        sources = self._sources()
        wanted = self.options.cameras
        sources = {key: source for key, source in sources.items() if key in wanted or not wanted} or sources
        opened = {key: open_source(source, image_rate=self.options.image_rate).info for key, source in sources.items()}
        sizes = {key: (info.width, info.height) for key, info in opened.items()}
        if len(sources) < 2:
            return Capture(name, tuple(_bare(key) for key in sources), None)
        calibration = read_rig_calibration(self._calibration_path(), sizes)
        cameras = []
        for key, source in sources.items():
            times = opened[key].times_s
            if times is None:
                raise InputError(f"{source}: the pictures of this file have no times; convert it to MP4")
            cameras.append(_camera(key, source, sizes[key], np.asarray(times), calibration))
        return Capture(name, tuple(cameras), calibration.unit_m)

    def _sources(self) -> dict[str, Path]:
        """Video file or image folder of every camera, by name."""
        for part in _PICTURES_IN:
            folder = self.path / part
            if not folder.is_dir():
                continue
            entries = sorted((item for item in folder.iterdir() if not item.name.startswith(".")), key=natural_order)
            videos = [item for item in entries if item.suffix.lower() in _VIDEOS]
            folders = [item for item in entries if item.is_dir() and _holds_pictures(item)]
            if found := videos or folders:
                names = [item.stem if item.is_file() else item.name for item in found]
                if twice := next((name for name in names if names.count(name) > 1), None):
                    raise InputError(f"{folder}: two cameras are called {twice!r}; rename one")
                return dict(zip(names, found))
        raise InputError(
            f"{self.path}: no videos and no folders of pictures in it, one per camera; nor is it a store of Handloom "
            "or a tree of AssemblyHands"
        )

    def _calibration_path(self) -> Path:
        if self.options.calibration is not None:
            return self.options.calibration.expanduser()
        for part in _CALIBRATION_IN:
            folder = self.path / part
            if not folder.is_dir():
                continue
            files = [item for item in folder.iterdir() if is_calibration(item)]
            named = [item for item in files if item.stem.casefold().startswith("calib") or item.suffix == ".toml"]
            if len(named) == 1:
                return named[0]
            if files and any(item.suffix != ".txt" or item.stem == "calib" for item in files):
                return folder
        raise InputError(f"{self.path}: no calibration in it; name the file or folder with --calibration")


def _holds_pictures(folder: Path) -> bool:
    return any(item.suffix.lower() in IMAGE_SUFFIXES for item in folder.iterdir())


def _bare(name: str) -> CaptureCamera:
    """A camera of which nothing but the name will be asked."""
    nothing = PictureFiles(())
    return CaptureCamera(name, Pinhole.from_fov(16, 16, 60), np.eye(4)[None], np.zeros(0), nothing)


def _camera(
    name: str, source: Path, size: tuple[int, int], times_s: np.ndarray, calibration: RigCalibration
) -> CaptureCamera:
    view = calibration.views[name]
    if view.on_headset:
        raise InputError(
            f"camera {name} sits on the headset, whose pose the calibration does not tell; put the recording's "
            "..._ego_calib_v1-1.json beside it, or leave the camera out with --cameras"
        )
    lens = fitted(view.camera, size, f"camera {name}")
    pictures: Pictures
    if source.is_dir():
        files = sorted((item for item in source.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES), key=natural_order)
        pictures, stems = PictureFiles(tuple(files)), [item.stem for item in files]
    else:
        pictures, stems = VideoSpan(source, np.arange(len(times_s))), []
    return CaptureCamera(name, lens, _poses(name, view, len(times_s), stems), times_s, pictures)


def _poses(name: str, view: RigView, count: int, stems: Sequence[str]) -> np.ndarray:
    poses = view.camera_from_world
    if poses.ndim == 2:
        return poses[None]
    if view.frame_ids is not None and all(stem.isdecimal() for stem in stems) and stems:
        row = {frame: k for k, frame in enumerate(view.frame_ids)}
        rows = np.array([row.get(int(stem), -1) for stem in stems])
        return np.where((rows >= 0)[:, None, None], poses[rows], np.nan)
    if len(poses) != count:
        raise InputError(f"camera {name}: {count} pictures, but {len(poses)} poses; one of each per frame is needed")
    return poses


def _of_episode(episode: Episode) -> Capture:
    times = episode.times_s - episode.times_s[0]
    cameras = tuple(_of_stream(stream, times) for stream in episode.streams if stream.pictures is not None)
    return Capture(episode.name, cameras, 1.0, episode)


def _of_stream(stream: CameraStream, times_s: np.ndarray) -> CaptureCamera:
    assert stream.pictures is not None
    poses = invert_rigid(stream.world_from_camera)
    if np.isfinite(poses).all() and not np.ptp(poses, axis=0).any():
        poses = poses[:1]
    return CaptureCamera(stream.name, stream.camera, poses, times_s, stream.pictures, stream.monochrome)


def _chosen(cameras: tuple[CaptureCamera, ...], names: tuple[str, ...], place: Path) -> tuple[CaptureCamera, ...]:
    known = [camera.name for camera in cameras]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{place} has no camera {unknown[0]!r}; it has {', '.join(known)}")
    return tuple(camera for camera in cameras if camera.name in names or not names)


def nominal_rate(cameras: Sequence[CaptureCamera]) -> Fraction:
    """Whole frames per second of the slowest camera."""
    return Fraction(max(1, round(min(camera.rate for camera in cameras))))
