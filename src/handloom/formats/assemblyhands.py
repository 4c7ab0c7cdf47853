"""AssemblyHands 1.1 as downloaded (Ohkawa et al. 2023): rectified views of a headset and of eight fixed cameras."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from handloom.errors import CalibrationError, InputError
from handloom.formats.assembly_actions import FOLDER, Recording, read_actions, segments_of
from handloom.formats.assembly_calibration import pinhole, read_calib_text
from handloom.formats.assembly_names import COMMON_NAMES, EXO_SIZE, ID_RATE, is_egocentric, parse_sequence
from handloom.formats.assemblyhands_files import SequenceFiles, View, file_of, read_split, transforms
from handloom.formats.dataset_files import Faults, existing_folder, fingerprint, inside, world_hands
from handloom.formats.episode import SPLITS, CameraStream, Episode, EpisodeSource, PictureFiles, VideoSpan
from handloom.formats.pictures import video_facts
from handloom.geometry import apply_rigid, invert_rigid
from handloom.hands import HandTrack
from handloom.skeleton import JOINT_COUNT, reorder

FRAME_RATE = 30
"""Annotations per second: every second frame id."""

EXO_FOLDER = Path("videos", "exo_videos_rectified")
_STEP = ID_RATE // FRAME_RATE


def read_assemblyhands(
    root: Path | str,
    *,
    skip_bad: bool = False,
    splits: Sequence[str] = SPLITS,
    cameras: Sequence[str] | None = None,
    actions: Path | str | None = None,
) -> "AssemblyHands":
    """The recordings of an AssemblyHands tree, one episode each, at 30 Hz; frame ids count 60 per second.

    The joints of the test split are withheld: its episodes have no valid joint.

    Args:
        root: the folder that holds `annotations`, and `images` and `videos` where they were downloaded.
        skip_bad: leave out what is bad, and list it; otherwise the first fault raises.
        splits: those wanted. The files of "train" are large: reading them takes a minute.
        cameras: those wanted, by full name such as "HMC_21179183_mono10bit" or "C10095_rgb"; by default all.
        actions: the folder `fine-grained-annotations` of Assembly101; by default the one in `root`, if any.

    Raises:
        InputError: not such a tree; while iterating: what is wrong, with file and entry.
    """
    return AssemblyHands(Path(root), skip_bad, splits, cameras, None if actions is None else Path(actions))


class AssemblyHands(EpisodeSource):
    """See `read_assemblyhands`."""

    common_names = COMMON_NAMES

    def __init__(
        self, root: Path, skip_bad: bool, splits: Sequence[str], cameras: Sequence[str] | None, actions: Path | None
    ) -> None:
        super().__init__(skip_bad)
        self.root, self.cameras = root, cameras
        annotations = existing_folder(root / "annotations", "give the folder that holds annotations and images")
        faults = Faults(skip_bad, self.problems)
        self._splits: dict[str, str] = {}
        self._files: dict[str, SequenceFiles] = {}
        for split in (item for item in SPLITS if item in splits and (annotations / item).is_dir()):
            for name, files in read_split(root, split, faults).items():
                if name in self._files:
                    faults.add(files.place, f"is in the split {self._splits[name]}, too; a recording belongs to one")
                    continue
                self._files[name], self._splits[name] = files, split
        self.names = tuple(self._files)
        if not self.names:
            raise InputError(f"{annotations}: no recording in {', '.join(splits)}; finish the download")
        self.pictures_belong = (
            f"{root}/images/ego_images_rectified and {root / EXO_FOLDER} (one folder per recording in each)"
        )
        folder = actions or (root / FOLDER if (root / FOLDER).is_dir() else None)
        self._actions: dict[str, Recording] = {} if folder is None else read_actions(folder, faults)

    def cameras_of(self, name: str) -> tuple[str, ...]:
        """See `EpisodeSource.cameras_of`."""
        return tuple(filter(self._wanted, (*sorted(self._files[name].views), *self._fixed(name))))

    def made_of(self, name: str) -> str:
        """See `EpisodeSource.made_of`. The files of annotations belong to all recordings of a split."""
        split, images, fixed = self._splits[name], self.root / "images", self.root / EXO_FOLDER / name
        places = [file_of(self.root, split, kind) for kind in ("ego_data", "ego_calib", "joint_3d")]
        for view in self._files[name].views.values():
            places += sorted({inside(images, file, name).parent for file in view.files})
        recording = self._actions.get(name)
        return fingerprint(self.root, [*places, fixed], recording and recording.facts)

    def read(self, name: str) -> Episode:
        """One recording; see `EpisodeSource.read`."""
        if name not in self._files:
            raise InputError(f"{self.root} has no recording {name!r}; it has {self.names[0]}, ...")
        files, faults = self._files[name], Faults(self.skip_bad)
        subject, toy = parse_sequence(name, files.place)
        ids = files.frame_ids
        hands = _hands(files)
        views = [(camera, view) for camera, view in sorted(files.views.items()) if self._wanted(camera)]
        streams = [self._ego(name, camera, view, hands, faults) for camera, view in views]
        streams += self._exo(name, ids, hands, faults)
        recording = self._actions.get(name)
        return Episode(
            dataset="assemblyhands",
            name=name,
            subject=subject,
            split=self._splits[name],
            frame_ids=ids,
            frame_rate=Fraction(FRAME_RATE),
            hands=hands,
            streams=tuple(streams),
            segments=() if recording is None else tuple(segments_of(recording, ids, faults, excerpt=True)),
            scene=(recording.toy_name if recording else "") or toy,
            problems=tuple(faults.found),
        )

    def _wanted(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras

    def _fixed(self, name: str) -> dict[str, tuple[list[float], Float[np.ndarray, "4 4"]]]:
        """Intrinsics and poses of the fixed cameras; that of the headset, which the file also tells, is none."""
        folder = self.root / EXO_FOLDER / name
        known = read_calib_text(folder / "calib.txt") if folder.is_dir() else {}
        return {camera: values for camera, values in known.items() if not is_egocentric(camera)}

    def _ego(self, name: str, camera: str, view: View, hands: HandTrack, faults: Faults) -> CameraStream:
        files, split = self._files[name], self._splits[name]
        calib = f"{file_of(self.root, split, 'ego_calib')}, {name}"
        if camera not in files.intrinsics:
            raise CalibrationError(
                f"{calib}: no camera {camera}, of which there are images (it has {', '.join(files.intrinsics)}); "
                "is it the calibration of another sequence?"
            )
        ids = files.frame_ids
        frames = np.array(view.frames)
        rows = np.clip(np.searchsorted(ids, frames), 0, len(ids) - 1)
        known = ids[rows] == frames
        order = np.argsort(frames, kind="stable")
        for index in order[1:][np.diff(frames[order]) == 0]:
            faults.add(view.places[index], f"frame {frames[index]} of {camera} is annotated twice")
        if not known.all():
            faults.add(view.places[known.argmin()], f"frame {frames[known.argmin()]} of {name} has no 3D joints")
        boxes, visible = np.full((len(ids), 2, 4), np.nan), np.zeros((len(ids), 2, JOINT_COUNT), bool)
        boxes[rows[known]] = np.array(view.boxes).reshape(-1, 2, 4)[known, ::-1]
        visible[rows[known]] = _our_order(np.array(view.joint_valid)[known])[..., 0]
        poses = [files.extrinsics.get(frame, {}).get(camera) for frame in ids.tolist()]
        camera_from_world = transforms(f"{calib}, {camera}", poses, faults)
        lone = known & np.isnan(camera_from_world[rows]).any((1, 2))
        if lone.any():
            faults.add(calib, f"frame {frames[lone.argmax()]:06d} has an image of {camera}, but no extrinsics")
        stream = CameraStream(
            camera,
            pinhole(f"{calib}, {camera}", files.intrinsics[camera], view.size),
            invert_rigid(camera_from_world),
            self._images(view, rows, known, len(ids), faults),
            monochrome=True,
            boxes_px=boxes,
            visible=visible,
        )
        _check_boxes(calib, stream, hands)
        return stream

    def _images(
        self, view: View, rows: Int[np.ndarray, "n"], known: np.ndarray, T: int, faults: Faults
    ) -> PictureFiles | None:
        images = self.root / "images"
        if not images.is_dir() or not self.with_pictures:
            return None
        paths: list[Path | None] = [None] * T
        listed: dict[Path, set[str]] = {}
        missing = []
        for index in np.flatnonzero(known).tolist():
            path = inside(images, view.files[index], view.places[index])
            if path.parent not in listed:
                listed[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
            if path.name in listed[path.parent]:
                paths[rows[index]] = path
            else:
                missing.append((view.places[index], path))
        if missing:
            place, path = missing[0]
            faults.add(place, f"{path} does not exist ({len(missing)} of {len(rows)} images); finish the download")
        return PictureFiles(tuple(paths))

    def _exo(self, name: str, ids: Int[np.ndarray, "T"], hands: HandTrack, faults: Faults) -> list[CameraStream]:
        folder, streams = self.root / EXO_FOLDER / name, []
        path, fixed = folder / "calib.txt", self._fixed(name)
        for camera, (K, camera_from_world) in fixed.items():
            if not self._wanted(camera):
                continue
            video, place = folder / f"{camera}.mp4", f"{path}, {camera}"
            size, span = EXO_SIZE, None
            if video.is_file() and self.with_pictures:
                size, count, _ = video_facts(video)
                span = _span(video, count, ids, faults)
            poses = np.tile(invert_rigid(camera_from_world), (len(ids), 1, 1))
            stream = CameraStream(camera, pinhole(place, K, size), poses, span)
            _check_in_front(place, stream, hands)
            streams.append(stream)
        videos = {file.stem for file in folder.glob("*.mp4")}
        if lone := sorted(videos - fixed.keys()):
            raise CalibrationError(
                f"{path}: no camera {lone[0]}, of which there is a video; is it that of another rig?"
            )
        return streams


def _hands(files: SequenceFiles) -> HandTrack:
    joints, valid = files.joints_mm, files.joint_valid
    if joints is None:
        joints = np.full((*valid.shape, 3), np.nan)
    return world_hands(
        files.frame_ids,
        Fraction(ID_RATE),
        _our_order(joints.reshape(len(valid), -1, 3) / 1000),
        _our_order(valid)[..., 0],
        files.place,
    )


def _our_order(values: np.ndarray) -> np.ndarray:
    """(T, 42[, d]), right hand first and tips first, to (T, 2, 21, d)."""
    hands = values.reshape(len(values), 2, JOINT_COUNT, -1)[:, ::-1]
    return np.asarray(reorder(hands, "assemblyhands"))


def _span(video: Path, count: int, ids: Int[np.ndarray, "T"], faults: Faults) -> VideoSpan:
    """Videos start at the first annotated frame and run at the rate of the annotation."""
    frames, odd = np.divmod(ids - ids[0], _STEP)
    if odd.any():
        faults.add(video, f"frame {ids[odd.argmax()]} is not an even number of 60 Hz frames behind the first, {ids[0]}")
    if count and frames[-1] >= count:
        faults.add(video, f"{count} frames, but {frames[-1] + 1} are labelled; finish the download")
    gone = (odd > 0) | ((frames >= count) if count else False)
    return VideoSpan(video, np.where(gone, -1, frames))


def _check_boxes(place: str, stream: CameraStream, hands: HandTrack) -> None:
    """Joints must lie near their boxes in most frames; with another sequence's poses they do not."""
    boxes = np.asarray(stream.boxes_px)
    pixels = _project(stream, hands)
    seen = hands.valid & np.asarray(stream.visible) & np.isfinite(pixels).all(-1)
    boxed = seen.any(-1) & ~np.isnan(boxes).any(-1)
    if not boxed.any():
        return
    weights = seen[boxed][..., None]
    middle = np.where(weights, pixels[boxed], 0).sum(1) / weights.sum(1)
    corners = boxes[boxed].reshape(-1, 2, 2)
    away = np.linalg.norm(middle - corners.mean(1), axis=-1)
    reach = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1) + 20
    if (far := np.median(away / reach)) > 1:
        raise CalibrationError(
            f"{place}, {stream.name}: the joints lie {np.median(away):.0f} pixels from their boxes ({far:.1f} x their "
            "size); is it the calibration of another sequence?"
        )


def _check_in_front(place: str, stream: CameraStream, hands: HandTrack) -> None:
    joints = apply_rigid(invert_rigid(stream.world_from_camera)[:, None], hands.joints_m.astype(np.float64))
    depth = joints[hands.valid, 2]
    if len(depth) and (depth <= 0).all():
        raise CalibrationError(f"{place}: all hands are behind this camera; is it the calibration of another sequence?")


def _project(stream: CameraStream, hands: HandTrack) -> Float[np.ndarray, "T 2 21 2"]:
    camera_from_world = invert_rigid(stream.world_from_camera)[:, None]
    return np.asarray(stream.camera.project(apply_rigid(camera_from_world, hands.joints_m.astype(np.float64)))[0])
