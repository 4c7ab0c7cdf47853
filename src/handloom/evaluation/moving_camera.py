"""What it is worth to know how the camera moved: forecasts on recordings of cameras on the head.

The paper's model reads poses in the camera's own frame, where the camera's motion and that of the hands are one. Here
the two are apart: with camera poses the model works in a frame that rests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from handloom.datasets.clips import recordings_of
from handloom.datasets.motions import FRAME_RATE, MotionRecording, motion_of_track
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.camera_motion import estimate_camera_motion
from handloom.evaluation.motion import OBSERVED, ForecastScore, Predict, by_short_path, score_forecasts
from handloom.forecast.forecaster import Forecaster
from handloom.formats.episode import CameraStream, VideoSpan
from handloom.geometry import apply_rigid, invert_rigid
from handloom.hands import HandTrack
from handloom.resampling import evenly_chosen
from handloom.tracking.truth import in_camera_space
from handloom.video import FrameLookup, Recording, open_source

KNOWN, ESTIMATED, STILL, RAW = "camera known", "camera estimated from the video", "camera taken to stay", "raw"
SMALLEST_WAY_M, SMALLEST_TURN = 1e-3, 1e-3
"""A camera that keeps nearer to its first pose than this rests."""


@dataclass(frozen=True, eq=False)
class MovingView:
    """A recording as one moving camera sees it.

    Attributes:
        world: hands in the world.
        raw: the same frames, each in the camera's own frame.
        world_from_camera: the true poses.
        estimated: hands in the frame of the first camera, by poses estimated from the video; and these poses.
    """

    world: MotionRecording
    raw: MotionRecording
    world_from_camera: Float[np.ndarray, "T 4 4"]
    estimated: tuple[MotionRecording, Float[np.ndarray, "T 4 4"]] | None = None


@dataclass(frozen=True)
class MovingCameraScore:
    """Errors at one horizon, in metres.

    Attributes:
        world: against the hands in the world (or, what is the same, in the last observed camera's frame), by name:
            `KNOWN`, `ESTIMATED` if there are videos, `STILL`, and the two plain forecasts in the world.
        own: against the hands in the frame of each future camera, by name: `RAW`, and the two plain forecasts of what
            the camera sees.
    """

    world: dict[str, ForecastScore]
    own: dict[str, ForecastScore]


def moving_views(
    store: Store, split: str, camera: str | None = None, videos: bool = True, limit: int | None = None
) -> list[MovingView]:
    """The recordings of a split, seen by a camera that moves: the one that is named, or the first that does.

    With `limit` so many recordings, evenly chosen; without `videos` no pose is estimated.

    Raises:
        InputError: another rate than 30 frames per second, no such camera, or one that rests.
    """
    if store.layout.fps != FRAME_RATE:
        raise InputError(f"moving cameras are measured at {FRAME_RATE:g} frames/s; {store.root} has {store.layout.fps}")
    names = [item.name for item in store.layout.cameras]
    if camera is not None and camera not in names:
        raise InputError(f"{store.root} has no camera {camera!r}; it has {', '.join(names)}")
    views = []
    items = recordings_of(store, split)
    for item in items if limit is None else evenly_chosen(items, limit):
        episode = store.episode(item.index)
        for stream in episode.streams:
            if stream.name == (camera or stream.name) and _moves(stream):
                times = np.arange(item.length) / FRAME_RATE
                track = _seen_by(replace(episode.hands, times_s=times), stream)
                views.append(_view(item.name, track, stream if videos else None))
                break
    if not views:
        raise InputError(
            f"{store.root}: no camera of the split {split!r} moves ({', '.join(names)}); simulate one on the head: "
            "handloom simulate h2o --cameras cam4"
        )
    return views


def score_moving_camera(forecaster: Forecaster, views: Sequence[MovingView], seconds: float = 1.0) -> MovingCameraScore:
    """Path P.a at one horizon, on poses in the world and on what a camera sees; the same windows throughout.

    Raises:
        InputError: no window is long enough.
    """
    by_name = {view.world.name: view for view in views}
    in_own_frame = by_short_path(forecaster)

    def still(recording: MotionRecording, start: int, frames: int) -> Float[np.ndarray, "samples frames 2 21 3"]:
        view = by_name[recording.name]
        return apply_rigid(view.world_from_camera[start - 1], in_own_frame(view.raw, start, frames))

    def estimated(recording: MotionRecording, start: int, frames: int) -> Float[np.ndarray, "samples frames 2 21 3"]:
        view = by_name[recording.name]
        assert view.estimated is not None
        motion, poses = view.estimated
        to_world = view.world_from_camera[start - 1] @ invert_rigid(poses[start - 1])
        return apply_rigid(to_world, in_own_frame(motion, start, frames))

    models: dict[str, Predict] = {KNOWN: in_own_frame, STILL: still}
    if all(view.estimated is not None for view in views):
        models[ESTIMATED] = estimated
    world = score_forecasts([view.world for view in views], models, (seconds,))
    own = score_forecasts([view.raw for view in views], {RAW: in_own_frame}, (seconds,))
    if seconds not in world:
        raise InputError(f"no recording lasts {OBSERVED / FRAME_RATE + seconds:.2f} s with a hand in view")
    return MovingCameraScore(world[seconds], own[seconds])


def _view(name: str, track: HandTrack, stream: CameraStream | None) -> MovingView:
    assert track.world_from_camera is not None
    known = np.isfinite(track.world_from_camera).all((1, 2))
    poses = np.where(known[:, None, None], track.world_from_camera, np.eye(4))
    world, raw = (motion_of_track(item, name) for item in (track, replace(track, world_from_camera=None)))
    if stream is None or not isinstance(stream.pictures, VideoSpan):
        return MovingView(world, raw, poses)
    with open_source(stream.pictures.path) as video:
        assert isinstance(video, Recording)
        look = FrameLookup(video)
        pictures = (look(int(frame)) if frame >= 0 else None for frame in stream.pictures.frames)
        found = estimate_camera_motion(pictures, track, stream.camera).world_from_camera
    moved = motion_of_track(replace(track, world_from_camera=found), name)
    return MovingView(world, raw, poses, (moved, found))


def _seen_by(hands: HandTrack, stream: CameraStream) -> HandTrack:
    track = in_camera_space(
        replace(hands, world_from_camera=stream.world_from_camera, camera=stream.camera), f"camera {stream.name}"
    )
    pixels, _ = stream.camera.project(track.joints_m.astype(np.float64))
    return replace(track, keypoints_px=pixels)


def _moves(stream: CameraStream) -> bool:
    poses = stream.world_from_camera
    poses = poses[np.isfinite(poses).all((1, 2))]
    if not len(poses):
        return False
    apart = np.abs(poses - poses[0])
    return bool(apart[:, :3, 3].max() > SMALLEST_WAY_M or apart[:, :3, :3].max() > SMALLEST_TURN)
