"""Tracking with a trained HTT: hands, the object in hand, and actions."""

import numpy as np

from handloom.estimators.htt import track_from_features
from handloom.estimators.htt_lanes import STEP_S, lanes_of
from handloom.estimators.htt_network import HTTNetwork, load_network
from handloom.estimators.htt_picture import PinholePicture
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.job import Job
from handloom.tracking.network_pass import through_network
from handloom.tracking.options import TrackOptions
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.result import TrackResult
from handloom.video import Recording
from handloom.weights import HTT as PACKAGED

UNDISTORTED = "pictures were resampled to a pinhole without distortion; what it does not cover was not seen"
SIMULATED_ONLY = (
    "the weights that come with Handloom know simulated hands alone; for real video use the estimator mediapipe, or "
    "--weights trained on real recordings"
)


def network_of(options: TrackOptions) -> HTTNetwork:
    """The network that the options name. Raises InputError, MissingDependencyError."""
    assert options.weights is not None
    return load_network(options.weights, options.device, options.precision)


def track_htt(frames: Recording, job: Job) -> TrackResult:
    """Track a recording. Of every frame its features are kept, a few kilobytes.

    An interrupted run gives the record of the frames done, marked partial.
    """
    info, options = frames.info, job.options
    choice = choose_camera(options, info.width, info.height, job.source)
    network = network_of(options)
    picture = PinholePicture(choice.camera, network.layout.image_size)
    passed = through_network(frames, job, picture, network.features)
    with job.stopwatch.stage("sequence"):
        track = track_from_features(
            network,
            picture,
            np.concatenate(passed.found),
            passed.rows,
            passed.times_s,
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
        partial=passed.interrupted,
        interrupted=passed.interrupted,
        notes=htt_notes(options, picture, lane_note(track.times_s[passed.rows])),
        samples=passed.samples.choose(track.any_hand),
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
        notes.append(UNDISTORTED)
    return notes


def lane_note(times_s: np.ndarray) -> str:
    """How the frames were dealt to sequences."""
    if len(times_s) < 2:
        return "one frame alone: htt was trained on sequences"
    count, step = int(lanes_of(times_s).max()) + 1, float(np.median(np.diff(times_s)))
    taken = "all of them" if count == 1 else f"{count} interleaved sequences, each of {1 / step / count:.3g}"
    return f"htt was trained on {1 / STEP_S:.0f} frames per second; of {1 / step:.3g} per second it takes {taken}"
