"""Episodes as an AssemblyHands tree."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handloom.errors import OutputError
from handloom.formats.assembly_actions import FOLDER, write_actions
from handloom.formats.assembly_calibration import write_calib_text
from handloom.formats.assembly_names import ID_RATE, is_egocentric, parse_sequence
from handloom.formats.assemblyhands import EXO_FOLDER, FRAME_RATE
from handloom.formats.assemblyhands_files import file_of
from handloom.formats.atomic import write_text
from handloom.formats.dataset_files import whole_folder
from handloom.formats.episode import CameraStream, Episode
from handloom.formats.pictures import write_pictures, write_videos
from handloom.geometry import Pinhole, apply_rigid, invert_rigid
from handloom.hands import HandTrack
from handloom.skeleton import HANDS, JOINT_NAMES, JOINT_ORDERS

EGO_FOLDER = "ego_images_rectified"
_INVERSE_ORDER = np.argsort(JOINT_ORDERS["assemblyhands"])
_STEP = ID_RATE // FRAME_RATE


def write_assemblyhands(root: Path | str, episodes: Iterable[Episode]) -> None:
    """Write recordings as `read_assemblyhands` reads them, with their actions in `fine-grained-annotations`.

    Cameras called HMC_..._mono10bit are those of the headset: one JPEG per frame that shows a hand. The others are
    fixed: one video each. Boxes and per-view validity that a headset's stream lacks are those of its joints.

    Args:
        root: made if it is not there.
        episodes: taken one at a time: official names, 30 frames per second, ids that count 60 per second, pinholes.

    Raises:
        OutputError: the layout has no place for something in an episode, or a file cannot be written.
    """
    root = Path(root)
    files: dict[str, dict[str, Any]] = {}
    written = []
    for episode in episodes:
        _check(episode)
        split = str(episode.split)
        images = root / "images" / EGO_FOLDER / split / episode.name
        ego = replace(
            episode,
            streams=tuple(_annotated(item, episode.hands) for item in episode.streams if is_egocentric(item.name)),
        )
        exo = replace(episode, streams=tuple(item for item in episode.streams if not is_egocentric(item.name)))
        if any(stream.pictures is not None for stream in ego.streams):
            with whole_folder(images) as folder:
                for stream in ego.streams:
                    (folder / stream.name).mkdir()
                write_pictures(ego, partial(_image_path, folder, ego))
        if exo.streams:
            with whole_folder(root / EXO_FOLDER / episode.name) as folder:
                write_calib_text(folder / "calib.txt", exo.streams)
                write_videos(exo, {stream.name: folder / f"{stream.name}.mp4" for stream in exo.streams})
        _add(files.setdefault(split, _empty()), ego)
        written.append(replace(episode, streams=tuple(replace(item, pictures=None) for item in episode.streams)))
    for split, values in files.items():
        file_of(root, split, "").parent.mkdir(parents=True, exist_ok=True)
        for kind, content in values.items():
            write_text(file_of(root, split, kind), json.dumps(content, allow_nan=False))
    write_text(root / "annotations" / "skeleton.txt", _skeleton())
    if any(episode.segments for episode in written):
        write_actions(root / FOLDER, written)


def _empty() -> dict[str, Any]:
    return {
        "ego_data": {"images": [], "annotations": []},
        "ego_calib": {"calibration": {}},
        "joint_3d": {"annotations": {}},
    }


def _add(files: dict[str, Any], episode: Episode) -> None:
    keys = [f"{frame:06d}" for frame in episode.frame_ids.tolist()]
    joints = np.nan_to_num(_their_order(episode.hands.joints_m.astype(np.float64)) * 1000)
    valid = _their_order(episode.hands.valid[..., None])[..., 0].astype(int)
    files["joint_3d"]["annotations"][episode.name] = {
        key: {"world_coord": np.round(points, 6).tolist(), "joint_valid": flags.tolist()}
        for key, points, flags in zip(keys, joints, valid)
    }
    extrinsics: dict[str, dict[str, Any]] = {key: {} for key in keys}
    for stream in episode.streams:
        camera_from_world = invert_rigid(stream.world_from_camera)[:, :3].copy()
        camera_from_world[..., 3] *= 1000
        for key, pose in zip(keys, camera_from_world):
            if np.isfinite(pose).all():
                extrinsics[key][stream.name] = pose.tolist()
        _add_images(files["ego_data"], episode, stream)
    intrinsics = {stream.name: stream.camera.matrix.tolist() for stream in episode.streams}
    files["ego_calib"]["calibration"][episode.name] = {"intrinsics": intrinsics, "extrinsics": extrinsics}


def _add_images(data: dict[str, Any], episode: Episode, stream: CameraStream) -> None:
    boxes, visible = np.asarray(stream.boxes_px)[:, ::-1], np.asarray(stream.visible)
    joint_valid = _their_order(visible[..., None])[..., 0].astype(int)
    for frame in np.flatnonzero(_shows_hand(stream)).tolist():
        identity = len(data["images"])
        number = int(episode.frame_ids[frame])
        image = {
            "id": identity,
            "file_name": f"{EGO_FOLDER}/{episode.split}/{episode.name}/{stream.name}/{number:06d}.jpg",
            "width": stream.camera.width,
            "height": stream.camera.height,
            "seq_name": episode.name,
            "camera": stream.name.removesuffix("_mono10bit"),
            "frame_idx": number,
        }
        bbox = {side: None if np.isnan(box).any() else box.tolist() for side, box in zip(HANDS[::-1], boxes[frame])}
        data["images"].append(image)
        data["annotations"].append(
            {"id": identity, "image_id": identity, "bbox": bbox, "joint_valid": joint_valid[frame].tolist()}
        )


def _annotated(stream: CameraStream, hands: HandTrack) -> CameraStream:
    """The stream with boxes and visibility: those that it has, else those of the joints inside the picture."""
    camera_from_world = invert_rigid(stream.world_from_camera)[:, None]
    pixels, _ = stream.camera.project(apply_rigid(camera_from_world, hands.joints_m.astype(np.float64)))
    with np.errstate(invalid="ignore"):
        inside = ((pixels > -0.5) & (pixels < (stream.camera.width - 0.5, stream.camera.height - 0.5))).all(-1)
    visible = hands.valid & inside if stream.visible is None else stream.visible
    boxes = stream.boxes_px
    if boxes is None:
        shown = (visible & np.isfinite(pixels).all(-1))[..., None]
        low, high = np.where(shown, pixels, np.inf).min(2), np.where(shown, pixels, -np.inf).max(2)
        boxes = np.where(shown.any(2), np.concatenate([low, high], -1), np.nan)
    return replace(stream, boxes_px=boxes, visible=visible)


def _shows_hand(stream: CameraStream) -> np.ndarray:
    return np.asarray(np.asarray(stream.visible).any((1, 2)) | ~np.isnan(np.asarray(stream.boxes_px)).all((1, 2)))


def _image_path(folder: Path, episode: Episode, stream: CameraStream, frame: int) -> Path | None:
    if not _shows_hand(stream)[frame]:
        return None
    return folder / stream.name / f"{episode.frame_ids[frame]:06d}.jpg"


def _their_order(values: np.ndarray) -> np.ndarray:
    """(T, 2, 21, d) to (T, 42, d): right hand first, tips first."""
    return np.asarray(values[:, ::-1][:, :, _INVERSE_ORDER].reshape(len(values), 42, -1))


def _skeleton() -> str:
    """Name, id and parent of every joint; the wrist's parent is -1."""
    order = JOINT_ORDERS["assemblyhands"]
    lines = ["# joint_name joint_id joint_parent_id"]
    for first, side in ((0, "R"), (21, "L")):
        for theirs, ours in enumerate(_INVERSE_ORDER.tolist()):
            parent = -1 if ours == 0 else first + order[0 if ours % 4 == 1 else ours - 1]
            lines.append(f"{JOINT_NAMES[ours]}_{side} {first + theirs} {parent}")
    return "\n".join(lines) + "\n"


def _check(episode: Episode) -> None:
    place = f"episode {episode.name!r}"
    if parse_sequence(episode.name, place).subject != episode.subject:
        raise OutputError(f"{place}: the name gives another subject than {episode.subject!r}")
    if episode.split is None:
        raise OutputError(f"{place}: AssemblyHands has a file per split, and this episode has no split")
    if episode.frame_rate != FRAME_RATE or ((episode.frame_ids - episode.frame_ids[0]) % _STEP).any():
        raise OutputError(
            f"{place}: AssemblyHands has {FRAME_RATE} frames per second with ids that count {ID_RATE}: number them "
            "0, 2, 4, ..."
        )
    for stream in episode.streams:
        if type(stream.camera) is not Pinhole:
            raise OutputError(
                f"{place}: pictures of AssemblyHands are rectified, but {stream.name} is a "
                f"{type(stream.camera).__name__} camera; render it as a pinhole"
            )
        if not is_egocentric(stream.name) and np.ptp(stream.world_from_camera, axis=0).any():
            raise OutputError(f"{place}: {stream.name} must stay where it is; only HMC_... cameras move")
