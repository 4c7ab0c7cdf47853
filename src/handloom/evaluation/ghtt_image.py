"""`handloom evaluate` of G-HTT's image estimator: errors of poses per hand and camera, and objects named right."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.datasets.classes import class_rows, pinhole_cameras
from handloom.datasets.clips import ClipPlace, consecutive_clips
from handloom.datasets.layout import POSE_KNOWN, WORLD_FROM_CAMERA, camera_feature
from handloom.datasets.loader import ClipDataset
from handloom.datasets.resize import pinhole, resized
from handloom.datasets.store import Store
from handloom.estimators.ghtt import FrameEstimates, GHTTEstimator, in_real_camera, track_from_estimates
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_picture import PinholePicture
from handloom.evaluation.predict import KnownFeatures, Video, videos_of
from handloom.formats.atomic import json_text, make_folder, write_text
from handloom.hands import CameraSource, HandTrack
from handloom.metrics.means import known_mean
from handloom.metrics.motion import equalised_errors
from handloom.metrics.pose import joint_errors
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.skeleton import HANDS, THUMB_CMC
from handloom.view.evaluation_views import ViewShot, write_view_evaluation

SCORES, PAGE = "scores.json", "evaluation.html"
CHUNK, SHOTS = 64, 4
MEASURES = ("ra_mm", "pa_mm", "camera_mm")


class Shown(NamedTuple):
    """What F says of a video in one view, beside the truth; H hands, those of the network.

    Attributes:
        joints_m: in the camera's frame; NaN where no pose of it fits.
        track: the same as a record, without hands out of the picture; with camera poses, and E^PO's objects.
        truth_m, valid: in the camera's frame; joints that count: those of frames with a picture, in front of it.
        objects: what F says of single frames.
        object_truth: row of the network's object in every frame, -1 where none is labelled or there is no picture.
    """

    joints_m: Float[np.ndarray, "T H 21 3"]
    track: HandTrack
    truth_m: Float[np.ndarray, "T H 21 3"]
    valid: Bool[np.ndarray, "T H 21"]
    objects: Float[np.ndarray, "T objects"]
    object_truth: Int[np.ndarray, "T"]


class PoseErrors(NamedTuple):
    """Errors of frames and hands in metres, NaN where nothing counts; the base of the thumb never does."""

    ra_m: Float[np.ndarray, "T H"]
    pa_m: Float[np.ndarray, "T H"]
    camera_m: Float[np.ndarray, "T H"]


def show(
    estimator: GHTTEstimator, store: Store, camera: str, video: Video, known: KnownFeatures | None = None
) -> Shown:
    """F and E^PO on a video; no picture is looked at if its features are known.

    Raises:
        InputError: the video cannot be read, its camera is no pinhole, or the network does not know an object.
    """
    frames, size = np.arange(video.start, video.end), estimator.config.image_size
    places = consecutive_clips(video.recording, frames, CHUNK)
    dataset = ClipDataset(store.root, camera, places, decode=known is None)
    clips = [resized(dataset[k], size) for k in range(len(places))]
    if known is None:
        found = FrameEstimates(
            *(np.concatenate(values) for values in zip(*(estimator.frames(c.pictures) for c in clips)))
        )
    else:
        found = estimator.from_features(known(video.recording)[frames])
    truth, valid, pictured, labels = (
        np.concatenate([getattr(clip, name) for clip in clips])
        for name in ("joints_m", "joints_valid", "pictured", "object")
    )
    lens = pinhole(clips[0].camera, camera)
    joints = in_real_camera(found, lens)
    times = frames / store.layout.fps
    track = track_from_estimates(
        estimator, PinholePicture(lens, size), found, joints, np.arange(len(frames)), times, CameraSource.CALIBRATED
    )
    hands = [HANDS.index(hand) for hand in estimator.config.hands]
    rows = class_rows(store, None, estimator.config.objects).objects
    return Shown(
        joints,
        _posed(track, store, camera, video.recording, frames),
        truth[:, hands].astype(np.float64),
        valid[:, hands] & pictured[:, None, None] & (truth[..., 2][:, hands] > 0),
        estimator.frame_objects(found.objects),
        np.where(pictured, rows[labels], -1),
    )


def pose_errors(
    joints_m: Float[np.ndarray, "T H 21 3"], truth_m: Float[np.ndarray, "T H 21 3"], valid: Bool[np.ndarray, "T H 21"]
) -> PoseErrors:
    """MPJPE-RA and -PA with equal palms, and in the camera's frame, by G-HTT's 20 joints."""
    counted = valid.copy()
    counted[..., THUMB_CMC] = False
    counted &= np.isfinite(joints_m).all(-1)
    whole = np.where(np.isfinite(joints_m), joints_m, 0.0)
    given, truth = (np.where(counted[..., None], values, np.nan) for values in (joints_m, truth_m))
    ra, pa = equalised_errors(given, truth, counted)
    return PoseErrors(ra, pa, known_mean(joint_errors(whole, truth_m, counted), -1))


def error_means(errors: Sequence[PoseErrors], hands: Sequence[str]) -> dict[str, Any]:
    """Means over all frames in millimetres, by hand; frames count the same."""
    means = [1000 * known_mean(np.concatenate(values)) for values in zip(*errors)]
    return {
        hand: {name: _known(float(values[k])) for name, values in zip(MEASURES, means)} for k, hand in enumerate(hands)
    }


def evaluate_image(
    weights: Path,
    data: Path,
    split: str,
    out: Path,
    cameras: Sequence[str] = (),
    device: Device = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluate F and E^PO on a split of a store, camera by camera; write scores.json and a page into `out`.

    Args:
        weights: folder of weights or of a training run.
        data, split: what it is shown: labelled segments, or whole recordings that have none.
        out: folder for the results.
        cameras: whose pictures; by default all that are pinholes.
        device: where to compute.
        progress: told of every video.

    Returns:
        What scores.json holds.

    Raises:
        InputError: missing or unfit weights, no such split or camera.
        OutputError: the results cannot be written.
    """
    store, estimator = Store(data), GHTTEstimator.load(weights, device)
    chosen, videos = pinhole_cameras(store, cameras), videos_of(store, split)
    make_folder(out)
    looked_at = set(np.linspace(0, len(videos) - 1, min(SHOTS, len(videos))).astype(int).tolist())
    found, shots = {}, list[ViewShot]()
    for k, camera in enumerate(chosen):
        numbers = []
        for done, video in enumerate(videos):
            progress("evaluate", k * len(videos) + done, len(chosen) * len(videos))
            shown = show(estimator, store, camera, video)
            numbers.append((pose_errors(shown.joints_m, shown.truth_m, shown.valid), objects_right(shown)))
            if done in looked_at:
                shots.append(_shot(estimator, store, camera, video, shown.track))
        found[camera] = _camera_scores(numbers, estimator.config.hands)
    progress("evaluate", len(chosen) * len(videos), len(chosen) * len(videos))
    kind = "simulated " if store.simulated else ""
    scores = {
        "network": estimator.name,
        "data": f"{kind}{store.layout.dataset} ({data.name}), split {split}, {len(videos)} videos",
        "poses": "RA: wrist-aligned, palm of the true size, 19 joints; PA: similarity, 20 joints; camera: as they are; "
        "the base of the thumb is left out",
        "objects": "share of labelled frames; F of each frame by itself, E^PO of the clip of 16 in which it lies",
        "cameras": found,
    }
    write_text(out / SCORES, json_text(scores, indent=2) + "\n")
    write_view_evaluation(out / PAGE, scores, shots, f"G-HTT's image estimator, {weights.name}")
    return scores


