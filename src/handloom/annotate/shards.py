"""What happens to one block of frames in each stage: pure functions from the files of one stage to that of the next."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from handloom.annotate.clusters import cluster_block
from handloom.annotate.detect import Detections, Found
from handloom.annotate.points import chosen_keypoints, triangulate_hands
from handloom.annotate.solve import Problem, solve, started, stretches
from handloom.annotate.stage_files import block_path, load_stage, safe, save_stage
from handloom.geometry import Camera
from handloom.skeleton import HANDS, JOINT_COUNT

OVERLAP_FRAMES = 30
"""Frames beside a block that are solved with it, so that blocks meet."""
_LONGEST_GAP = 10
_FRAME_AXIS = {"keypoints_px": 1, "weight": 1, "believed": 1, "joints": 0, "error_px": 1}


@dataclass(frozen=True, eq=False)
class BlockTask:
    """Block of a recording, the recording's folder, its cameras, and what is needed of them.

    Attributes:
        folder: of the recording's stages.
        block: frames.
        length, size: number of frames of the recording, and of a block.
        cameras: without the poses of other blocks.
        pictures: number of pictures of every camera.
        index: (cameras, frames of the block) picture of every camera.
        poses: of every camera: one, or one per frame of the block and, for `solve_block`, of its surroundings.
        times_s: of the block's frames.
        threshold_px: see the options.
        made_of: digest to write.
        step_s: time from frame to frame.
        source: folder of the points that are solved: triangulated ones, or a network's, which then count as they are.
    """

    folder: Path
    block: range
    length: int
    size: int
    names: tuple[str, ...]
    cameras: tuple[Camera, ...]
    pictures: tuple[int, ...]
    index: Int[np.ndarray, "cameras n"]
    poses: tuple[Float[np.ndarray, "_ 4 4"], ...]
    times_s: Float[np.ndarray, "n"]
    threshold_px: float
    made_of: str
    step_s: float
    source: str = "points"

    def found(self) -> list[Found]:
        """Stage 1's result for the frames of the block."""
        return [
            Detections(self.folder / "detect" / safe(name), count, self.size).at(index)
            for name, count, index in zip(self.names, self.pictures, self.index)
        ]

    def path(self, stage: str) -> Path:
        """File of the block."""
        return block_path(self.folder / stage, self.block)


def surroundings(block: range, length: int) -> range:
    """The block with the frames beside it."""
    return range(max(0, block.start - OVERLAP_FRAMES), min(length, block.stop + OVERLAP_FRAMES))


def cluster_shard(task: BlockTask) -> None:
    """Detections of a block into clusters, each one hand."""
    clusters = cluster_block(list(task.cameras), list(task.poses), task.found(), task.times_s, task.threshold_px)
    save_stage(task.path("clusters"), task.made_of, clusters.__dict__)


def triangulate_shard(task: BlockTask) -> None:
    """The hands of a block into points."""
    slots = load_stage(task.path("hands"))["slots"]
    keypoints, score = chosen_keypoints(task.found(), slots)
    points = triangulate_hands(list(task.cameras), list(task.poses), keypoints, score, task.threshold_px)
    save_stage(task.path("points"), task.made_of, points.__dict__)


def solve_shard(task: BlockTask) -> None:
    """The points of a block, with those beside it, into the joints that fit them all."""
    around = surroundings(task.block, task.length)
    size = task.size
    first = around.start // size * size
    starts = range(first, around.stop, size)
    parts = [load_stage(block_path(task.folder / task.source, range(start, task.length))) for start in starts]
    frames_of = {name: np.concatenate([part[name] for part in parts], _FRAME_AXIS[name]) for name in _FRAME_AXIS}
    data = _cut(frames_of, slice(around.start - first, around.stop - first))
    bones = load_stage(task.folder / "bones.npz")
    inner = slice(task.block.start - around.start, task.block.stop - around.start)
    joints = np.full_like(data["joints"], np.nan)
    anchored = task.source != "points"
    weight = np.where(data["believed"] & (not anchored), data["weight"], 0.0)
    for hand in range(len(HANDS)):
        shown = np.asarray((weight[:, :, hand] > 0).any((0, 2)))
        if anchored:
            shown = np.asarray(np.isfinite(data["joints"][:, hand]).all((1, 2)))
        for frames in stretches(shown, _LONGEST_GAP):
            rows = slice(frames.start, frames.stop)
            start = started(data["joints"][rows, hand])
            if not np.isfinite(start).all():
                continue
            problem = Problem(
                list(task.cameras),
                [pose if len(pose) == 1 else pose[rows] for pose in task.poses],
                data["keypoints_px"][:, rows, hand],
                weight[:, rows, hand],
                bones["lengths"],
                float(bones["palm"]),
                task.step_s,
                data["joints"][rows, hand] if anchored else None,
            )
            joints[rows, hand] = solve(problem, start)
    joints = joints[inner]
    poses = [pose if len(pose) == 1 else pose[inner] for pose in task.poses]
    result = _agreement(task, poses, joints, _cut(data, inner))
    save_stage(task.path("joints"), task.made_of, {"joints": joints, **result})


def _cut(data: dict[str, np.ndarray], frames: slice) -> dict[str, np.ndarray]:
    return {name: values[frames] if _FRAME_AXIS[name] == 0 else values[:, frames] for name, values in data.items()}


def _agreement(
    task: BlockTask, poses: list[np.ndarray], joints: np.ndarray, data: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Error of every view, and over the views that agree with the solution its mean, their number and mean weight."""
    T = len(joints)
    errors = []
    for view, (camera, pose) in enumerate(zip(task.cameras, poses)):
        pose = np.broadcast_to(pose, (T, 4, 4))
        flat = joints.reshape(T, -1, 3)
        local = flat @ np.swapaxes(pose[:, :3, :3], -1, -2) + pose[:, None, :3, 3]
        pixels, visible = camera.project(local)
        off = np.linalg.norm(pixels.reshape(T, 2, JOINT_COUNT, 2) - data["keypoints_px"][view], axis=-1)
        errors.append(np.where(visible.reshape(off.shape), off, np.nan))
    error = np.stack(errors)
    with np.errstate(invalid="ignore"):
        agree = (data["weight"] > 0) & (error <= task.threshold_px)
    views = agree.sum(0)
    count = np.maximum(views, 1)
    mean = np.where(views > 0, np.where(agree, error, 0).sum(0) / count, np.nan)
    score = np.where(agree, data["weight"], 0).sum(0) / count
    return {"view_error_px": error.astype(np.float32), "error_px": mean, "views": views, "score": score}
