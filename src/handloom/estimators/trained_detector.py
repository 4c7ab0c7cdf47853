"""A detector that somebody has trained for a rig: one network finds boxes of hands, another the joints in each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from handloom.estimators.detections import Detection
from handloom.estimators.ego_crops import boxes_around
from handloom.estimators.hand_finder import HandBoxes, HandFinder
from handloom.estimators.htt_network import Device
from handloom.estimators.mvexonet import Annotator
from handloom.estimators.svegonet import SVEgoNet, seen_in_picture
from handloom.estimators.view_crops import corners, cut_outlines
from handloom.estimators.whole_pictures import tight_boxes
from handloom.geometry import Camera
from handloom.skeleton import JOINT_COUNT

Joints = tuple[Float[np.ndarray, "n 21 2"], Float[np.ndarray, "n 21"]]
"""Image positions, NaN for a hand that cannot be cut out, and how sure each is, 0 ... 1."""
JointFinder = Callable[[UInt8[np.ndarray, "H W 3"], HandBoxes], Joints]
"""The joints of the hands in some boxes of an RGB picture, which just hold them."""


_TRIED = 2
"""Boxes that joints are looked for in, for each hand that is wanted."""


class TrainedDetector:
    """The `Detector` of trained networks. Every picture is looked at by itself.

    Args:
        finder: finds boxes.
        joints: finds joints in them.
        min_confidence: a box that is less sure is no hand.
        max_hands: the most hands in a picture, half of them left ones.
    """

    def __init__(self, finder: HandFinder, joints: JointFinder, min_confidence: float, max_hands: int = 2) -> None:
        self._finder, self._joints = finder, joints
        self._min_confidence, self._max_hands = min_confidence, max_hands

    def detect(self, image: UInt8[np.ndarray, "H W 3"]) -> list[Detection]:
        """Hands in one RGB picture: of more boxes than wanted those in which joints are surest, of both sides alike."""
        found = self._finder.find(image)
        boxes = found.of(np.flatnonzero(found.scores >= self._min_confidence)[: _TRIED * self._max_hands])
        boxes = boxes._replace(boxes_px=tight_boxes(boxes.boxes_px))
        if not len(boxes.scores):
            return []
        keypoints, sure = self._joints(image, boxes)
        scores = boxes.scores * sure.mean(1)
        no_depth, no_world = np.full(JOINT_COUNT, np.nan), np.full((JOINT_COUNT, 3), np.nan)
        hands: list[Detection] = []
        left = {True: (self._max_hands + 1) // 2, False: (self._max_hands + 1) // 2}
        for row in np.argsort(-scores, kind="stable").tolist():
            side = bool(boxes.right[row])
            if left[side] and np.isfinite(keypoints[row]).all() and len(hands) < self._max_hands:
                left[side] -= 1
                right = float(boxes.right_probability[row])
                box, score = boxes.boxes_px[row], float(scores[row])
                hands.append(Detection(keypoints[row], no_depth, no_world, score, right, box))
        return hands

    def reset(self) -> None:
        """There is nothing to forget."""

    def close(self) -> None:
        """There is nothing to free."""

    def __enter__(self) -> "TrainedDetector":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def svegonet_joints(network: SVEgoNet, camera: Camera) -> JointFinder:
    """The joints as SVEgoNet sees them."""

    def joints(image: UInt8[np.ndarray, "H W 3"], boxes: HandBoxes) -> Joints:
        wanted = boxes_around(corners(boxes.boxes_px))
        seen = seen_in_picture(network, camera, image, wanted, boxes.right.astype(int))
        keypoints, sure = (
            np.full((len(boxes.scores), JOINT_COUNT, 2), np.nan),
            np.zeros((len(boxes.scores), JOINT_COUNT)),
        )
        keypoints[seen.row], sure[seen.row] = seen.keypoints_px, seen.said.confidence
        return keypoints, sure

    return joints


def mvexonet_joints(annotator: Annotator, camera: Camera) -> JointFinder:
    """The joints as MVExoNet sees them in one view, by its heads for that."""
    config = annotator.config

    def joints(image: UInt8[np.ndarray, "H W 3"], boxes: HandBoxes) -> Joints:
        crops = cut_outlines(image, camera, np.eye(4), corners(boxes.boxes_px), config.crop_size, config.crop_margin)
        found = annotator.alone(crops, ~boxes.right)
        rays = found.directions[:, 0]
        pixels, seen = camera.project(np.where(np.isfinite(rays), rays, [0, 0, -1.0]))
        return np.where(seen[..., None], pixels, np.nan), found.score[:, 0]

    return joints


def annotating_detector(
    detector: Path, network: Path, camera: Camera, min_confidence: float, max_hands: int, device: Device
) -> TrainedDetector:
    """The detector of `handloom annotate`: boxes of the one run, joints of MVExoNet. Raises InputError."""
    joints = mvexonet_joints(Annotator(network, device), camera)
    return TrainedDetector(HandFinder.load(detector, device), joints, min_confidence, max_hands)
