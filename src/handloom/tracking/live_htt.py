"""HTT from the past alone."""

from dataclasses import replace

import numpy as np

from handloom.errors import InputError
from handloom.estimators.htt_actions import segments
from handloom.estimators.htt_stream import HTTStream
from handloom.geometry import Camera
from handloom.hands import HandTrack
from handloom.skeleton import HANDS
from handloom.tracking.htt import htt_notes, lane_note, network_of
from handloom.tracking.live_smoothing import LiveSmoothing
from handloom.tracking.options import TrackOptions
from handloom.view.caption import Said
from handloom.view.colours import label_colours


class LiveHTT:
    """A stream, and what it said of objects and actions; the `LiveEstimator` of HTT.

    Raises:
        InputError: options that cannot be had live, or weights that cannot be used.
    """

    duplicates = 0

    def __init__(self, camera: Camera, options: TrackOptions) -> None:
        if options.hand_size_mm is not None or options.trimmed:
            raise InputError("live, htt knows neither a given hand size nor trimmed videos; both need a recording")
        self._options = options
        network = network_of(options)
        self.name = f"{network.name}, streaming"
        self._stream = HTTStream(network, camera)
        self._smooth = LiveSmoothing(camera, options.smooth_hz)
        self._objects: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []

    def push(self, _frame: int, time_s: float, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `LiveEstimator`."""
        moment = self._stream.push(image, time_s)
        joints, keypoints, confidence = (
            moment.hands.joints_m[0],
            moment.hands.keypoints_px[0],
            moment.hands.confidence[0],
        )
        for hand in range(len(HANDS)):
            if np.isfinite(joints[hand]).all():
                self._smooth.push(time_s, hand, joints[hand], keypoints[hand])
        self._objects.append(moment.object_probabilities)
        self._actions.append(moment.action_probabilities)
        return joints, keypoints, confidence

    def said(self) -> list[Said]:
        """What is likeliest by now, which is not what it will be called once all is known."""
        layout, said = self._stream.network.layout, []
        for names, probabilities in ((layout.actions, self._actions[-1]), (layout.objects, self._objects[-1])):
            row = int(probabilities.argmax())
            said.append(Said(names[row], float(probabilities[row]), label_colours(names)[names[row]]))
        return said

    def with_labels(self, track: HandTrack) -> HandTrack:
        """Objects as they were seen; actions as they were recognised, so late by the nature of things."""
        layout, objects = self._stream.network.layout, np.array(self._objects, np.float64)
        return replace(
            track,
            object_names=layout.objects,
            object_probabilities=objects / objects.sum(-1, keepdims=True),
            actions=segments(track.times_s, np.array(self._actions), layout.actions),
        )

    def notes(self, track: HandTrack) -> list[str]:
        """See `LiveEstimator`."""
        return htt_notes(self._options, self._stream.picture, lane_note(track.times_s))

    def __enter__(self) -> "LiveHTT":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to let go of."""
