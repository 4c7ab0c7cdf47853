"""One recording on its way into a store: a folder that is either whole or not there."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import UInt8

from handloom.datasets.columns import Columns, to_table
from handloom.datasets.frames import frame_columns
from handloom.datasets.layout import PICTURED, StoredCamera, StoreLayout, camera_feature, check_fits
from handloom.errors import InputError, OutputError
from handloom.formats.atomic import json_text, write_text
from handloom.formats.cameras import camera_to_dict
from handloom.formats.episode import Episode, Problem
from handloom.formats.pictures import picture_getter
from handloom.formats.text_files import parse_json, read_text
from handloom.video import VideoWriter

FRAMES, ABOUT = "frames.parquet", "about.json"
OF_STORE = ("episode_index", "index", "task_index", "label.action", "label.verb", "label.noun")
"""Columns that follow from a recording's place among the others and from the labels of all."""
GROUP = 8
"""Frames from one key frame to the next: a frame is found after at most seven others."""

# Measured on 480 x 270: 6,000 RGB frames/s on one core, 1/60 of the PNGs; without fastdecode 3,400. One thread, because
# what x264 makes depends on their number.
ENCODER = {"preset": "veryfast", "tune": "fastdecode", "crf": "20", "bf": "0", "g": str(GROUP), "keyint_min": "1"}


def shard_folder(shards: Path, episode_name: str) -> Path:
    """Where the shard of a recording stands once it is whole."""
    return shards / f"recording-{quote(episode_name, safe=' ')}"


def write_shard(episode: Episode, layout: StoreLayout, shards: Path, skip_bad: bool, made_of: str = "") -> None:
    """Write the shard of a recording: numbers, videos, and what is known of it as a whole, problems included.

    Args:
        episode: of any size of pictures; they are scaled to that of the layout.
        layout: of the store.
        shards: the folder of all shards.
        skip_bad: store a missing picture as a black one that is marked, instead of stopping.
        made_of: the recording's `EpisodeSource.made_of`, to be found again in the shard.

    Raises:
        InputError: the recording does not fit, or a picture is missing or of a wrong size.
        OutputError: the disk is full, ...
    """
    check_fits(episode, layout)
    with _whole_shard(shard_folder(shards, episode.name)) as part:
        columns = frame_columns(episode, layout)
        videos = [_Video(episode, camera, layout.fps, part, skip_bad) for camera in layout.pictured]
        _write_videos(videos, len(episode))
        for video in videos:
            columns[camera_feature(video.name, PICTURED)] = video.pictured
        problems = [*episode.problems, *(problem for video in videos for problem in video.problems)]
        pq.write_table(to_table(columns, layout.features()), part / FRAMES)
        about = _about(episode, layout) | {
            "histograms": {video.name: video.histogram for video in videos},
            "sampled": {video.name: video.sampled for video in videos},
            "problems": [list(problem) for problem in problems],
            "made_of": made_of,
        }
        write_text(part / ABOUT, json_text(about))


def restore_shard(
    shards: Path, about: Mapping[str, Any], columns: Columns, layout: StoreLayout, videos: Mapping[str, Path]
) -> None:
    """Make the shard of a recording out of what a finished store holds of it; `write_shard` would make the same.

    Args:
        shards: the folder of all shards.
        about: what `read_about` gave of it.
        columns: all columns of the store; those that follow from other recordings are left out.
        layout: of the store.
        videos: by name of the camera.

    Raises:
        OutputError: the disk is full, ...
    """
    with _whole_shard(shard_folder(shards, about["name"])) as part:
        own = {name: column for name, column in columns.items() if name not in OF_STORE}
        pq.write_table(to_table(own, layout.features()), part / FRAMES)
        for name, video in videos.items():
            link(video, part / f"{name}.mp4")
        write_text(part / ABOUT, json_text(about))


