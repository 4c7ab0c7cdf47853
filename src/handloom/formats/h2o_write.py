"""Episodes as an H2O tree."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import OutputError
from handloom.formats.dataset_files import whole_folder, whole_hands
from handloom.formats.episode import CameraStream, Episode
from handloom.formats.h2o import PICTURES
from handloom.formats.h2o_classes import ACTIONS, CAMERAS, FRAME_RATE, OBJECTS, SCENES, SUBJECTS, VERBS, split_of
from handloom.formats.h2o_labels import write_labels
from handloom.formats.pictures import write_pictures
from handloom.geometry import Pinhole, apply_rigid, invert_rigid


def write_h2o(
    root: Path | str,
    episodes: Iterable[Episode],
    *,
    pictures: str = "rgb",
    object_sizes_m: Mapping[str, tuple[float, float, float]] | None = None,
) -> None:
    """Write recordings as `read_h2o` reads them. MANO parameters are not written: they need the MANO model.

    Args:
        root: made if it is not there.
        episodes: taken one at a time: `subject1/h1/0` ..., 30 frames per second, whole hands, H2O's own labels.
        pictures: the folder of pictures: "rgb" (PNG), "rgb256" (JPEG) or "rgb480_270" (PNG).
        object_sizes_m: extent of every object along its axes, for `obj_pose`, which is not written without.

    Raises:
        OutputError: the layout has no place for something in an episode, or a file cannot be written.
    """
    root, written = Path(root), []
    for episode in episodes:
        _check(episode)
        with whole_folder(root / episode.name) as folder:
            _write_recording(folder, episode, pictures, object_sizes_m)
        written.append(replace(episode, streams=()))
    write_labels(root, written)


def _write_recording(
    folder: Path, episode: Episode, pictures: str, sizes: Mapping[str, tuple[float, float, float]] | None
) -> None:
    present = whole_hands(episode.hands.valid, f"episode {episode.name!r}", "flag and 21 joints")
    actions = _actions_per_frame(episode)
    for stream in episode.streams:
        camera_folder = folder / stream.name
        camera_folder.mkdir()
        camera = stream.camera
        values = (camera.fx, camera.fy, camera.cx, camera.cy)
        text = " ".join(f"{value:.12g}" for value in values) + f" {camera.width} {camera.height}\n"
        (camera_folder / "cam_intrinsics.txt").write_text(text)
        camera_from_world = invert_rigid(stream.world_from_camera)
        _write_rows(camera_folder / "cam_pose", episode, stream.world_from_camera.reshape(-1, 16))
        _write_rows(camera_folder / "hand_pose", episode, _hand_rows(episode, camera_from_world, present))
        if episode.object_poses is not None:
            rows = _object_rows(episode, camera_from_world)
            _write_rows(camera_folder / "obj_pose_RT", episode, rows)
            if sizes is not None:
                _write_rows(camera_folder / "obj_pose", episode, _box_rows(rows, sizes))
        verbs = [VERBS.index(ACTIONS[action - 1][0]) + 1 if action else 0 for action in actions]
        _write_rows(camera_folder / "verb_label", episode, np.array(verbs)[:, None])
        if stream.name == CAMERAS[-1]:
            _write_rows(camera_folder / "action_label", episode, np.array(actions)[:, None])
        if stream.pictures is not None:
            (camera_folder / pictures).mkdir()

    def target(stream: CameraStream, frame: int) -> Path:
        return folder / stream.name / pictures / f"{episode.frame_ids[frame]:06d}{PICTURES[pictures]}"

    write_pictures(episode, target)


def _hand_rows(
    episode: Episode, camera_from_world: Float[np.ndarray, "T 4 4"], present: Bool[np.ndarray, "T 2"]
) -> Float[np.ndarray, "T 128"]:
    joints = apply_rigid(camera_from_world[:, None], episode.hands.joints_m.astype(np.float64))
    rows = np.concatenate([present[..., None], joints.reshape(len(episode), 2, 63)], axis=-1)
    return np.where(present[..., None], rows, 0.0).reshape(-1, 128)


def _object_rows(episode: Episode, camera_from_world: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 17"]:
    rows = np.zeros((len(episode), 17))
    if episode.object_labels is None or episode.object_poses is None:
        return rows
    used = np.flatnonzero(episode.object_labels >= 0)
    labels = episode.object_labels[used]
    poses = camera_from_world[used] @ episode.object_poses[used, labels]
    rows[used] = np.concatenate([labels[:, None] + 1, poses.reshape(-1, 16)], axis=1)
    return rows


def _box_rows(
    object_rows: Float[np.ndarray, "T 17"], sizes: Mapping[str, tuple[float, float, float]]
) -> Float[np.ndarray, "T 64"]:
    """Class and 21 points of each frame's object: its middle, the 8 corners of its box, the middles of the 12 edges.

    H2O does not document an order of corners and edges; ours is that of `_BOX`.
    """
    rows = np.zeros((len(object_rows), 64))
    rows[:, 0] = object_rows[:, 0]
    for label, name in enumerate(OBJECTS, 1):
        if name in sizes and (used := object_rows[:, 0] == label).any():
            poses = object_rows[used, 1:].reshape(-1, 4, 4)
            rows[used, 1:] = apply_rigid(poses, _BOX * np.array(sizes[name]) / 2).reshape(-1, 63)
    return rows


_GRID = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
_BOX = np.concatenate([_GRID[np.abs(_GRID).sum(1) == on] for on in (0, 3, 2)])
"""Middle, corners and middles of edges of a cube of side 2, each in the order of x, then y, then z."""


def _actions_per_frame(episode: Episode) -> list[int]:
    actions = [0] * len(episode)
    for item in episode.segments:
        actions[item.start : item.end] = [item.label_id or 0] * (item.end - item.start)
    return actions


def _write_rows(folder: Path, episode: Episode, rows: np.ndarray) -> None:
    """One file per frame."""
    folder.mkdir()
    for frame, row in zip(episode.frame_ids.tolist(), rows.tolist()):
        (folder / f"{frame:06d}.txt").write_text(" ".join(f"{value:.12g}" for value in row) + "\n")


def _check(episode: Episode) -> None:
    place = f"episode {episode.name!r}"
    subject, scene, number = (*episode.name.split("/"), "", "")[:3]
    if subject not in SUBJECTS or scene not in SCENES or not number.isdecimal() or episode.name.count("/") != 2:
        raise OutputError(
            f"{place}: H2O's recordings are called subject/scene/number, with subjects {', '.join(SUBJECTS)} and "
            f"scenes {', '.join(SCENES)}"
        )
    if (episode.subject, episode.split) != (subject, split_of(subject, scene)):
        raise OutputError(
            f"{place}: H2O puts it into {split_of(subject, scene)!r} of {subject}, found {episode.split!r} of "
            f"{episode.subject}"
        )
    if episode.frame_rate != FRAME_RATE or (np.diff(episode.frame_ids) != 1).any():
        raise OutputError(f"{place}: H2O has {FRAME_RATE} frames per second without gaps in their numbers")
    if episode.object_names not in ((), OBJECTS):
        raise OutputError(f"{place}: H2O's objects are {', '.join(OBJECTS)}; found {', '.join(episode.object_names)}")
    for stream in episode.streams:
        if stream.name not in CAMERAS or type(stream.camera) is not Pinhole:
            raise OutputError(f"{place}: H2O's cameras are pinholes called {', '.join(CAMERAS)}; found {stream.name!r}")
        if not np.isfinite(stream.world_from_camera).all():
            raise OutputError(f"{place}: camera {stream.name!r} has frames without a pose; H2O needs all of them")
    if not episode.streams:
        raise OutputError(f"{place}: H2O tells joints in the frame of a camera; give at least one")
    for item in episode.segments:
        known = item.label_id is None or (
            1 <= item.label_id <= len(ACTIONS) and (item.verb, item.noun) == ACTIONS[item.label_id - 1]
        )
        if not known:
            raise OutputError(f"{place}: segment {item.label!r} with number {item.label_id} is no action of H2O")
