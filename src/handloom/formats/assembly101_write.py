"""Episodes as an Assembly101 tree."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handloom.errors import OutputError
from handloom.formats.assembly101 import POSES, RIGS, THUMB_BASE, VIDEOS
from handloom.formats.assembly_actions import FOLDER, write_actions
from handloom.formats.assembly_calibration import RigCamera, write_rig
from handloom.formats.assembly_names import ID_RATE, is_egocentric, parse_sequence
from handloom.formats.atomic import write_text
from handloom.formats.dataset_files import whole_folder, whole_hands
from handloom.formats.episode import Episode
from handloom.formats.pictures import write_videos
from handloom.geometry import invert_rigid
from handloom.skeleton import JOINT_ORDERS, PALM

_INVERSE_ORDER = np.argsort(JOINT_ORDERS["assembly101"])


def write_assembly101(root: Path | str, episodes: Iterable[Episode]) -> None:
    """Write recordings as `read_assembly101` reads them.

    The base of the thumb and the moving poses of the headset's cameras have no place in the layout.

    Args:
        root: made if it is not there.
        episodes: taken one at a time: official names, ids that count 60 per second at 30 or 60 frames per second.

    Raises:
        OutputError: the layout has no place for something in an episode, or a file cannot be written.
    """
    root, written = Path(root), []
    for name in (POSES, RIGS, VIDEOS):
        (root / name).mkdir(parents=True, exist_ok=True)
    for episode in episodes:
        _check(episode)
        if episode.streams:
            write_rig(root / RIGS / f"{episode.name}.json", _rig(episode))
        if any(stream.pictures is not None for stream in episode.streams):
            with whole_folder(root / VIDEOS / episode.name) as folder:
                write_videos(episode, {stream.name: folder / f"{stream.name}.mp4" for stream in episode.streams})
        write_text(root / POSES / f"{episode.name}.json", json.dumps(_frames(episode), allow_nan=False))
        written.append(replace(episode, streams=tuple(replace(item, pictures=None) for item in episode.streams)))
    write_actions(root / FOLDER, written)


def _frames(episode: Episode) -> list[dict[str, Any]]:
    """One entry per 60 Hz frame from 0 on; without landmarks where the episode has no such frame."""
    valid = np.delete(episode.hands.valid, THUMB_BASE, axis=-1)
    present = whole_hands(valid, f"episode {episode.name!r}", "all joints but the base of the thumb")
    joints = episode.hands.joints_m.astype(np.float64)
    joints[:, :, THUMB_BASE] = joints[:, :, PALM].mean(2)
    joints = np.round(joints[:, :, _INVERSE_ORDER] * 1000, 6)
    confidence = np.round(episode.hands.confidence[:, :, 0].astype(np.float64), 7)
    frames: list[dict[str, Any]] = [
        {"landmarks": {}, "tracking_confidence": {}} for _ in range(int(episode.frame_ids[-1]) + 1)
    ]
    for row, hand in np.argwhere(present).tolist():
        frame = frames[int(episode.frame_ids[row])]
        frame["landmarks"][str(hand)] = joints[row, hand].tolist()
        frame["tracking_confidence"][str(hand)] = float(confidence[row, hand])
    return frames


def _rig(episode: Episode) -> list[RigCamera]:
    """Fixed cameras in the world, those of the headset relative to its first one."""
    ego = [stream for stream in episode.streams if is_egocentric(stream.name)]
    parent = {stream.name: ego[0].world_from_camera[0] if stream in ego else np.eye(4) for stream in episode.streams}
    return [
        RigCamera(stream.name, stream.camera, invert_rigid(stream.world_from_camera[0]) @ parent[stream.name])
        for stream in episode.streams
    ]


def _check(episode: Episode) -> None:
    place = f"episode {episode.name!r}"
    if parse_sequence(episode.name, place).subject != episode.subject:
        raise OutputError(f"{place}: the name gives another subject than {episode.subject!r}")
    step = ID_RATE / episode.frame_rate
    wanted = np.arange(len(episode)) * int(step)
    if episode.frame_rate not in (30, ID_RATE) or (episode.frame_ids != wanted).any():
        raise OutputError(
            f"{place}: Assembly101's frame ids count {ID_RATE} per second from 0 on: number 30 frames per second "
            "0, 2, 4, ... and 60 frames per second 0, 1, 2, ..., without gaps"
        )
    for stream in episode.streams:
        if not np.isfinite(stream.world_from_camera).all():
            raise OutputError(f"{place}: camera {stream.name!r} has frames without a pose")
        if not is_egocentric(stream.name) and np.ptp(stream.world_from_camera, axis=0).any():
            raise OutputError(f"{place}: {stream.name} must stay where it is; only HMC_... cameras move")
