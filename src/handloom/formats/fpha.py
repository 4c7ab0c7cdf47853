"""FPHA as downloaded (Garcia-Hernando et al. 2018): the right hand in first-person view, one action per recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.formats.dataset_files import (
    Faults,
    existing_folder,
    fingerprint,
    numbered_files,
    read_table,
    whole_number,
    world_hands,
)
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, LabelledSegment, PictureFiles
from handloom.formats.fpha_classes import (
    CAMERA,
    CAMERA_FROM_WORLD,
    FRAME_RATE,
    IGNORED,
    OBJECT_OF_ACTION,
    RENAMED,
    SUBJECTS,
    verb_of,
)
from handloom.formats.pictures import fitted, picture_size
from handloom.formats.text_files import read_text
from handloom.geometry import Camera, invert_rigid
from handloom.skeleton import JOINT_COUNT, RIGHT, reorder

PICTURES = ("Video_files", "Video_files_480")
SKELETONS = ("Hand_pose_annotation_v1", "Hand_pose_annotation_v1_1")
SPLIT_FILE = "data_split_action_recognition.txt"
OBJECT_FILE = "action_object_info.txt"
NO_SCENE = "-"
CAMERA_NAME = "color"


@dataclass(frozen=True)
class _Recording:
    """A line of the split file. `action` is the name of the files, `name` the path as the line has it."""

    place: str
    name: str
    subject: str
    action: str
    label: int
    split: str


def read_fpha(root: Path | str, *, skip_bad: bool = False, pictures: str | None = None) -> "FPHA":
    """The recordings of an FPHA tree: `Subject_1/put_salt/1` and so on, one episode and one action each.

    Label ids are those of the split file, from 0. The three recordings that the README asks to ignore are left out.

    Args:
        root: the folder that holds `Subjects_info` and `data_split_action_recognition.txt`.
        skip_bad: leave out what is bad, and list it; otherwise the first fault raises.
        pictures: "Video_files" or "Video_files_480"; by default the first one that is there.

    Raises:
        InputError: not such a tree; while iterating: what is wrong, with file and line.
    """
    return FPHA(Path(root), skip_bad, pictures)


class FPHA(EpisodeSource):
    """See `read_fpha`."""

    def __init__(self, root: Path, skip_bad: bool, pictures: str | None) -> None:
        super().__init__(skip_bad)
        if pictures is not None and pictures not in PICTURES:
            raise InputError(f"FPHA has no pictures {pictures!r}; choose one of {', '.join(PICTURES)}")
        self.root = existing_folder(root, f"give the folder that holds {SPLIT_FILE}")
        faults = Faults(skip_bad, self.problems)
        self._lengths = _read_lengths(root / "Subjects_info", faults)
        self._objects, self._scenes = _read_objects(root / OBJECT_FILE)
        self._recordings = {item.name: item for item in _read_split(root / SPLIT_FILE, self._objects, faults)}
        self._pictures = next((root / name for name in (pictures,) if name), None) or next(
            (root / name for name in PICTURES if (root / name).is_dir()), None
        )
        self._skeletons = next((root / name for name in SKELETONS if (root / name).is_dir()), root / SKELETONS[0])
        existing_folder(self._skeletons, "unpack the hand pose annotation of the download")
        self.names = tuple(self._recordings)
        if not self.names:
            raise InputError(f"{root / SPLIT_FILE}: no recording is left")
        folder = self._pictures or root / PICTURES[0]
        self.pictures_belong = f"{folder / self.names[0]}/color/color_0000.jpeg and so on"

    def cameras_of(self, name: str) -> tuple[str, ...]:
        """See `EpisodeSource.cameras_of`."""
        return (CAMERA_NAME,)

    def made_of(self, name: str) -> str:
        """See `EpisodeSource.made_of`."""
        item = self._recordings[name]
        places = [self._skeletons / name / "skeleton.txt"]
        if self._pictures is not None:
            places.append(self._pictures / name / "color")
        noun, scene = self._objects[item.action], self._scenes.get(item.action)
        length = self._lengths.get(name, (None,))[0]
        return fingerprint(self.root, places, item.action, item.label, item.split, length, noun, scene)

    def read(self, name: str) -> Episode:
        """One recording; see `EpisodeSource.read`."""
        if name not in self._recordings:
            raise InputError(f"{self.root / SPLIT_FILE} has no recording {name!r}; it has {self.names[0]}, ...")
        item, faults = self._recordings[name], Faults(self.skip_bad)
        if name not in self._lengths:
            raise InputError(f"{item.place}: {name} does not stand in Subjects_info/{item.subject}_info.txt")
        length, length_place = self._lengths[name]
        skeleton = self._skeletons / name / "skeleton.txt"
        joints = _read_skeleton(skeleton)
        if len(joints) != length:
            faults.add(skeleton, f"{len(joints)} frames, but {length_place} says {length}")
        T = min(len(joints), length)
        pictures, camera = self._color(name, T, faults)
        valid = np.zeros((T, 2, JOINT_COUNT), bool)
        # A row of zeros is a hand that was not tracked.
        valid[:, RIGHT] = (joints[:T] != 0).any((1, 2))[:, None]
        hands = np.full((T, 2, JOINT_COUNT, 3), np.nan)
        hands[:, RIGHT] = reorder(joints[:T] / 1000, "fpha")
        frame_ids, objects = np.arange(T), tuple(dict.fromkeys(self._objects.values()))
        noun = self._objects[item.action]
        track = world_hands(frame_ids, Fraction(FRAME_RATE), hands, valid, skeleton)
        words = item.action.replace("_", " "), verb_of(item.action), noun.replace("_", " ")
        return Episode(
            dataset="fpha",
            name=name,
            subject=item.subject,
            split=item.split,
            frame_ids=frame_ids,
            frame_rate=Fraction(FRAME_RATE),
            hands=track,
            streams=(CameraStream(CAMERA_NAME, camera, np.tile(invert_rigid(CAMERA_FROM_WORLD), (T, 1, 1)), pictures),),
            segments=(LabelledSegment(*words, item.label, 0, T),),
            object_names=tuple(name.replace("_", " ") for name in objects),
            object_labels=np.full(T, objects.index(noun)),
            scene=self._scenes.get(item.action, ""),
            problems=tuple(faults.found),
        )

    def _color(self, name: str, T: int, faults: Faults) -> tuple[PictureFiles | None, Camera]:
        if self._pictures is None or not self.with_pictures:
            return None, CAMERA
        folder = existing_folder(self._pictures / name / "color", "finish the download")
        files = numbered_files(folder, "color_", ".jpeg")
        if not files:
            raise InputError(f"{folder}: no picture such as color_0000.jpeg; finish the download")
        if files.keys() != set(range(T)):
            lone = min(files.keys() ^ set(range(T)))
            faults.add(folder, f"{len(files)} pictures, but {T} labelled frames (they differ at frame {lone})")
        first = next(iter(files.values()))
        return PictureFiles(tuple(files.get(frame) for frame in range(T))), fitted(CAMERA, picture_size(first), first)


def _read_skeleton(path: Path) -> Float[np.ndarray, "T 21 3"]:
    """Joints in millimetres, in FPHA's order.

    Raises:
        InputError: malformed, not finite, or a row whose frame number is not its row number; names the line.
    """
    rows = read_table(path, 64, "frame number and 21 x 3 coordinates in mm")
    if len(wrong := np.flatnonzero(rows[:, 0] != np.arange(len(rows)))):
        raise InputError(f"{path}, line {wrong[0] + 1}: frame {rows[wrong[0], 0]:g} stands in row {wrong[0]}, from 0")
    if len(wrong := np.flatnonzero(~np.isfinite(rows).all(1))):
        raise InputError(f"{path}, line {wrong[0] + 1}: joints are not finite numbers")
    return rows[:, 1:].reshape(-1, 21, 3)


def _read_lengths(folder: Path, faults: Faults) -> dict[str, tuple[int, str]]:
    """Frame count and place of every recording in `Subject_1_info.txt` ... `Subject_6_info.txt`."""
    existing_folder(folder, "it is part of the download")
    lengths: dict[str, tuple[int, str]] = {}
    for path in sorted(folder.glob("*_info.txt")):
        subject = path.name.removesuffix("_info.txt")
        if subject not in SUBJECTS:
            faults.add(path, f"unknown subject; FPHA has {SUBJECTS[0]} ... {SUBJECTS[-1]}")
            continue
        for number, line in enumerate(read_text(path).splitlines()[3:], 4):
            words, place = line.split(), f"{path}, line {number}"
            if not words:
                continue
            if len(words) != 3:
                faults.add(place, f"expected action, repetition and length, found {len(words)} columns")
                continue
            name = "/".join((subject, *words[:2]))
            if name in lengths:
                faults.add(place, f"{name} is already given in line {lengths[name][1].rsplit(' ', 1)[1]}")
                continue
            lengths[name] = whole_number(words[2], place, "length"), place
    if not lengths:
        raise InputError(f"{folder}: no file such as Subject_1_info.txt with recordings in it")
    return lengths


def _read_objects(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Object and scenario of every action; the built-in table where the file is missing."""
    if not path.is_file():
        return OBJECT_OF_ACTION, {}
    objects, scenes = {}, {}
    for number, line in enumerate(read_text(path).splitlines()[1:], 2):
        words, place = line.split(), f"{path}, line {number}"
        if not words:
            continue
        if len(words) != 5:
            raise InputError(
                f"{place}: expected 5 columns (number, action, object, object pose, scenario), found {len(words)}"
            )
        if words[1] in objects:
            raise InputError(f"{place}: the action {words[1]} is given twice")
        objects[words[1]], scenes[words[1]] = words[2], "" if words[4] == NO_SCENE else words[4]
    return objects, scenes