def image_rows(scores: Mapping[str, Any], out: Path) -> tuple[str, Rows]:
    """The scores for the terminal."""
    rows = []
    for camera, found in scores["cameras"].items():
        for hand in HANDS:
            if hand in found:
                ra, pa, apart = (_text(found[hand][name]) for name in MEASURES)
                rows.append((f"{camera}, {hand}", f"MPJPE-RA {ra}, -PA {pa}, in the camera {apart} mm"))
        objects = found["objects"]
        if objects["frames"]:
            said = f"F {100 * objects['f']:.1f} %, E^PO {100 * objects['e_po']:.1f} % of {objects['frames']} frames"
            rows.append((f"{camera}, object", said))
    return f"Scores on {scores['data']}", [*rows, ("results", str(out))]


def objects_right(shown: Shown) -> Int[np.ndarray, "3"]:
    """Labelled frames, those that F names right, and those that E^PO does."""
    labelled = shown.object_truth >= 0
    said = shown.track.object_probabilities
    assert said is not None
    truth = shown.object_truth[labelled]
    right = [(values[labelled].argmax(-1) == truth).sum() for values in (shown.objects, said)]
    return np.array([labelled.sum(), *right])


def _shot(estimator: GHTTEstimator, store: Store, camera: str, video: Video, track: HandTrack) -> ViewShot:
    """The picture in the middle of a video."""
    row = len(track) // 2
    frame = np.array([video.start + row])
    place = ClipPlace(video.recording, frame, np.ones(1, bool))
    clip = resized(ClipDataset(store.root, camera, [place])[0], estimator.config.image_size)
    caption = f"{camera}, {store.recordings[video.recording].name}, frame {frame[0]}"
    said = track.keypoints_px[row].astype(np.float64)
    return ViewShot(clip.pictures[0], said, clip.keypoints_px[0].astype(np.float64), clip.joints_valid[0], caption)


def _camera_scores(shown: Sequence[tuple[PoseErrors, np.ndarray]], hands: Sequence[str]) -> dict[str, Any]:
    frames, by_frame, by_clip = np.sum([objects for _, objects in shown], 0).tolist()
    counted = max(frames, 1)
    return {
        **error_means([errors for errors, _ in shown], hands),
        "objects": {"frames": frames, "f": by_frame / counted, "e_po": by_clip / counted},
    }


def _posed(track: HandTrack, store: Store, camera: str, recording: int, frames: Int[np.ndarray, "T"]) -> HandTrack:
    """The record with the poses of its camera."""
    names = [camera_feature(camera, part) for part in (WORLD_FROM_CAMERA, POSE_KNOWN)]
    poses, known = (store.columns(recording, names)[name][frames] for name in names)
    return replace(track, world_from_camera=np.where(known[:, None, None], poses, np.nan).astype(np.float64))


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