@contextmanager
def _whole_shard(final: Path) -> Iterator[Path]:
    part = final.with_name(final.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    except OSError as failure:
        raise OutputError(f"cannot write {part}: {failure.strerror or failure}") from failure
    finally:
        shutil.rmtree(part, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy on file systems that cannot do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_about(shard: Path) -> dict[str, Any]:
    """What `write_shard` wrote of the recording as a whole. Raises InputError: it is damaged."""
    path = shard / ABOUT
    about = parse_json(path, read_text(path))
    if fault := about_fault(about):
        raise InputError(f"{path} is damaged: {fault}; delete {shard}, and it is made again")
    return about


def about_fault(about: Any) -> str | None:
    """What is wrong with something that should be what `write_shard` wrote of a recording; None if nothing is."""
    if not isinstance(about, dict):
        return f"{type(about).__name__} instead of an object"
    wrong = [name for name, kind in _ABOUT.items() if not isinstance(about.get(name), kind)]
    return f"no {wrong[0]!r}, or of a wrong kind" if wrong else None


_ABOUT: dict[str, Any] = {
    "name": str,
    "length": int,
    "subject": str,
    "split": str | None,
    "scene": str,
    "cameras": dict,
    "segments": list,
    "histograms": dict,
    "sampled": dict,
    "problems": list,
    "made_of": str,
}


def _about(episode: Episode, layout: StoreLayout) -> dict[str, Any]:
    cameras = {camera.name: episode.stream(camera.name).camera.resized(*camera.size) for camera in layout.cameras}
    return {
        "name": episode.name,
        "length": len(episode),
        "subject": episode.subject,
        "split": episode.split,
        "scene": episode.scene,
        "cameras": {name: camera_to_dict(camera) for name, camera in cameras.items()},
        "segments": [asdict(segment) for segment in episode.segments],
    }


class _Video:
    """One camera's pictures on their way into the store."""

    def __init__(self, episode: Episode, stored: StoredCamera, fps: int, folder: Path, skip_bad: bool) -> None:
        stream = episode.stream(stored.name)
        self.name, self._place, self._skip_bad = stream.name, f"{episode.name}, camera {stream.name}", skip_bad
        self._size, self._fps, self._path = stored.size, fps, folder / f"{stream.name}.mp4"
        self._expected = stream.camera.height, stream.camera.width, 3
        self.pictured = np.zeros(len(episode), bool)
        self.problems: list[Problem] = []
        self.histogram, self.sampled = np.zeros((3, 256), np.int64), 0
        # As many pictures as LeRobot's own statistics use.
        self._every = max(1, int(len(episode) / max(100, len(episode) ** 0.75)))
        self._picture = picture_getter(stream)
        # Picture k is shown from k / fps on.
        self._writer = VideoWriter(self._path, *stored.size, Fraction(1, fps), fps, ENCODER, threads=1)

    def write(self, frame: int) -> None:
        """Append the picture of the next frame, scaled; black where there is none."""
        width, height = self._size
        picture = self._read(frame)
        self.pictured[frame] = picture is not None
        if picture is None:
            picture = np.zeros((height, width, 3), np.uint8)
        elif picture.shape[:2] != (height, width):
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        self._writer.write(picture, frame)
        if frame % self._every == 0:
            self.sampled += 1
            thinned = picture[::4, ::4].reshape(-1, 3)
            self.histogram += np.stack([np.bincount(channel, minlength=256) for channel in thinned.T])

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        _check_times(self._path, len(self.pictured), self._fps)

    def discard(self) -> None:
        """Leave no file."""
        self._writer.discard()

    def _read(self, frame: int) -> UInt8[np.ndarray, "H W 3"] | None:
        place = f"{self._place}, frame {frame}"
        try:
            picture = self._picture(frame)
            if picture is not None and picture.shape != self._expected:
                (height, width), (high, wide) = picture.shape[:2], self._expected[:2]
                raise InputError(f"the picture is {width} x {height}, but the calibration is for {wide} x {high}")
        except InputError as failure:
            if not self._skip_bad:
                raise InputError(f"{place}: {failure}; --skip-bad goes on without it") from None
            self.problems.append(Problem(place, str(failure)))
            return None
        return picture


def _write_videos(videos: list[_Video], length: int) -> None:
    """All videos side by side, in the order in which a renderer gives the pictures."""
    try:
        for frame in range(length):
            for video in videos:
                video.write(frame)
        for video in videos:
            video.close()
    except BaseException:
        for video in videos:
            video.discard()
        raise


def _check_times(path: Path, length: int, fps: int) -> None:
    """Loaders find pictures by time: every one must be exactly where its number says."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0]
        ticks = [packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None]
        times = sorted(pts * Fraction(stream.time_base or 0) * fps for pts in ticks)
    if times != list(range(length)):
        raise OutputError(f"{path}: the pictures did not come out at {fps} frames/s from 0 on; please report this")
