"""Tracking with a trained HTT: hands, the object in hand, and actions."""

import numpy as np

from handloom.errors import InputError
from handloom.estimators.htt import track_from_features
from handloom.estimators.htt_lanes import STEP_S, lanes_of
from handloom.estimators.htt_network import HTTNetwork, load_network
from handloom.estimators.htt_picture import PinholePicture
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.job import Job
from handloom.tracking.options import TrackOptions
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.recording import frame_times
from handloom.tracking.result import TrackResult
from handloom.tracking.samples import FrameSamples
from handloom.video import Recording, prefetch
from handloom.weights import HTT as PACKAGED

CHUNK = 16
"""Pictures that are held at a time."""
SIMULATED_ONLY = (
    "the weights that come with Handloom know simulated hands alone; for real video use the estimator mediapipe, or "
    "--weights trained on real recordings"
)


def network_of(options: TrackOptions) -> HTTNetwork:
    """The network that the options name. Raises InputError, MissingDependencyError."""
    assert options.weights is not None
    return load_network(options.weights, options.device, options.precision)


def track_htt(frames: Recording, job: Job) -> TrackResult:
    """Track a recording. Of every frame its features are kept, a few kilobytes; pictures only `CHUNK` at a time.

    An interrupted run gives the record of the frames done, marked partial.
    """
    info, options = frames.info, job.options
    choice = choose_camera(options, info.width, info.height, job.source)
    network = network_of(options)
    picture = PinholePicture(choice.camera, network.layout.image_size)
    samples, times = FrameSamples(), dict[int, float]()
    features: list[np.ndarray] = []
    waiting: list[np.ndarray] = []
    stop: int | None = None

    def compute() -> None:
        if waiting:
            with job.stopwatch.stage("backbone"):
                features.append(network.features(np.stack(waiting)))
            waiting.clear()

    for frame in prefetch(frames):
        if job.should_stop(len(times)):
            stop = frame.index
            break
        waiting.append(picture.view(frame.image))
        times[frame.index] = frame.time_s
        samples.push(frame.index, frame.image)
        if len(waiting) == CHUNK:
            compute()
        job.progress("track", len(times), info.frame_count)
    if not times:
        if not job.interruption.requested:
            raise InputError(f"not one frame of {job.source} can be decoded")
        raise KeyboardInterrupt
    compute()
    interrupted = stop is not None and len(times) != options.max_frames
    if interrupted:
        # This request is served; the next one is for what comes now.
        job.interruption.requested = False
    with job.stopwatch.stage("sequence"):
        rows = np.array(sorted(times)) if info.times_s is not None else np.arange(len(times))
        track = track_from_features(
            network,
            picture,
            np.concatenate(features),
            rows,
            frame_times(info, times, stop),
            choice.source,
            options.trimmed,
        )
        track = postprocessed(track, options)
    return TrackResult(
        track=track,
        job=job,
        estimator=network.name,
        camera=choice,
        info=info,
        problems=list(frames.problems),
        partial=interrupted,
        interrupted=interrupted,
        notes=htt_notes(options, picture, lane_note(track.times_s[rows])),
        samples=samples.choose(track.any_hand),
    )


def htt_notes(options: TrackOptions, picture: PinholePicture, lanes: str) -> list[str]:
    """What a user should know of every result of HTT."""
    notes = [SIMULATED_ONLY] if options.weights == PACKAGED else []
    notes += [
        "htt has no confidence of its own: 0.5 stands for every joint in the picture; a hand that is not there may "
        "be drawn all the same",
        lanes,
    ]
    if picture.undistorts:
        notes.append("pictures were resampled to a pinhole without distortion; what it does not cover was not seen")
    return notes


def lane_note(times_s: np.ndarray) -> str:
    """How the frames were dealt to sequences."""
    if len(times_s) < 2:
        return "one frame alone: htt was trained on sequences"
    count, step = int(lanes_of(times_s).max()) + 1, float(np.median(np.diff(times_s)))
    taken = "all of them" if count == 1 else f"{count} interleaved sequences, each of {1 / step / count:.3g}"
    return f"htt was trained on {1 / STEP_S:.0f} frames per second; of {1 / step:.3g} per second it takes {taken}"
