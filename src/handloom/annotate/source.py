"""Annotated recordings as episodes, for the store and for official layouts."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from handloom.annotate.capture import Capture, CaptureCamera, nominal_rate
from handloom.annotate.labels import Labels
from handloom.annotate.run import Run, labels_of
from handloom.formats.episode import (
    CameraStream,
    Episode,
    EpisodeSource,
    Evidence,
    PictureFiles,
    Pictures,
    RenderedPictures,
    VideoSpan,
)
from handloom.formats.text_files import parse_json, read_text
from handloom.geometry import invert_rigid
from handloom.hands import CameraSource, HandTrack, ScaleSource


class AnnotatedEpisodes(EpisodeSource):
    """The recordings of a run whose stages are done, with their labels."""

    def __init__(self, run: Run, names: tuple[str, ...], digests: dict[str, str]) -> None:
        super().__init__(skip_bad=False)
        self.names, self._digests = names, digests
        self.common_names = run.captures.common_names
        self._captures, self._folders = run.captures, {name: run.folder(name) for name in names}

    def made_of(self, name: str) -> str:
        """See `EpisodeSource.made_of`."""
        return self._digests[name]

    def read(self, name: str) -> Episode:
        """See `EpisodeSource.read`."""
        capture = self._captures.read(name)
        about = self._folders[name] / "report.json"
        report = parse_json(about, read_text(about))
        labels, index, times_s = labels_of(self._folders[name])
        scale = ScaleSource(report["scale"])
        return annotated_episode(capture, labels, index, times_s, float(report["unit_m"]), scale)


def annotated_episode(
    capture: Capture, labels: Labels, index: np.ndarray, times_s: np.ndarray, unit_m: float, scale: ScaleSource
) -> Episode:
    """A capture with its labels. What its source knows besides (actions, objects, subject, split) is kept."""
    hands = HandTrack(
        times_s=times_s,
        joints_m=labels.joints_m,
        valid=labels.valid,
        confidence=labels.confidence,
        keypoints_px=np.full((*labels.valid.shape, 2), np.nan),
        frame="world",
        camera_source=CameraSource.CALIBRATED,
        scale_source=scale,
    )
    streams = tuple(_stream(camera, own, unit_m) for camera, own in zip(capture.cameras, index))
    evidence = Evidence(labels.views, labels.reprojection_px)
    if capture.template is not None:
        hands = replace(hands, times_s=capture.template.times_s)
        return replace(capture.template, hands=hands, streams=streams, evidence=evidence)
    return Episode(
        dataset="annotated",
        name=capture.name,
        subject="",
        split=None,
        frame_ids=np.arange(len(times_s)),
        frame_rate=Fraction(nominal_rate(capture.cameras)),
        hands=hands,
        streams=streams,
        evidence=evidence,
    )


def _stream(camera: CaptureCamera, index: np.ndarray, unit_m: float) -> CameraStream:
    poses = np.broadcast_to(camera.poses(index), (len(index), 4, 4)).copy()
    poses[:, :3, 3] *= unit_m
    return CameraStream(
        camera.name, camera.camera, invert_rigid(poses), _pictures(camera.pictures, index), camera.monochrome
    )


def _pictures(pictures: Pictures, index: np.ndarray) -> Pictures:
    match pictures:
        case VideoSpan(path, frames):
            return VideoSpan(path, np.where(index >= 0, frames[np.maximum(index, 0)], -1))
        case PictureFiles(paths):
            return PictureFiles(tuple(None if number < 0 else paths[number] for number in index.tolist()))
        case RenderedPictures(picture):
            return RenderedPictures(lambda frame: picture(int(index[frame])))
