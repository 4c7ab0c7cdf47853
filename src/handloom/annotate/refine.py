"""Stage 4, if there is a network: every hand of a block again by MVExoNet, round after round from its own result."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.annotate.capture import CaptureCamera
from handloom.annotate.detect import pictures_between
from handloom.annotate.points import Points, edge_weight
from handloom.annotate.shards import BlockTask
from handloom.annotate.solve import started, stretches
from handloom.annotate.stage_files import load_stage, save_stage
from handloom.estimators.view_crops import HandCrops, cut, nothing
from handloom.skeleton import HANDS, JOINT_COUNT, LEFT

REFINED = "refined"
ROOM = 2.5
"""Of the kept pictures: how far a hand may turn out to lie from where it was triangulated."""
_KEPT_SHARE = 2
"""Side of kept pictures by that of the network's crops."""
LEAST_SCORE = 0.3
"""A hand whose joints have a lower mean score is not where it was looked for: no place in its volume stands out."""
_LONGEST_GAP = 10
"""Frames between triangulated hands in which the network looks for the hand on the straight line between them."""


@dataclass(frozen=True, eq=False)
class RefineTask:
    """A block, what its pictures are read from, and the network.

    Attributes:
        task: the block; `points` of it are done.
        cameras: with their pictures.
        weights: folder of the network.
        rounds: how often.
        unit_m: metres per unit of the poses.
        device: where the network computes.
    """

    task: BlockTask
    cameras: tuple[CaptureCamera, ...]
    weights: Path
    rounds: int
    unit_m: float
    device: Literal["auto", "cpu", "cuda", "mps"]


def refine_shard(task: RefineTask) -> None:
    """The hands of a block by the network, in the shape of `Points`, with the joints of every round and their score.

    Hands below `LEAST_SCORE` have no joints in `Points`.
    """
    from handloom.estimators.mvexonet import Annotator
    from handloom.estimators.torch_threads import one_torch_thread

    with one_torch_thread():
        annotator = Annotator(task.weights, task.device)
        block, T = task.task, len(task.task.block)
        start = _starts(load_stage(block.path("points"))["joints"])
        frame, hand = np.nonzero(np.isfinite(start).any((2, 3)))
        begun = start[frame, hand]
        crops = _read(task, begun, frame, annotator.config.crop_size * _KEPT_SHARE)
        rounds, found = np.full((task.rounds, T, 2, JOINT_COUNT, 3), np.nan), None
        told = annotator.rounds(crops, hand == LEFT, crops.plane(begun), begun, task.rounds, task.unit_m)
        for number, found in enumerate(told if len(hand) else ()):
            rounds[number, frame, hand] = found.joints
        shape = (len(task.cameras), T, 2, JOINT_COUNT)
        keypoints, weight, score = np.full((*shape, 2), np.nan), np.zeros(shape), np.zeros((T, 2, JOINT_COUNT))
        if found is not None:
            score[frame, hand] = found.score
            for view, camera in enumerate(block.cameras):
                poses = np.broadcast_to(block.poses[view], (T, 4, 4))[frame]
                rays = np.einsum("hij,hnj->hni", poses[:, :3, :3], found.alone.directions[:, view])
                pixels, seen = camera.project(np.where(np.isfinite(rays), rays, [0, 0, -1.0]))
                keypoints[view, frame, hand] = np.where(seen[..., None], pixels, np.nan)
                weight[view, frame, hand] = (
                    edge_weight(camera, keypoints[view, frame, hand]) * found.alone.score[:, view]
                )
        unsure = score.mean(-1) < LEAST_SCORE
        weight[:, unsure] = 0
        points = agreed(block, keypoints, weight, np.where(unsure[..., None, None], np.nan, rounds[-1]))
        save_stage(block.path(REFINED), block.made_of, {**points.__dict__, "rounds": rounds, "score": score})


def agreed(
    block: BlockTask,
    keypoints_px: Float[np.ndarray, "views T 2 21 2"],
    weight: Float[np.ndarray, "views T 2 21"],
    joints: Float[np.ndarray, "T 2 21 3"],
) -> Points:
    """Joints and what each view by itself saw, with how far these are from each other."""
    T, errors = len(joints), []
    for camera, poses, seen_px in zip(block.cameras, block.poses, keypoints_px):
        pose = np.broadcast_to(poses, (T, 4, 4))
        local = np.einsum("tij,thnj->thni", pose[:, :3, :3], joints) + pose[:, None, None, :3, 3]
        pixels, visible = camera.project(np.where(np.isfinite(local), local, [0, 0, -1.0]))
        errors.append(np.where(visible, np.linalg.norm(pixels - seen_px, axis=-1), np.nan))
    error = np.stack(errors)
    with np.errstate(invalid="ignore"):
        believed: Bool[np.ndarray, "views T 2 21"] = (weight > 0) & (error <= block.threshold_px)
    return Points(keypoints_px, weight, believed, joints, error)


def _starts(joints: Float[np.ndarray, "T 2 21 3"]) -> Float[np.ndarray, "T 2 21 3"]:
    """Triangulated joints with short gaps filled; NaN in long ones."""
    out = np.full_like(joints, np.nan)
    for hand in range(len(HANDS)):
        for frames in stretches(np.isfinite(joints[:, hand]).any((1, 2)), _LONGEST_GAP):
            rows = slice(frames.start, frames.stop)
            out[rows, hand] = started(joints[rows, hand])
    return out


def _read(
    task: RefineTask, joints: Float[np.ndarray, "hands 21 3"], frame: Int[np.ndarray, "hands"], size: int
) -> HandCrops:
    """All hands of the block in all its cameras; a picture is read once, and only if there is a hand to see."""
    crops = nothing(len(frame), len(task.cameras), size)
    for view, camera in enumerate(task.cameras):
        wanted = task.task.index[view][frame]
        known = wanted[wanted >= 0]
        if not len(known):
            continue
        poses = np.broadcast_to(task.task.poses[view], (len(task.task.block), 4, 4))
        for number, image in pictures_between(camera, int(known.min()), int(known.max()) + 1):
            rows = np.flatnonzero(wanted == number)
            if len(rows):
                crops.put(rows, view, cut(image, camera.camera, poses[frame[rows[0]]], joints[rows], size, ROOM))
    return crops
