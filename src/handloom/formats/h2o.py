"""H2O as downloaded (Kwon et al. 2021): two hands and an object, four fixed cameras and one on the head."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from handloom.errors import CalibrationError, InputError
from handloom.formats.cameras import read_camera
from handloom.formats.dataset_files import (
    Faults,
    existing_folder,
    fingerprint,
    numbered_files,
    read_number_files,
    world_hands,
)
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, PictureFiles, is_rigid
from handloom.formats.h2o_classes import CAMERAS, FRAME_RATE, OBJECTS, SCENES, SUBJECTS, split_of
from handloom.formats.h2o_labels import read_labels, segment
from handloom.formats.pictures import fitted, picture_size
from handloom.geometry import apply_rigid
from handloom.geometry.cameras import Camera

PICTURES = {"rgb": ".png", "rgb256": ".jpg", "rgb480_270": ".png"}
"""Folders of pictures in the order of preference, the last one being the reference implementation's own copies."""

_HANDS = "flag and 21 x 3 of the left hand, then of the right"
_MANO = "flag, 3 translation, 48 pose and 10 shape values of the left hand, then of the right"
_AGREEMENT_M = 2e-3


def read_h2o(
    root: Path | str, *, skip_bad: bool = False, cameras: Sequence[str] = CAMERAS, pictures: str | None = None
) -> "H2O":
    """The recordings of an H2O tree: `subject1/h1/0` and so on, one episode each, with their labelled segments.

    Args:
        root: the folder that holds `subject1` ... and `action_labels`.
        skip_bad: leave out what is bad, and list it; otherwise the first fault raises.
        cameras: those wanted; one that a recording lacks is left out.
        pictures: "rgb", "rgb256" or "rgb480_270"; by default the first one that is there.

    Raises:
        InputError: not such a tree; while iterating: what is wrong, with file and line.
    """
    return H2O(Path(root), skip_bad, cameras, pictures)


