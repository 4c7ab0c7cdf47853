"""Episodes as an FPHA tree."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from handloom.errors import OutputError
from handloom.formats.atomic import write_text
from handloom.formats.dataset_files import whole_folder, whole_hands
from handloom.formats.episode import CameraStream, Episode
from handloom.formats.fpha import NO_SCENE, OBJECT_FILE, PICTURES, SKELETONS, SPLIT_FILE
from handloom.formats.fpha_classes import (
    ACTIONS,
    CAMERA,
    CAMERA_FROM_WORLD,
    FRAME_RATE,
    OBJECT_OF_ACTION,
    SUBJECTS,
)
from handloom.formats.pictures import fitted, write_pictures
from handloom.geometry import apply_rigid, invert_rigid
from handloom.skeleton import JOINT_ORDERS, LEFT, RIGHT

_INFO_HEADER = "Subject: {}\n\nAction Repetition Length\n"
_TOLERANCE_PX = 0.01
_INVERSE_ORDER = np.argsort(JOINT_ORDERS["fpha"])


def write_fpha(root: Path | str, episodes: Iterable[Episode]) -> None:
    """Write recordings as `read_fpha` reads them. Pictures smaller than 1920 x 1080 go to `Video_files_480`.

    FPHA has one camera, whose numbers are in no file, and no other world than that of its depth sensor: joints are
    written as that camera sees them.

    Args:
        root: made if it is not there.
        episodes: taken one at a time: `Subject_1/put_salt/1` ..., 30 frames per second, numbered from 0, one camera
            "color" with FPHA's intrinsics (scaled to any size), the right hand only, one of the 45 actions.

    Raises:
        OutputError: the layout has no place for something in an episode, or a file cannot be written.
    """
    root = Path(root)
    lengths: dict[str, list[str]] = {}
    splits: dict[str, list[str]] = {"train": [], "test": []}
    scenes: dict[str, str] = {}
    for episode in episodes:
        camera = _check(episode)
        rows = _rows(episode, camera)
        pictures = root / PICTURES[0 if camera.camera.width == CAMERA.width else 1] / episode.name
        if camera.pictures is not None:
            with whole_folder(pictures) as folder:
                color = folder / "color"
                color.mkdir()
                write_pictures(episode, partial(_picture_path, color))
        with whole_folder(root / SKELETONS[0] / episode.name) as folder:
            text = "\n".join(" ".join(f"{value:.10g}" for value in row) for row in rows.tolist())
            (folder / "skeleton.txt").write_text(text + "\n")
        subject, action, repetition = episode.name.split("/")
        lengths.setdefault(subject, []).append(f"{action} {repetition} {len(episode)}")
        scenes[action] = episode.scene
        splits[episode.split or ""].append(f"{episode.name} {episode.segments[0].label_id}")
    (root / "Subjects_info").mkdir(parents=True, exist_ok=True)
    for subject, lines in lengths.items():
        write_text(root / "Subjects_info" / f"{subject}_info.txt", _INFO_HEADER.format(subject) + "\n".join(lines))
    blocks = [f"{title} {len(splits[split])}" for title, split in (("Training", "train"), ("Test", "test"))]
    write_text(root / SPLIT_FILE, "\n".join((blocks[0], *splits["train"], blocks[1], *splits["test"])) + "\n")
    table = (
        f"{number} {action} {item} 0 {scenes.get(action) or NO_SCENE}"
        for number, (action, item) in enumerate(OBJECT_OF_ACTION.items(), 1)
    )
    write_text(root / OBJECT_FILE, "\n".join(("Id Action Object Object_pose Scenario", *table)) + "\n")


def _picture_path(folder: Path, stream: CameraStream, frame: int) -> Path:
    return folder / f"color_{frame:04d}.jpeg"


def _rows(episode: Episode, stream: CameraStream) -> np.ndarray:
    """Frame number and joints in millimetres, in FPHA's order and world; zeros for a missing hand."""
    present = whole_hands(episode.hands.valid, f"episode {episode.name!r}", "21 joints")[:, RIGHT]
    world_from_ours = invert_rigid(CAMERA_FROM_WORLD) @ invert_rigid(stream.world_from_camera)
    joints = apply_rigid(world_from_ours, episode.hands.joints_m[:, RIGHT].astype(np.float64))
    values = np.where(present[:, None], 1000 * joints[:, _INVERSE_ORDER].reshape(-1, 63), 0.0)
    return np.concatenate([np.arange(len(episode))[:, None], values], axis=1)


def _check(episode: Episode) -> CameraStream:
    place = f"episode {episode.name!r}"
    subject, action, repetition = (*episode.name.split("/"), "", "")[:3]
    if subject not in SUBJECTS or action not in ACTIONS or not repetition.isdecimal() or episode.name.count("/") != 2:
        raise OutputError(
            f"{place}: FPHA's recordings are called subject/action/repetition, with subjects {SUBJECTS[0]} ... "
            f"{SUBJECTS[-1]} and its own 45 actions"
        )
    if episode.subject != subject or episode.split not in ("train", "test"):
        raise OutputError(
            f"{place}: FPHA has the splits train and test, and the subject in the name; found {episode.split!r} and "
            f"{episode.subject!r}"
        )
    if episode.frame_rate != FRAME_RATE or (episode.frame_ids != np.arange(len(episode))).any():
        raise OutputError(f"{place}: FPHA has {FRAME_RATE} frames per second, numbered from 0 without gaps")
    if episode.hands.valid[:, LEFT].any():
        raise OutputError(f"{place}: FPHA labels the right hand only; mark the left one invalid")
    whole = [(item.start, item.end, item.label_id) for item in episode.segments]
    if whole != [(0, len(episode), ACTIONS.index(action))]:
        raise OutputError(f"{place}: expected one segment over all frames with label {ACTIONS.index(action)}")
    if len(episode.streams) != 1 or episode.streams[0].name != "color":
        raise OutputError(f"{place}: FPHA has one camera, called 'color'")
    stream = episode.streams[0]
    camera = fitted(CAMERA, (stream.camera.width, stream.camera.height), place)
    found, official = (np.array([item.fx, item.fy, item.cx, item.cy]) for item in (stream.camera, camera))
    if type(stream.camera) is not type(camera) or np.abs(found - official).max() > _TOLERANCE_PX:
        raise OutputError(f"{place}: FPHA has one camera, {camera}; found {stream.camera}")
    if not np.isfinite(stream.world_from_camera).all():
        raise OutputError(f"{place}: the camera has frames without a pose; FPHA needs all of them")
    return stream
