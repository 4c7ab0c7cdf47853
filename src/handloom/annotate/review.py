"""Manual labels in the loop: a person's 2D corrections, what they make of the 3D, and which frames need them most."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from handloom.annotate.capture import CaptureCamera
from handloom.annotate.labels import Labels
from handloom.annotate.stage_files import block_path, blocks, load_stage
from handloom.errors import InputError
from handloom.formats.atomic import json_text, write_text
from handloom.formats.text_files import parse_json, read_text
from handloom.geometry import apply_rigid, triangulate
from handloom.skeleton import HANDS, JOINT_COUNT

EDITS = "review.json"
_UNLABELLED_DOUBT = 2.0


@dataclass(frozen=True, eq=False)
class Seen:
    """What every view saw of both hands in one frame, and how far each observation counts."""

    keypoints_px: Float[np.ndarray, "views 2 21 2"]
    weight: Float[np.ndarray, "views 2 21"]
    manual: Bool[np.ndarray, "views 2 21"]


@dataclass(frozen=True, eq=False)
class Solved:
    """The 3D of one frame in the calibration's unit, its image in every view, and the views that it rests on."""

    joints: Float[np.ndarray, "2 21 3"]
    reprojected_px: Float[np.ndarray, "views 2 21 2"]
    views: Float[np.ndarray, "2 21"]
    error_px: Float[np.ndarray, "2 21"]


class Edits:
    """A person's image positions by frame, view, hand and joint, in a file of the recording's stages."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EDITS
        self.frames: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = {}
        if self._path.is_file():
            self.frames = parse_json(self._path, read_text(self._path))["frames"]

    def set(self, frame: int, positions: Mapping[str, Any], cameras: list[CaptureCamera]) -> None:
        """Replace the positions of a frame, {view: {hand: {joint: [x, y]}}}, and write the file.

        Raises:
            InputError: a view, hand, joint or position that does not exist.
            OutputError: it cannot be written.
        """
        known = {camera.name: camera.camera for camera in cameras}
        for view, hands in positions.items():
            if view not in known:
                raise InputError(f"no camera {view!r}; there are {', '.join(known)}")
            for hand, joints in hands.items():
                for joint, place in joints.items():
                    fits = hand in HANDS and str(joint).isdecimal() and int(joint) < JOINT_COUNT and len(place) == 2
                    if not fits or not np.isfinite(np.array(place, float)).all():
                        raise InputError(f"{view}: cannot place joint {joint!r} of hand {hand!r} at {place!r}")
        self.frames[str(frame)] = {view: dict(hands) for view, hands in positions.items()}
        self.frames = dict(sorted(self.frames.items(), key=lambda item: int(item[0])))
        write_text(self._path, json_text({"frames": self.frames}, indent=1))

    def onto(self, frame: int, seen: Seen, names: list[str]) -> Seen:
        """What the views saw, with the person's positions in place of the detector's."""
        keypoints, weight, manual = seen.keypoints_px.copy(), seen.weight.copy(), seen.manual.copy()
        for view, hands in self.frames.get(str(frame), {}).items():
            for hand, joints in hands.items():
                for joint, place in joints.items():
                    at = names.index(view), HANDS.index(hand), int(joint)
                    keypoints[at], weight[at], manual[at] = place, 1.0, True
        return Seen(keypoints, weight, manual)


def seen_in(folder: Path, frame: int, length: int, shard_frames: int) -> Seen:
    """Stage 3's observations of a frame, with weight 0 for those that were not believed."""
    block = blocks(length, shard_frames)[frame // shard_frames]
    points, row = load_stage(block_path(folder / "points", block)), frame - block.start
    weight = np.where(points["believed"][:, row], points["weight"][:, row], 0.0)
    return Seen(points["keypoints_px"][:, row], weight, np.zeros(weight.shape, bool))


def solve_frame(cameras: list[CaptureCamera], poses: Float[np.ndarray, "views 4 4"], seen: Seen) -> Solved:
    """The joints of one frame from all that is believed and all that a person placed."""
    views = len(cameras)
    found = triangulate(
        [camera.camera for camera in cameras],
        poses,
        seen.keypoints_px.reshape(views, -1, 2),
        seen.weight.reshape(views, -1),
    )
    joints = found.points.reshape(2, JOINT_COUNT, 3)
    reprojected = np.full(seen.keypoints_px.shape, np.nan)
    for view, (camera, pose) in enumerate(zip(cameras, poses)):
        if np.isfinite(pose).all():
            reprojected[view] = camera.camera.project(apply_rigid(pose, joints.reshape(-1, 3)))[0].reshape(2, -1, 2)
    count = np.asarray(found.view_count, float).reshape(2, JOINT_COUNT)
    return Solved(joints, reprojected, count, found.mean_error_px.reshape(2, JOINT_COUNT))


def corrected(
    labels: Labels,
    edits: Edits,
    cameras: list[CaptureCamera],
    poses_of: Mapping[int, Float[np.ndarray, "views 4 4"]],
    seen_of: Mapping[int, Seen],
    unit_m: float,
) -> Labels:
    """Labels with those joints replaced that a person has placed in some view; they have confidence 1."""
    result = replace(labels, **{name: np.array(values) for name, values in labels.__dict__.items()})
    names = [camera.name for camera in cameras]
    for key in edits.frames:
        frame = int(key)
        seen = edits.onto(frame, seen_of[frame], names)
        solved = solve_frame(cameras, poses_of[frame], seen)
        chosen = seen.manual.any(0) & np.isfinite(solved.joints).all(-1)
        result.joints_m[frame][chosen] = solved.joints[chosen] * unit_m
        result.valid[frame][chosen], result.confidence[frame][chosen] = True, 1.0
        result.views[frame][chosen] = solved.views[chosen].astype(int)
        result.reprojection_px[frame][chosen] = solved.error_px[chosen]
    return result


def doubts(labels: Labels, seen_by_two: Bool[np.ndarray, "T 2"]) -> Float[np.ndarray, "T"]:
    """How much each frame needs a person: mean doubt of its joints, more where two views see a hand without a label."""
    doubt = np.where(labels.valid, 1 - labels.confidence, 1.0).mean(-1)
    doubt = np.where(seen_by_two, doubt, 0.0)
    return np.asarray((doubt + _UNLABELLED_DOUBT * (seen_by_two & ~labels.valid.any(-1))).max(1))
