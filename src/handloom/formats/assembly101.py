"""Assembly101 as downloaded (Sener et al. 2022): hand poses at 60 Hz, fine-grained actions, raw videos."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.formats.assembly_actions import FOLDER, Recording, read_actions, segments_of
from handloom.formats.assembly_calibration import pinhole, read_calib_text, read_rig
from handloom.formats.assembly_names import COMMON_NAMES, EGO_SIZE, EXO_SIZE, ID_RATE, is_egocentric, parse_sequence
from handloom.formats.dataset_files import Faults, existing_folder, fingerprint, world_hands
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, Problem, VideoSpan
from handloom.formats.pictures import fitted, video_facts
from handloom.formats.text_files import parse_json, read_text
from handloom.geometry import Camera, invert_rigid
from handloom.skeleton import HANDS, JOINT_COUNT, reorder

_Cameras = dict[str, tuple[Camera | list[float], Float[np.ndarray, "4 4"]]]
"""Intrinsics, or the nine numbers of K, and camera_from_world in metres, by name."""

POSES, VIDEOS, RIGS = "poses@60fps", "recordings", "calib"

THUMB_BASE = 1
"""The joint that Assembly101 does not have; its landmark 20, the centre of the palm, stands there."""

_REAL = np.arange(JOINT_COUNT) != THUMB_BASE


def read_assembly101(
    root: Path | str, *, skip_bad: bool = False, rate: int = 30, cameras: Sequence[str] | None = None
) -> "Assembly101":
    """The recordings of an Assembly101 tree, one episode each; frame ids count 60 per second.

    The base of the thumb is never valid. Cameras are known where `calib/<recording>.json` (the raw cameras, of the
    AssemblyHands toolkit) or `recordings/<recording>/calib.txt` is there; those of the headset move, and neither file
    tells how, so that their poses are NaN. Recordings without poses are left out: the release lacks some of them.

    Args:
        root: the folder that holds `poses@60fps`, `fine-grained-annotations` and, if downloaded, `recordings`.
        skip_bad: leave out what is bad, and list it; otherwise the first fault raises.
        rate: 30 takes every second pose, as the reference implementations do; 60 takes all.
        cameras: those wanted, by the name of the video; by default all.

    Raises:
        InputError: not such a tree; while iterating: what is wrong, with file and line or frame.
    """
    return Assembly101(Path(root), skip_bad, rate, cameras)


class Assembly101(EpisodeSource):
    """See `read_assembly101`."""

    common_names = COMMON_NAMES

    def __init__(self, root: Path, skip_bad: bool, rate: int, cameras: Sequence[str] | None) -> None:
        super().__init__(skip_bad)
        if rate not in (30, ID_RATE):
            raise InputError(f"the rate must be 30 or {ID_RATE} frames per second, found {rate}")
        self.root, self.rate, self.cameras = root, rate, cameras
        poses = existing_folder(root / POSES, "give the folder that holds the poses of the download")
        faults = Faults(skip_bad, self.problems)
        self._actions = read_actions(root / FOLDER, faults)
        self.names = tuple(sorted(path.stem for path in poses.glob("*.json")))
        if not self.names:
            raise InputError(f"{poses}: no file such as nusar-2021_action_both_....json")
        self.pictures_belong = f"{root / VIDEOS / self.names[0]}/C10095_rgb.mp4 and so on, with calib.txt beside them"
        for name in sorted(self._actions.keys() - set(self.names)):
            self.problems.append(Problem(name, f"has actions but no poses in {poses}"))

    def cameras_of(self, name: str) -> tuple[str, ...]:
        """See `EpisodeSource.cameras_of`."""
        return tuple(camera for camera in self._known(name)[1] if self.cameras is None or camera in self.cameras)

    def made_of(self, name: str) -> str:
        """See `EpisodeSource.made_of`."""
        places = [self.root / POSES / f"{name}.json", self.root / RIGS / f"{name}.json", self.root / VIDEOS / name]
        recording = self._actions.get(name)
        return fingerprint(self.root, places, self.rate, recording and recording.facts)

    def read(self, name: str) -> Episode:
        """One recording; see `EpisodeSource.read`."""
        path = self.root / POSES / f"{name}.json"
        if name not in self.names:
            raise InputError(f"{self.root / POSES} has no recording {name!r}; it has {self.names[0]}, ...")
        faults = Faults(self.skip_bad)
        subject, toy = parse_sequence(name, path)
        ids, joints, valid, confidence = _read_poses(path, ID_RATE // self.rate, faults)
        recording = self._actions.get(name, Recording(""))
        return Episode(
            dataset="assembly101",
            name=name,
            subject=subject,
            split=recording.split or None,
            frame_ids=ids,
            frame_rate=Fraction(self.rate),
            hands=world_hands(ids, Fraction(ID_RATE), joints, valid, path, confidence),
            streams=tuple(self._streams(name, ids, faults)),
            segments=tuple(segments_of(recording, ids, faults)),
            scene=recording.toy_name or toy,
            problems=tuple(faults.found),
        )

    def _known(self, name: str) -> tuple[Path, _Cameras]:
        """The calibration of a recording: its file and the cameras in it; none where there is no file."""
        raw, text = self.root / RIGS / f"{name}.json", self.root / VIDEOS / name / "calib.txt"
        if raw.is_file():
            return raw, {item.name: (item.camera, item.camera_from_parent) for item in read_rig(raw).values()}
        return text, dict(read_calib_text(text)) if text.is_file() else {}

    def _streams(self, name: str, ids: Int[np.ndarray, "T"], faults: Faults) -> list[CameraStream]:
        folder, streams = self.root / VIDEOS / name, []
        place, known = self._known(name)
        for camera, (intrinsics, camera_from_parent) in known.items():
            if self.cameras is not None and camera not in self.cameras:
                continue
            video, span = folder / f"{camera}.mp4", None
            size = None
            if video.is_file() and self.with_pictures:
                size, count, rate = video_facts(video)
                span = _span(video, count, rate, ids, faults)
            if isinstance(intrinsics, Camera):
                lens = intrinsics if size is None else fitted(intrinsics, size, video)
            else:
                lens = pinhole(
                    f"{place}, {camera}", intrinsics, size or (EGO_SIZE if is_egocentric(camera) else EXO_SIZE)
                )
            pose = np.full((4, 4), np.nan) if is_egocentric(camera) else invert_rigid(camera_from_parent)
            streams.append(CameraStream(camera, lens, np.tile(pose, (len(ids), 1, 1)), span, is_egocentric(camera)))
        videos = {file.stem for file in folder.glob("*.mp4")}
        if known and (lone := sorted(videos - known.keys())):
            faults.add(
                place, f"no camera {lone[0]}, of which there is a video; is it the calibration of another sequence?"
            )
        return streams


def _span(video: Path, count: int, rate: Fraction, ids: Int[np.ndarray, "T"], faults: Faults) -> VideoSpan:
    """Raw videos run at 60 Hz; copies extracted at 30 Hz hold every second frame."""
    step = {30: 2, ID_RATE: 1}.get(round(rate))
    if step is None:
        faults.add(video, f"{float(rate):g} frames per second, but Assembly101 has {ID_RATE} (or 30 in smaller copies)")
        return VideoSpan(video, np.full(len(ids), -1))
    frames, between = np.divmod(ids, step)
    if count and frames[-1] >= count:
        faults.add(video, f"{count} frames, but {frames[-1] + 1} have poses; finish the download")
    gone = (between > 0) | ((frames >= count) if count else False)
    return VideoSpan(video, np.where(gone, -1, frames))


def _read_poses(
    path: Path, step: int, faults: Faults
) -> tuple[
    Int[np.ndarray, "T"], Float[np.ndarray, "T 2 21 3"], Bool[np.ndarray, "T 2 21"], Float[np.ndarray, "T 2 21"]
]:
    """Frame ids, joints in metres, which are valid, and the tracker's confidence, of every `step`-th frame."""
    frames = parse_json(path, f'{{"frames": {read_text(path)}}}')["frames"]
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} must hold a list of frames, found {type(frames).__name__}")
    ids = np.arange(0, len(frames), step)
    nothing = [[float("nan")] * 3] * JOINT_COUNT
    landmarks, confidence = [], np.zeros((len(ids), 2))
    for row, frame in enumerate(ids.tolist()):
        for hand in range(2):
            points, score, reason = _hand(frames[frame], str(hand))
            if reason:
                faults.add(f"{path}, frame {frame}", f"{HANDS[hand]} hand: {reason}")
            landmarks.append(points or nothing)
            confidence[row, hand] = score
    joints = np.array(landmarks, np.float64).reshape(-1, 2, JOINT_COUNT, 3)
    tracked = np.isfinite(joints).all((-2, -1)) & (joints != 0).any((-2, -1))
    valid = tracked[..., None] & _REAL
    return ids, reorder(joints, "assembly101") / 1000, valid, np.repeat(confidence[..., None], JOINT_COUNT, axis=-1)


def _hand(frame: Any, key: str) -> tuple[list[list[float]] | None, float, str]:
    """Landmarks "0" (left) or "1" (right), confidence, and what is wrong with them; a hand may be absent."""
    if not isinstance(frame, dict) or not isinstance(frame.get("landmarks"), dict):
        return None, 0.0, 'expected an object with the field "landmarks"'
    points, scores = frame["landmarks"].get(key), frame.get("tracking_confidence", {})
    if not points:
        return None, 0.0, ""
    if not isinstance(points, list) or len(points) != JOINT_COUNT or any(_bad_point(point) for point in points):
        return None, 0.0, f"expected {JOINT_COUNT} x 3 finite numbers"
    score = scores.get(key, 1.0) if isinstance(scores, dict) else 1.0
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        return None, 0.0, f"tracking_confidence must lie in 0 ... 1, found {score!r}"
    return points, float(score), ""


def _bad_point(point: Any) -> bool:
    if not isinstance(point, list) or len(point) != 3:
        return True
    return not all(isinstance(value, int | float) and abs(value) < float("inf") for value in point)
