"""What is known to be true of a video, from a recording of a store or an earlier result, on the video's frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.datasets.layout import POSE_KNOWN, WORLD_FROM_CAMERA, camera_feature
from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.store_write import INFO
from handloom.errors import InputError
from handloom.formats.result import read_track
from handloom.geometry import Camera, apply_rigid, invert_rigid
from handloom.hands import ActionSegment, CameraSource, HandTrack, ScaleSource

TOLERANCE = 0.25
"""A row of the truth belongs to a video frame no further away than this share of the truth's own frame interval:
at 30 frames/s 8 ms, in which a fast hand (1 m/s) moves 8 mm."""

_LONE_STEP_S = 1 / 30
_LISTED = 12


def read_truth(place: str, source: str | int) -> HandTrack:
    """The truth in camera space, its objects and actions from labels.

    Args:
        place: result folder or hands.parquet; or "STORE", "STORE:RECORDING", "STORE:RECORDING:CAMERA", the recording
            by name or number. What is not said is that of `source`, or the only one.
        source: the video. Times are those of the store's own video if it is that, else they count from the start of
            the recording.

    Raises:
        InputError: nothing there, no such recording or camera, or several and none is named.
    """
    path, chosen = _split(place)
    if is_store(path):
        return _recorded(Store(path), chosen, Path(str(source)).expanduser().resolve())
    if chosen:
        raise InputError(f"{path} is no store, so {':'.join(chosen)!r} says nothing; give a result folder as it is")
    return in_camera_space(read_track(path), place)


def is_store(path: Path) -> bool:
    """Whether a folder is a store."""
    return (path / INFO).is_file()


def camera_of_video(store: Path, name: str | None, source: str | int) -> Camera:
    """The camera that took a video of a store.

    Raises:
        InputError: the video is not of this store, or not of the camera that is named.
    """
    video = Path(str(source)).expanduser().resolve()
    found = {
        camera: recording.cameras[camera]
        for recording in Store(store).recordings
        for camera, (path, _) in recording.videos.items()
        if path.resolve() == video and name in (None, camera)
    }
    if not found:
        raise InputError(f"{store} has no {name or 'camera'} that took {source}; give a calibration file")
    return next(iter(found.values()))


def truth_rows(truth: HandTrack, times_s: Float[np.ndarray, "T"]) -> tuple[Int[np.ndarray, "T"], Bool[np.ndarray, "T"]]:
    """The nearest row of the truth for each video frame, and whether it lies within `TOLERANCE`.

    Raises:
        InputError: none does.
    """
    step = float(np.median(np.diff(truth.times_s))) if len(truth) > 1 else _LONE_STEP_S
    if not len(truth) or not len(times_s):
        raise InputError("the video or its truth has no frames; there is nothing to compare")
    after = np.clip(np.searchsorted(truth.times_s, times_s), 1, max(1, len(truth) - 1))
    before_is_nearer = times_s - truth.times_s[after - 1] < truth.times_s[np.minimum(after, len(truth) - 1)] - times_s
    rows = np.where(before_is_nearer, after - 1, np.minimum(after, len(truth) - 1))
    near = np.abs(truth.times_s[rows] - times_s) <= TOLERANCE * step + 1e-9
    if not near.any():
        raise InputError(
            f"no frame of the video has a truth: its frames lie at {_span(times_s)}, the truth's at "
            f"{_span(truth.times_s)}, none within {1000 * TOLERANCE * step:.3g} ms of each other; give the truth of "
            "this video"
        )
    return rows, near


def truth_of_frames(truth: HandTrack, track: HandTrack) -> HandTrack:
    """The truth with one row for every frame of a record; rows without a truth near them are empty.

    Raises:
        InputError: no times that agree, pictures of another shape, or a record that is not in camera space.
    """
    if track.frame != "camera":
        raise InputError("the truth is in camera space, these poses in world space; they cannot be compared")
    if track.camera is not None and truth.camera is not None:
        sizes = [(camera.width, camera.height) for camera in (track.camera, truth.camera)]
        (width, height), (true_width, true_height) = sizes
        if abs(width * true_height / (height * true_width) - 1) > 0.02:
            raise InputError(
                f"the truth belongs to pictures of {true_width} x {true_height}, the video has {width} x {height}; "
                "give the truth of this camera"
            )
    rows, near = truth_rows(truth, track.times_s)
    probabilities = truth.object_probabilities
    return replace(
        truth,
        times_s=track.times_s,
        joints_m=truth.joints_m[rows],
        valid=truth.valid[rows] & near[:, None, None],
        confidence=truth.confidence[rows],
        keypoints_px=truth.keypoints_px[rows],
        world_from_camera=None,
        object_probabilities=None if probabilities is None else np.where(near[:, None], probabilities[rows], np.nan),
        actions=_during(truth.actions, track),
    )


def _split(place: str) -> tuple[Path, list[str]]:
    """The path, and what follows it after colons: a path may hold colons itself."""
    for cuts in range(3):
        head, *rest = place.rsplit(":", cuts)
        if (path := Path(head).expanduser()).exists():
            return path, rest
    raise InputError(
        f"{place} does not exist; the truth is a result folder, its hands.parquet, or STORE:recording:camera"
    )


def _recorded(store: Store, chosen: list[str], source: Path) -> HandTrack:
    recording = _choose_recording(store, chosen[0] if chosen else None, source)
    camera = _choose_camera(store, recording, chosen[1] if len(chosen) > 1 else None, source)
    pose, known = camera_feature(camera, WORLD_FROM_CAMERA), camera_feature(camera, POSE_KNOWN)
    labels = ["object.label"] if store.layout.object_names else []
    columns = store.columns(recording.index, ["hand.joints", "hand.valid", "hand.confidence", pose, known, *labels])
    valid = columns["hand.valid"] & columns[known][:, None, None]
    poses = np.where(columns[known][:, None, None], columns[pose], np.eye(4)).astype(np.float64)
    joints = apply_rigid(invert_rigid(poses)[:, None], columns["hand.joints"].astype(np.float64))
    joints = np.where(valid[..., None], joints, np.nan)
    pixels, _ = recording.cameras[camera].project(joints)
    video, first = recording.videos.get(camera, (None, 0))
    own = video is not None and video.resolve() == source
    times = ((first if own else 0) + np.arange(recording.length)) / store.layout.fps
    ends = np.append(times, (times[-1] if len(times) else 0) + 1 / store.layout.fps)
    segments = sorted(recording.segments, key=lambda segment: segment.start)
    return HandTrack(
        times_s=times,
        joints_m=joints,
        valid=valid,
        confidence=columns["hand.confidence"],
        keypoints_px=pixels,
        camera=recording.cameras[camera],
        object_names=store.layout.object_names,
        object_probabilities=_one_hot(columns["object.label"], len(store.layout.object_names)) if labels else None,
        actions=tuple(
            ActionSegment(segment.label, ends[segment.start], ends[segment.end])
            for segment in segments
            if segment.label is not None
        ),
        camera_source=CameraSource.CALIBRATED,
        scale_source=ScaleSource.MEASURED,
    )


def _choose_recording(store: Store, wanted: str | None, source: Path) -> StoredRecording:
    named = [recording for recording in store.recordings if wanted in (recording.name, str(recording.index))]
    shown = [r for r in store.recordings if any(path.resolve() == source for path, _ in r.videos.values())]
    candidates = named if wanted is not None else shown or list(store.recordings)
    if len(candidates) == 1:
        return candidates[0]
    names = [f"{recording.index} {recording.name}" for recording in candidates or store.recordings]
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    if wanted is not None:
        raise InputError(f"{store.root} has no recording {wanted!r}; it has {listed or 'none'}")
    raise InputError(f"{store.root}: say which recording is the truth, {store.root}:RECORDING; there are {listed}")


def _choose_camera(store: Store, recording: StoredRecording, wanted: str | None, source: Path) -> str:
    names = [camera.name for camera in store.layout.cameras]
    shown = [name for name, (path, _) in recording.videos.items() if path.resolve() == source]
    candidates = [name for name in names if name == wanted] if wanted is not None else shown or names
    if len(candidates) == 1:
        return candidates[0]
    if wanted is not None:
        raise InputError(f"{store.root} has no camera {wanted!r}; it has {', '.join(names)}")
    raise InputError(
        f"{store.root}: say which camera took the video, {store.root}:{recording.index}:CAMERA; there are "
        f"{', '.join(names)}"
    )


def in_camera_space(track: HandTrack, place: str) -> HandTrack:
    """A track of the world as its camera sees it; frames without a camera pose are empty.

    Raises:
        InputError: the track, which is called `place`, does not say where the camera was.
    """
    if track.frame == "camera":
        return track
    if track.world_from_camera is None:
        raise InputError(f"{place} is in world space and does not say where the camera was; it cannot be the truth")
    known = np.isfinite(track.world_from_camera).all((1, 2))
    poses = np.where(known[:, None, None], track.world_from_camera, np.eye(4))
    return replace(
        track,
        joints_m=apply_rigid(invert_rigid(poses)[:, None], track.joints_m.astype(np.float64)),
        valid=track.valid & known[:, None, None],
        frame="camera",
    )


def _one_hot(labels: Int[np.ndarray, "T"], count: int) -> Float[np.ndarray, "T objects"]:
    """Certain labels as distributions; -1, no label, is a frame without one."""
    return np.where(labels[:, None] < 0, np.nan, np.eye(count)[labels])


def _during(actions: tuple[ActionSegment, ...], track: HandTrack) -> tuple[ActionSegment, ...]:
    first, last = track.times_s[0], track.times_s[-1]
    return tuple(action for action in actions if action.end_s > first and action.start_s <= last)


def _span(times_s: np.ndarray) -> str:
    return f"{times_s[0]:.2f} ... {times_s[-1]:.2f} s"