def _read_split(path: Path, objects: dict[str, str], faults: Faults) -> list[_Recording]:
    recordings: dict[str, _Recording] = {}
    labels: dict[str, int] = {}
    split = None
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words, place = line.split(), f"{path}, line {number}"
        if words and words[0] in ("Training", "Test"):
            split = "train" if words[0] == "Training" else "test"
        elif words and split is None:
            raise InputError(f'{place}: expected a line "Training ..." first, found {line!r}')
        elif words and split is not None:
            try:
                item = _split_line(place, words, split, objects)
            except InputError as failure:
                faults.add(place, str(failure).removeprefix(f"{place}: "))
                continue
            if item.name in recordings:
                faults.add(place, f"{item.name} is already given in {recordings[item.name].place}")
            elif labels.setdefault(item.action, item.label) != item.label:
                faults.add(place, f"{item.action} has label {item.label}, but {labels[item.action]} before")
            elif item.name not in IGNORED:
                recordings[item.name] = item
    return list(recordings.values())


def _split_line(place: str, words: Sequence[str], split: str, objects: dict[str, str]) -> _Recording:
    if len(words) != 2 or words[0].count("/") != 2:
        raise InputError(f"{place}: expected Subject/action/repetition and a label, found {' '.join(words)!r}")
    subject, action, repetition = words[0].split("/")
    action = RENAMED.get(action, action)
    if subject not in SUBJECTS:
        raise InputError(f"{place}: unknown subject {subject!r}; FPHA has {SUBJECTS[0]} ... {SUBJECTS[-1]}")
    whole_number(repetition, place, "repetition")
    if action not in objects:
        raise InputError(f"{place}: unknown action {action!r}; FPHA has {', '.join(objects)}")
    return _Recording(place, words[0], subject, action, whole_number(words[1], place, "label"), split)
