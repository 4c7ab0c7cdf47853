"""Wrist depth from a single view, judged by the depth triangulated from two calibrated views."""

from pathlib import Path

import numpy as np

from handloom.errors import InputError
from handloom.estimators.detections import Detection
from handloom.estimators.handedness import Linker, assign_hands, detection_table
from handloom.estimators.lifting import DEPTH_CUTOFF_HZ
from handloom.estimators.mediapipe import MediaPipeDetector
from handloom.estimators.record import track_from_detections
from handloom.formats.cameras import read_camera
from handloom.formats.text_calibration import read_extrinsics
from handloom.geometry import Camera, lift_keypoints, triangulate
from handloom.hands import CameraSource, HandTrack
from handloom.metrics.track import palm_spread
from handloom.rows import Rows
from handloom.skeleton import JOINT_COUNT, KNUCKLES, WRIST
from handloom.smoothing import smooth_zero_phase
from handloom.video import open_source, prefetch


def measure_depth(videos: tuple[Path, Path], cameras: tuple[Path, Path], poses: tuple[Path, Path]) -> tuple[str, Rows]:
    """Track each view alone, triangulate both, compare the wrist's depth after one global scale per method.

    The scale is the median ratio of true to estimated depth: calibrations in other units and the unknown hand size
    do not count, the course of depth over the clip does. Frames in which both views see the hand are compared.
    """
    views = [_View(video, camera) for video, camera in zip(videos, cameras)]
    frames = min(len(view.track) for view in views)
    camera_from_world = np.stack([read_extrinsics(path) for path in poses])
    hand = int(np.argmax(sum(view.track.present.sum(0) for view in views)))
    keypoints = np.stack([view.track.keypoints_px[:frames, hand].astype(np.float64) for view in views])
    confidence = np.stack([view.track.confidence[:frames, hand].astype(np.float64) for view in views])
    points = triangulate(
        [view.camera for view in views],
        camera_from_world,
        keypoints.reshape(2, -1, 2),
        confidence.reshape(2, -1),
    )
    world = np.where(points.valid[:, None], points.points, np.nan).reshape(frames, JOINT_COUNT, 3)
    if not np.isfinite(world).any():
        raise InputError(
            "no joint could be triangulated: are the videos synchronised, and do the poses belong to them?"
        )

    rows = [("triangulation, median reprojection error", f"{np.nanmedian(points.reprojection_error_px):.2f} px")]
    for name, view, pose in zip(("view 0", "view 1"), views, camera_from_world):
        true_depth = (world[:, WRIST] @ pose[:3, :3].T + pose[:3, 3])[:, 2]
        track = view.track
        rows += [
            (f"{name}: frames with a hand", f"{int(track.any_hand.sum())} of {len(track)}"),
            (f"{name}: palm-bone length spread", f"{100 * palm_spread(track)[hand]:.1f} %"),
        ]
        for method, depth in view.depths(hand).items():
            error = _relative_error(depth[:frames], true_depth)
            rows.append(
                (
                    f"{name}: depth error, {method}",
                    f"{100 * np.median(error):5.1f} % median  {100 * np.percentile(error, 90):5.1f} % 90th pct",
                )
            )
    return "Wrist depth from one view against two", rows


class _View:
    """One video, tracked with its calibration."""

    def __init__(self, video: Path, calibration: Path):
        linker = Linker()
        with open_source(video) as source, MediaPipeDetector() as detector:
            for frame in prefetch(source):
                linker.push(frame.index, frame.time_s, detector.detect(frame.image))
            info = source.info
        if info.times_s is None:
            raise InputError(f"{video}: the frames of this file have no times")
        assign_hands(linker.tracklets)
        self.camera: Camera = read_camera(calibration, (info.width, info.height))
        self.table: list[list[Detection | None]] = detection_table(linker.tracklets, len(info.times_s))
        self.track: HandTrack = track_from_detections(self.table, info.times_s, self.camera, CameraSource.CALIBRATED)

    def depths(self, hand: int) -> dict[str, np.ndarray]:
        """Wrist depth by Handloom's lifting and by what it replaces."""
        present = self.track.present[:, hand]
        relative = np.full((len(present), JOINT_COUNT, 3), np.nan)
        for frame in np.flatnonzero(present):
            detection = self.table[hand][frame]
            assert detection is not None
            relative[frame] = detection.world_m - detection.world_m[WRIST]
        palm = np.linalg.norm(relative[:, list(KNUCKLES)], axis=-1).mean(-1)
        constant_palm = relative * (np.nanmedian(palm) / palm)[:, None, None]
        return {
            "Handloom": self.track.joints_m[:, hand, WRIST, 2].astype(np.float64),
            "tracker's metric joints": self._placed(hand, relative),
            "the same, constant palm": self._placed(hand, constant_palm),
            "the same, smoothed alike": self._smoothed(self._placed(hand, constant_palm)),
            "one constant depth": np.where(present, 1.0, np.nan),
        }

    def _smoothed(self, depth: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(smooth_zero_phase(self.track.times_s, np.log(depth)[:, None], DEPTH_CUTOFF_HZ)[:, 0]))

    def _placed(self, hand: int, relative: np.ndarray) -> np.ndarray:
        keypoints = self.track.keypoints_px[:, hand].astype(np.float64)
        lift = lift_keypoints(self.camera, keypoints, relative, np.isfinite(relative[..., 0]) * 1.0)
        return np.where(lift.valid, lift.translation[:, 2], np.nan)


def _relative_error(depth: np.ndarray, true_depth: np.ndarray) -> np.ndarray:
    both = np.isfinite(depth) & np.isfinite(true_depth)
    depth, true_depth = depth[both], true_depth[both]
    error: np.ndarray = np.abs(depth * np.median(true_depth / depth) - true_depth) / true_depth
    return error
