"""HTT on whole recordings that are not cut into actions: are the right ones on the timeline, where they belong?"""

from typing import NamedTuple

import numpy as np

from handloom.datasets.clips import consecutive_clips, recordings_of
from handloom.datasets.loader import ClipDataset
from handloom.datasets.resize import pinhole, resized
from handloom.datasets.store import Store, StoredRecording
from handloom.errors import InputError
from handloom.estimators.htt import track_from_features
from handloom.estimators.htt_network import HTTNetwork
from handloom.estimators.htt_picture import PinholePicture
from handloom.hands import ActionSegment, CameraSource
from handloom.metrics.segments import SegmentScore, match_segments
from handloom.progress import Progress, silent
from handloom.resampling import evenly_chosen

CHUNK = 64


class TimelineScore(NamedTuple):
    """Over all recordings.

    Attributes:
        recordings: how many.
        labelled: frames that lie in a labelled segment.
        right: those of them whose action on the timeline is one of these labels.
        segments: the timeline's segments, and the labelled ones.
    """

    recordings: int
    labelled: int
    right: int
    segments: SegmentScore


def score_timeline(
    network: HTTNetwork,
    store: Store,
    camera: str,
    split: str = "test",
    limit: int | None = None,
    progress: Progress = silent,
) -> TimelineScore:
    """Every recording of a split as one untrimmed video, as `handloom track` sees it.

    Args:
        network: trained.
        store, camera, split: what it is shown.
        limit: so many recordings, evenly chosen.
        progress: told of every recording.

    Raises:
        InputError: no such split, no labelled segment, or a camera that is no pinhole.
    """
    chosen = [recording for recording in recordings_of(store, split) if _labelled(recording, store.layout.fps)]
    if not chosen:
        raise InputError(f"no recording of {store.root}, split {split!r}, has a labelled action")
    chosen = chosen if limit is None else evenly_chosen(chosen, limit)
    labelled = right = 0
    segments = SegmentScore(0, 0, 0)
    for number, recording in enumerate(chosen):
        progress("evaluate", number, len(chosen))
        true = _labelled(recording, store.layout.fps)
        times = np.arange(recording.length) / store.layout.fps
        found = _timeline(network, store, camera, recording, times)
        segments += match_segments(found, true)
        names = [_labels_at(true, time) for time in times]
        labelled += sum(bool(labels) for labels in names)
        right += sum(bool(labels & _labels_at(found, time)) for labels, time in zip(names, times))
    progress("evaluate", len(chosen), len(chosen))
    return TimelineScore(len(chosen), labelled, right, segments)


def _timeline(
    network: HTTNetwork, store: Store, camera: str, recording: StoredRecording, times_s: np.ndarray
) -> tuple[ActionSegment, ...]:
    places = consecutive_clips(recording.index, np.arange(recording.length), CHUNK)
    dataset, size = ClipDataset(store.root, camera, places), network.layout.image_size
    features, rows = [], []
    for k, place in enumerate(places):
        clip = resized(dataset[k], size)
        picture = PinholePicture(pinhole(clip.camera, camera), size)
        features.append(network.features(clip.pictures[clip.pictured]))
        rows.append(place.frames[clip.pictured])
    together = np.concatenate(features), np.concatenate(rows)
    return track_from_features(network, picture, *together, times_s, CameraSource.CALIBRATED).actions


def _labelled(recording: StoredRecording, fps: float) -> list[ActionSegment]:
    return [
        ActionSegment(segment.label, segment.start / fps, segment.end / fps)
        for segment in recording.segments
        if segment.label is not None
    ]


def _labels_at(segments: tuple[ActionSegment, ...] | list[ActionSegment], time_s: float) -> set[str]:
    middle = time_s + 1e-6  # a frame at a border belongs to what begins there
    return {segment.label for segment in segments if segment.start_s <= middle < segment.end_s}