class H2O(EpisodeSource):
    """See `read_h2o`."""

    def __init__(self, root: Path, skip_bad: bool, cameras: Sequence[str], pictures: str | None) -> None:
        super().__init__(skip_bad)
        self.root, self.cameras = root, tuple(cameras)
        if unknown := sorted(set(self.cameras) - set(CAMERAS)):
            raise InputError(f"H2O has no camera {unknown[0]!r}; it has {', '.join(CAMERAS)}")
        if pictures is not None and pictures not in PICTURES:
            raise InputError(f"H2O has no pictures {pictures!r}; choose one of {', '.join(PICTURES)}")
        self.pictures = tuple(PICTURES) if pictures is None else (pictures,)
        existing_folder(root, "give the folder that holds subject1 ... subject4 of the download")
        faults = Faults(skip_bad, self.problems)
        self._lines = read_labels(root, faults)
        self.names = _recordings(root, faults)
        if not self.names:
            raise InputError(f"{root}: no recording such as subject1/h1/0; unpack the downloaded archives here")
        self.pictures_belong = f"{root / self.names[0] / CAMERAS[-1] / self.pictures[0]}/000000.png and so on"
        for name in sorted(self._lines.keys() - set(self.names), key=_order):
            place = self._lines[name][0].place
            faults.add(place, f"the recording {name} is not in {root}; finish the download, or skip what is bad")

    def cameras_of(self, name: str) -> tuple[str, ...]:
        """The cameras that have a folder; see `EpisodeSource.cameras_of`."""
        return tuple(camera for camera in self.cameras if (self.root / name / camera).is_dir())

    def made_of(self, name: str) -> str:
        """See `EpisodeSource.made_of`."""
        parts = ("cam_intrinsics.txt", "cam_pose", "hand_pose", "obj_pose_RT", *self.pictures)
        places = (self.root / name / camera / part for camera in self.cameras_of(name) for part in parts)
        lines = [(line.segment_id, line.label, line.first, line.last) for line in self._lines.get(name, ())]
        return fingerprint(self.root, places, lines)

    def read(self, name: str) -> Episode:
        """One recording; see `EpisodeSource.read`."""
        if name not in self.names:
            raise InputError(f"{self.root} has no recording {name!r}; it has {self.names[0]}, ...")
        folder, faults = self.root / name, Faults(self.skip_bad)
        folders = {camera: folder / camera for camera in self.cameras_of(name)}
        if not folders:
            raise InputError(f"{folder}: none of the cameras {', '.join(self.cameras)}; finish the download")
        # The head camera where there is one: it is the one that every download holds.
        main = folders.get(CAMERAS[-1], next(iter(folders.values())))
        files = numbered_files(existing_folder(main / "hand_pose", "finish the download"), "", ".txt")
        if not files:
            raise InputError(f"{main / 'hand_pose'}: no file such as 000000.txt; finish the download")
        frame_ids = np.array(list(files))
        for gap in np.flatnonzero(np.diff(frame_ids) != 1):
            before, after = frame_ids[gap : gap + 2]
            faults.add(main / "hand_pose", f"frame {after} follows {before}; finish the download")
        streams = [self._stream(camera, path, frame_ids, faults) for camera, path in folders.items()]
        poses = {camera: stream.world_from_camera for camera, stream in zip(folders, streams)}
        joints, valid = _world_joints(main, frame_ids, poses[main.name], faults)
        for camera, path in folders.items():
            _check_agreement(path, main, frame_ids, poses[camera], joints)
        object_poses, object_labels = _objects(main, frame_ids, poses[main.name], faults)
        segments = []
        for line in self._lines.get(name, ()):
            try:
                segments.append(segment(line, frame_ids))
            except InputError as failure:
                faults.add(line.place, str(failure).removeprefix(f"{line.place}: "))
        subject, scene, _ = name.split("/")
        return Episode(
            dataset="h2o",
            name=name,
            subject=subject,
            split=split_of(subject, scene),
            frame_ids=frame_ids,
            frame_rate=Fraction(FRAME_RATE),
            hands=world_hands(frame_ids, Fraction(FRAME_RATE), joints, valid, folder),
            streams=tuple(streams),
            segments=tuple(sorted(segments, key=lambda item: item.start)),
            object_names=OBJECTS,
            object_poses=object_poses,
            object_labels=object_labels,
            scene=scene,
            problems=tuple(faults.found),
        )

    def _stream(self, name: str, folder: Path, frame_ids: Int[np.ndarray, "T"], faults: Faults) -> CameraStream:
        camera = read_camera(folder / "cam_intrinsics.txt")
        paths = _frame_files(folder / "cam_pose", frame_ids, ".txt")
        poses = read_number_files(paths, 16, faults, "a 4 x 4 matrix, row by row").reshape(-1, 4, 4)
        poses = _rigid_or_nan(poses, paths, faults)
        pictures, camera = self._pictures(folder, camera, frame_ids, faults)
        return CameraStream(name, camera, poses, pictures)

    def _pictures(
        self, folder: Path, camera: Camera, frame_ids: Int[np.ndarray, "T"], faults: Faults
    ) -> tuple[PictureFiles | None, Camera]:
        for kind in self.pictures if self.with_pictures else ():
            if files := numbered_files(folder / kind, "", PICTURES[kind]):
                break
        else:
            return None, camera
        wanted = set(frame_ids.tolist())
        if files.keys() != wanted:
            lone = min(files.keys() ^ wanted)
            which = "no picture" if lone in wanted else "a picture but no hand_pose"
            faults.add(
                folder / kind,
                f"{len(files)} pictures, but {len(wanted)} labelled frames (frame {lone} has {which}); "
                "finish the download",
            )
        first = next(iter(files.values()))
        return PictureFiles(tuple(files.get(frame) for frame in frame_ids.tolist())), fitted(
            camera, picture_size(first), first
        )


def read_mano(folder: Path | str, *, skip_bad: bool = False) -> Float[np.ndarray, "T 2 62"]:
    """MANO parameters of a `hand_pose_MANO` folder: per hand a flag, 3 translation, 48 pose, 10 shape values.

    Raises:
        InputError: no such files, or the first bad one; with `skip_bad` its values are NaN.
    """
    folder = existing_folder(Path(folder), "give the hand_pose_MANO folder of a camera")
    paths = list(numbered_files(folder, "", ".txt").values())
    if not paths:
        raise InputError(f"{folder}: no file such as 000000.txt")
    if len(paths[0].read_text().split()) == 118:
        raise InputError(
            f"{paths[0]}: 59 numbers per hand, as H2O's README says, but the files of 2022 and later have 62 ({_MANO});"
            " download manolabel_v1.1"
        )
    return read_number_files(paths, 124, Faults(skip_bad), _MANO).reshape(-1, 2, 62)


def _recordings(root: Path, faults: Faults) -> tuple[str, ...]:
    names = []
    for recording in root.glob("*/*/*"):
        subject, scene, number = recording.parts[-3:]
        if not subject.startswith("subject") or not recording.is_dir() or not number.isdecimal():
            continue
        if subject not in SUBJECTS:
            faults.add(root / subject, f"unknown subject; H2O has {', '.join(SUBJECTS)}")
        elif scene not in SCENES:
            faults.add(root / subject / scene, f"unknown scene; H2O has {', '.join(SCENES)}")
        else:
            names.append(f"{subject}/{scene}/{number}")
    return tuple(sorted(names, key=_order))


