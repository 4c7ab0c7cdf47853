"""The hands of a store as all its cameras see them, cut once and kept on disk, so that no picture is read again."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.annotate.capture import Capture, Captures
from handloom.annotate.detect import pictures_between
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.timeline import timeline
from handloom.datasets.clips import recordings_of
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.view_crops import ROOM, HandCrops, cut, nothing
from handloom.formats.dataset_files import whole_folder
from handloom.formats.npz_files import read_npz
from handloom.progress import Progress, silent
from handloom.skeleton import LEFT

_PICTURES, _NUMBERS = "pictures.npy", "numbers.npz"


@dataclass(frozen=True, eq=False)
class LabelledHands:
    """Hands of one recording with their truth; N counts frames with a hand that is labelled as a whole.

    Attributes:
        name: of the recording.
        crops: of all cameras.
        joints_m: in the world.
        left: which are left hands.
        frame: where in the recording.
        cameras: names of the cameras.
        moving: which of them move: those of a headset.
    """

    name: str
    crops: HandCrops
    joints_m: Float[np.ndarray, "hands 21 3"]
    left: Bool[np.ndarray, "hands"]
    frame: Int[np.ndarray, "hands"]
    cameras: tuple[str, ...]
    moving: Bool[np.ndarray, "views"]


def labelled_hands(
    store: Path,
    split: str | None,
    folder: Path,
    size: int,
    cameras: tuple[str, ...] = (),
    room: float = ROOM,
    progress: Progress = silent,
) -> list[LabelledHands]:
    """All labelled hands of a split, cut now or by an earlier run.

    Args:
        store: with pictures.
        split: of the store; None for all of it.
        folder: where the crops of several stores may lie.
        size: of the kept pictures.
        cameras: names of those to look through; by default all.
        room: side of a kept picture over that of the square that just holds the hand.
        progress: told of every recording.

    Raises:
        InputError: no such split, camera or pictures, fewer than two cameras, or no labelled hand.
        OutputError: the folder cannot be written.
    """
    opened = Store(store)
    recordings = list(opened.recordings) if split is None else recordings_of(opened, split)
    captures = Captures(store, AnnotateOptions(cameras=cameras))
    key = sha256(repr((store_digest(opened), size, cameras, room)).encode()).hexdigest()[:16]
    found = []
    for done, recording in enumerate(recordings):
        progress("crops", done, len(recordings))
        place = folder / key / f"{recording.index:06d}"
        if not place.is_dir():
            _cut_recording(opened, recording.index, captures.read(recording.name), place, size, room)
        found.append(_read(recording.name, place))
    progress("crops", len(recordings), len(recordings))
    if not any(len(hands.left) for hands in found):
        raise InputError(f"{store}, split {split!r}: no hand has all its joints labelled; MVExoNet needs such")
    return found


def _cut_recording(store: Store, index: int, capture: Capture, place: Path, size: int, room: float) -> None:
    columns = store.columns(index, ["hand.joints", "hand.valid"])
    frame, hand = np.nonzero(columns["hand.valid"].all(-1))
    joints = columns["hand.joints"][frame, hand].astype(np.float64)
    clock = timeline(capture.cameras)
    empty = nothing(len(frame), len(capture.cameras), 1)
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(place) as part:
        shape = (*empty.focal_px.shape, size, size, 3)
        # On disk from the start: the pictures of a long recording need not fit into memory.
        crops = replace(empty, pictures=np.lib.format.open_memmap(part / _PICTURES, "w+", np.uint8, shape))
        for view, camera in enumerate(capture.cameras):
            at = clock.index[view]
            poses = np.broadcast_to(camera.poses(at), (len(at), 4, 4))
            for number, image in pictures_between(camera, 0, len(camera)):
                rows = np.flatnonzero(at[frame] == number)
                if len(rows):
                    crops.put(rows, view, cut(image, camera.camera, poses[frame[rows[0]]], joints[rows], size, room))
        numbers = {"pose": crops.crop_from_world, "focal": crops.focal_px, "joints": joints, "hand": hand}
        numbers["cameras"] = np.array([camera.name for camera in capture.cameras])
        numbers["moving"] = np.array([len(camera.camera_from_world) > 1 for camera in capture.cameras])
        with (part / _NUMBERS).open("wb") as file:
            np.savez(file, allow_pickle=False, frame=frame, **numbers)


def _read(name: str, place: Path) -> LabelledHands:
    numbers = read_npz(place / _NUMBERS)
    try:
        pictures = np.load(place / _PICTURES, mmap_mode="r")
    except (OSError, ValueError):
        raise InputError(f"{place / _PICTURES} is damaged; delete {place}, and it is made again") from None
    crops = HandCrops(pictures, numbers["pose"], numbers["focal"])
    cameras = tuple(numbers["cameras"].tolist())
    left = numbers["hand"] == LEFT
    return LabelledHands(name, crops, numbers["joints"], left, numbers["frame"], cameras, numbers["moving"])
