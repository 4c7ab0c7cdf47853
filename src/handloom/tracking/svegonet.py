"""Tracking with a trained SVEgoNet: a detector finds hands, the network follows them through crops of its own."""

import numpy as np
from jaxtyping import Float, UInt8

from handloom.errors import InputError
from handloom.estimators.detections import Detection
from handloom.estimators.ego_crops import boxes_around
from handloom.estimators.hand_finder import HandFinder
from handloom.estimators.lifting import DEPTH_CUTOFF_HZ
from handloom.estimators.svegonet import OneHand, SVEgoNet, seen_in_picture, wrist_depths
from handloom.estimators.trained_detector import TrainedDetector, svegonet_joints
from handloom.estimators.view_crops import corners
from handloom.geometry import Camera
from handloom.hands import HandTrack, ScaleSource
from handloom.skeleton import HANDS, JOINT_COUNT
from handloom.smoothing import smooth_zero_phase
from handloom.tracking.camera_choice import CameraChoice, choose_camera
from handloom.tracking.job import Job
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.recording import Detected, detect_hands
from handloom.tracking.result import TrackResult
from handloom.video import Recording, prefetch

FOLLOWED = 0.2
"""A hand whose joints have at least this mean confidence in one frame is looked for there in the next. Networks of the
preset small give hands 0.15 to 0.34, 0.29 in the median, and noise 0.13."""


class Follower:
    """Hands of one clip, frame by frame.

    Args:
        network: the trained network.
        camera: of the pictures.
        frames: number of frames.
        seen: what the detector found.
    """

    def __init__(self, network: SVEgoNet, camera: Camera, seen: Detected) -> None:
        self.network, self.camera, self.seen = network, camera, seen
        shape = (len(seen.times_s), len(HANDS), JOINT_COUNT)
        self.keypoints_px, self.confidence = np.full((*shape, 2), np.nan), np.zeros(shape)
        self.rays, self.behind_m = np.full((*shape, 3), np.nan), np.full(shape, np.nan)
        self.depth_m, self.misfit_m = np.full(shape[:2], np.nan), np.full(shape[:2], np.nan)
        self.followed = 0
        self._last = np.full((len(HANDS), 4), np.nan)

    def push(self, frame: int, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        """Find the hands in the picture of a frame, where the detector saw them or else where they were before."""
        boxes = self._last.copy()
        for hand in range(len(HANDS)):
            if (detection := self.seen.table[hand][frame]) is not None:
                boxes[hand] = _detected_box(detection)
            elif np.isfinite(boxes[hand]).all():
                self.followed += 1
        self._last[:] = np.nan
        if not np.isfinite(boxes).all(1).any():
            return
        hands = np.arange(len(HANDS))
        seen = seen_in_picture(self.network, self.camera, picture, boxes, hands, mirrored=True)
        depth, misfit = wrist_depths(seen.views, seen.said, self.network.bones_m)
        there = np.isfinite(seen.keypoints_px[..., 0])
        for row, hand in enumerate(seen.row.tolist()):
            said = OneHand(seen.keypoints_px[row], seen.said.depth_m[row], seen.said.confidence[row] * there[row])
            self._keep(frame, hand, said)
            self.rays[frame, hand] = seen.rays[row]
            self.depth_m[frame, hand], self.misfit_m[frame, hand] = depth[row], misfit[row]

    def _keep(self, frame: int, hand: int, said: OneHand) -> None:
        self.keypoints_px[frame, hand], self.behind_m[frame, hand], self.confidence[frame, hand] = said
        if said.confidence.mean() >= FOLLOWED and np.isfinite(said.keypoints_px).all():
            self._last[hand] = _box(said.keypoints_px)

    def track(self, choice: CameraChoice) -> HandTrack:
        """The record: the depth of each wrist, smoothed along its line of sight, then the joints around it."""
        joints = np.full((*self.confidence.shape, 3), np.nan)
        typical = max(float(np.nanmedian(self.misfit_m)), 1e-4) if np.isfinite(self.misfit_m).any() else 1.0
        weight = 1 / (1 + (np.nan_to_num(self.misfit_m) / typical) ** 2)
        for hand in range(len(HANDS)):
            log_depth = np.log(self.depth_m[:, hand])[:, None]
            smooth = np.exp(smooth_zero_phase(self.seen.times_s, log_depth, DEPTH_CUTOFF_HZ, weight[:, hand]))
            joints[:, hand] = self.rays[:, hand] * (smooth + self.behind_m[:, hand])[..., None]
        valid = np.isfinite(joints).all(-1) & np.isfinite(self.keypoints_px).all(-1)
        return HandTrack(
            times_s=self.seen.times_s,
            joints_m=joints,
            valid=valid,
            confidence=self.confidence,
            keypoints_px=self.keypoints_px,
            camera=choice.camera,
            camera_source=choice.source,
            scale_source=ScaleSource.TRACKER,
        )


def track_svegonet(frames: Recording, job: Job) -> TrackResult:
    """Track a recording: one pass of the detector (MediaPipe, or a trained one), one of the network.

    Raises:
        InputError: missing or unfit weights, or the toolkit's crops on pictures of another lens than a pinhole.
    """
    info, options = frames.info, job.options
    assert options.weights is not None
    if not options.weights.is_dir():
        raise InputError(f"{options.weights} is no folder; give that of a run of handloom train svegonet")
    network = SVEgoNet.load(options.weights, options.device)
    choice = choose_camera(options, info.width, info.height, job.source)
    by, new_detector = "MediaPipe", None
    if options.detector is not None:
        finder = HandFinder.load(options.detector, options.device)
        joints = svegonet_joints(network, choice.camera)
        # Threads share the networks: nothing in them changes.
        by, new_detector = "the detector", lambda: TrainedDetector(finder, joints, options.threshold)
    seen = detect_hands(frames, job, new_detector)
    follower = Follower(network, choice.camera, seen)
    total, stopped = len(seen.times_s), seen.stopped
    with job.stopwatch.stage("svegonet"):
        for frame in prefetch(frames):
            if frame.index >= total:
                break
            if job.interruption.requested:
                job.interruption.requested, stopped = False, True
                break
            follower.push(frame.index, frame.image)
            job.progress("svegonet", frame.index + 1, total)
    track = postprocessed(follower.track(choice), options)
    return TrackResult(
        track=track,
        job=job,
        estimator=network.name,
        camera=choice,
        info=info,
        problems=list(frames.problems),
        duplicates_removed=seen.duplicates,
        partial=stopped,
        interrupted=stopped,
        notes=[_note(by, seen, follower)],
        samples=seen.samples.choose(track.any_hand),
    )


def _note(by: str, seen: Detected, follower: Follower) -> str:
    detected = sum(detection is not None for row in seen.table for detection in row)
    return f"{by} found {detected} hands; svegonet followed them through {follower.followed} more"


def _detected_box(detection: Detection) -> Float[np.ndarray, "4"]:
    box = detection.box_px
    return _box(detection.keypoints_px.astype(np.float64) if box is None else corners(box))


def _box(points_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "4"]:
    return np.asarray(boxes_around(points_px[None])[0])