def _order(name: str) -> tuple[list[str], int]:
    *parts, number = name.split("/")
    return parts, int(number) if number.isdecimal() else -1


def _frame_files(folder: Path, frame_ids: Int[np.ndarray, "T"], suffix: str) -> list[Path]:
    existing_folder(folder, "finish the download")
    return [folder / f"{frame:06d}{suffix}" for frame in frame_ids.tolist()]


def _rigid_or_nan(
    poses: Float[np.ndarray, "T 4 4"], paths: Sequence[Path], faults: Faults
) -> Float[np.ndarray, "T 4 4"]:
    rigid = is_rigid(poses)
    for index in np.flatnonzero(~rigid).tolist():
        if not np.isnan(poses[index]).all():  # what could not be read is reported already
            faults.add(paths[index], "not a rigid 4 x 4 transform (rotation and translation)")
    return np.where(rigid[:, None, None], poses, np.nan)


def _world_joints(
    folder: Path, frame_ids: Int[np.ndarray, "T"], world_from_camera: Float[np.ndarray, "T 4 4"], faults: Faults
) -> tuple[Float[np.ndarray, "T 2 21 3"], np.ndarray]:
    paths = _frame_files(folder / "hand_pose", frame_ids, ".txt")
    hands = read_number_files(paths, 128, faults, _HANDS).reshape(-1, 2, 64)
    flags = hands[..., 0]
    read = ~np.isnan(hands).all((1, 2))
    for index in np.flatnonzero(read & ~np.isin(flags, (0, 1)).all(1)):
        faults.add(paths[index], f"a hand's flag must be 0 or 1, found {flags[index].tolist()}")
    joints = apply_rigid(world_from_camera[:, None], hands[..., 1:].reshape(-1, 2, 21, 3))
    finite = np.isfinite(hands[..., 1:]).all(-1)
    for index in np.flatnonzero(read & ((flags == 1) & ~finite).any(1)):
        faults.add(paths[index], "joints of a labelled hand are not finite numbers")
    labelled = (flags == 1) & np.isfinite(joints).all((-2, -1))
    return joints, np.repeat(labelled[..., None], 21, axis=-1)


def _check_agreement(
    folder: Path,
    main: Path,
    frame_ids: Int[np.ndarray, "T"],
    world_from_camera: Float[np.ndarray, "T 4 4"],
    joints: Float[np.ndarray, "T 2 21 3"],
) -> None:
    """All cameras tell the same joints in the world; where they do not, a pose belongs to something else."""
    if folder == main or not (folder / "hand_pose").is_dir():
        return
    chosen = np.unique(np.linspace(0, len(frame_ids) - 1, 3).astype(int))
    own, known = _world_joints(folder, frame_ids[chosen], world_from_camera[chosen], Faults(skip_bad=True))
    apart = np.where(known, np.linalg.norm(own - joints[chosen], axis=-1), np.nan)
    if np.isfinite(apart).any() and np.nanmedian(apart) > _AGREEMENT_M:
        raise CalibrationError(
            f"{folder / 'cam_pose'}: with these poses the hands are {np.nanmedian(apart) * 1000:.0f} mm from where "
            f"{main.name} has them; is this the calibration of another sequence?"
        )


def _objects(
    folder: Path, frame_ids: Int[np.ndarray, "T"], world_from_camera: Float[np.ndarray, "T 4 4"], faults: Faults
) -> tuple[Float[np.ndarray, "T objects 4 4"] | None, Int[np.ndarray, "T"] | None]:
    if not (folder / "obj_pose_RT").is_dir():
        return None, None
    paths = _frame_files(folder / "obj_pose_RT", frame_ids, ".txt")
    values = read_number_files(paths, 17, faults, "object class and a 4 x 4 matrix")
    labels = np.nan_to_num(values[:, 0]).astype(int) - 1
    for index in np.flatnonzero((labels < -1) | (labels >= len(OBJECTS))):
        faults.add(paths[index], f"object class must lie in 0 ... {len(OBJECTS)}, found {values[index, 0]:g}")
        labels[index] = -1
    used = np.flatnonzero(labels >= 0)
    poses = np.full((len(frame_ids), len(OBJECTS), 4, 4), np.nan)
    camera_from_object = _rigid_or_nan(values[used, 1:].reshape(-1, 4, 4), [paths[index] for index in used], faults)
    poses[used, labels[used]] = world_from_camera[used] @ camera_from_object
    return poses, labels
