"""A video file: every frame at its own index and time, and damage located to the frame."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from handloom.errors import InputError
from handloom.video.decode import open_video, sound_frames
from handloom.video.frames import Closing, Frame, FrameProblem, VideoInfo, seconds
from handloom.video.picture import Converter, orientation_of
from handloom.video.scan import scan


class VideoFile(Closing):
    """Frames of a video file. Each iteration opens the file anew and starts at its beginning; several may run at once.

    A frame that cannot be decoded, decodes with errors, or refers to such a frame is not given: it stands in
    `problems` (those of the latest iteration, once it has ended), and later frames keep their index and time.

    Args:
        path: anything that FFmpeg reads.
        mirrored: flip every picture left to right.

    Raises:
        InputError: no permission, not a video, sound only, no frames, no frame that decodes.
    """

    dropped = 0
    cut_short = False

    def __init__(self, path: Path, mirrored: bool = False) -> None:
        self._path = path
        container, stream = open_video(path)
        with container:
            self._scan = frames = scan(container, stream)
            codec, audio = stream.codec_context.name, bool(container.streams.audio)
        count = len(frames.pts)
        whole = f" ({frames.notes[0]})" if frames.notes else ""
        if not count:
            raise InputError(f"{path}: the video has no frames{whole}; record or export it again")
        _, first = next(sound_frames(path, frames, {}), (0, None))
        if first is None:
            raise InputError(
                f"{path}: none of the {count} frames can be decoded{whole}; "
                "copy the file again, or convert it with another program"
            )
        orientation = orientation_of(first)
        self._upright = orientation, mirrored
        self._stored_size = first.width, first.height
        width, height = self._stored_size[::-1] if orientation.transpose else self._stored_size
        gaps = np.diff(frames.pts)
        self.problems = [FrameProblem(None, None, note) for note in frames.notes]
        self.info = VideoInfo(
            path=str(path),
            width=width,
            height=height,
            time_base=frames.time_base,
            frame_rate=float((count - 1) / (int(gaps.sum()) * frames.time_base))
            if count > 1
            else 1 / frames.duration_s,
            frame_count=count,
            duration_s=frames.duration_s,
            codec=codec,
            pixel_format=first.format.name,
            rotation_deg=orientation.rotation_deg,
            # A clock of whole milliseconds turns 29.97 frames/s into steps of 33 and 34 ticks.
            variable_frame_rate=bool(len(gaps) and gaps.max() - gaps.min() > 1),
            nominal_times=frames.nominal,
            times_s=frames.pts * frames.time_base.numerator / frames.time_base.denominator,
            audio=audio,
        )

    def __iter__(self) -> Iterator[Frame]:
        return self.select(lambda _: True)

    def select(self, wanted: Callable[[int], bool], limit: int | None = None, start: int = 0) -> Iterator[Frame]:
        """The frames from `start` on, before `limit`, whose index is wanted; the others are not converted."""
        frames = self._scan
        converter = Converter(*self._upright)
        problems = [FrameProblem(None, None, note) for note in frames.notes]
        damage: dict[int, str] = {}
        count = len(frames.pts) if limit is None else min(limit, len(frames.pts))
        expected = start
        try:
            for index, picture in sound_frames(self._path, frames, damage, start):
                if index < start:
                    continue
                if index >= count:
                    break
                problems += self._lost(range(expected, index), damage)
                expected = index + 1
                if (picture.width, picture.height) != self._stored_size:
                    began = "x".join(map(str, self._stored_size))
                    damage[index] = f"is {picture.width}x{picture.height}, but the video began with {began}"
                    problems += self._lost(range(index, expected), damage)
                elif wanted(index):
                    pts = int(frames.pts[index])
                    yield Frame(index, pts, seconds(pts, frames.time_base), converter.rgb(picture))
            problems += self._lost(range(expected, count), damage)
        finally:
            # At once, not as they appear: several threads may read the file, and all find the same.
            self.problems = problems

    def _lost(self, indices: range, damage: dict[int, str]) -> list[FrameProblem]:
        times = (seconds(int(self._scan.pts[index]), self._scan.time_base) for index in indices)
        reasons = (damage.get(index, "the decoder gave no picture") for index in indices)
        return [FrameProblem(*problem) for problem in zip(indices, times, reasons)]
