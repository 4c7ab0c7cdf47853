"""Tracking with G-HTT's image estimator: hands picture by picture, the object in hand by clips of 16 frames."""

import numpy as np

from handloom.errors import InputError
from handloom.estimators.ghtt import FrameEstimates, GHTTEstimator, in_real_camera, track_from_estimates
from handloom.estimators.htt_picture import PinholePicture
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.htt import UNDISTORTED
from handloom.tracking.job import Job
from handloom.tracking.network_pass import through_network
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.result import TrackResult
from handloom.video import Recording

NOTE = (
    "ghtt has no confidence of its own: 0.5 stands for every joint in the picture; a hand that is not there may be "
    "drawn all the same. Hands are of single pictures: handloom refine makes them one motion"
)


def track_ghtt(frames: Recording, job: Job) -> TrackResult:
    """Track a recording. An interrupted run gives the record of the frames done, marked partial.

    Raises:
        InputError: missing or unfit weights, or not one frame that can be decoded.
    """
    options = job.options
    assert options.weights is not None
    if not options.weights.is_dir():
        raise InputError(f"{options.weights} is no folder; give that of a run of handloom train ghtt-image")
    estimator = GHTTEstimator.load(options.weights, options.device)
    choice = choose_camera(options, frames.info.width, frames.info.height, job.source)
    picture = PinholePicture(choice.camera, estimator.config.image_size)
    passed = through_network(frames, job, picture, estimator.frames)
    with job.stopwatch.stage("sequence"):
        found = FrameEstimates(*(np.concatenate(values) for values in zip(*passed.found)))
        joints = in_real_camera(found, picture.camera)
        track = track_from_estimates(estimator, picture, found, joints, passed.rows, passed.times_s, choice.source)
        track = postprocessed(track, options)
    return TrackResult(
        track=track,
        job=job,
        estimator=estimator.name,
        camera=choice,
        info=frames.info,
        problems=list(frames.problems),
        partial=passed.interrupted,
        interrupted=passed.interrupted,
        notes=[NOTE, *([UNDISTORTED] if picture.undistorts else [])],
        samples=passed.samples.choose(track.any_hand),
    )
