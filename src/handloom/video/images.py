"""Still pictures as a video: a folder, a pattern, or one file."""

import io
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.video.frames import Closing, Frame, FrameProblem, VideoInfo, seconds
from handloom.video.picture import Converter, orientation_of

IMAGE_SUFFIXES = frozenset((".bmp", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))


def natural_order(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Sort key: numbers within names count as numbers, so that 9.png comes before 10.png."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part], str(path)


class ImageSequence(Closing):
    """Pictures in the order given, one every 1 / `rate` seconds from zero.

    A picture that cannot be read is skipped and stands in `problems`.

    Args:
        path: what the user named: shown in messages.
        images: at least one file.
        rate: pictures per second.
        mirrored: flip every picture left to right.

    Raises:
        InputError: the rate is not positive, no picture can be read; while iterating: one differs in size.
    """

    dropped = 0
    cut_short = False

    def __init__(self, path: str, images: Sequence[Path], rate: float, mirrored: bool = False) -> None:
        if not (np.isfinite(rate) and rate > 0):
            raise InputError(f"the image rate must be a positive number of pictures per second, found {rate}")
        self._images, self._mirrored = list(images), mirrored
        self.problems: list[FrameProblem] = []
        self._lock = threading.Lock()
        # 29.97 is meant as 2997/100, not as the nearest binary number.
        time_base = 1 / Fraction(str(rate)).limit_denominator(1_000_000)
        first, self._sized_by, reason = None, self._images[0], ""
        for image in self._images:
            first, reason = _read(image)
            if first is not None:
                self._sized_by = image
                break
        if first is None:
            also = f" (and {len(self._images) - 1} others likewise)" if len(self._images) > 1 else ""
            raise InputError(f"{self._images[0]}: {reason}{also}; give pictures such as PNG or JPEG")
        picture = Converter(orientation_of(first), mirrored).rgb(first)
        self.info = VideoInfo(
            path=path,
            width=picture.shape[1],
            height=picture.shape[0],
            time_base=time_base,
            frame_rate=float(1 / time_base),
            frame_count=len(self._images),
            duration_s=seconds(len(self._images), time_base),
            codec=self._sized_by.suffix.lower().lstrip("."),
            pixel_format=first.format.name,
            times_s=np.array([seconds(index, time_base) for index in range(len(self._images))]),
            nominal_times=True,
        )

    def __iter__(self) -> Iterator[Frame]:
        return self.select(lambda _: True)

    def select(self, wanted: Callable[[int], bool], limit: int | None = None, start: int = 0) -> Iterator[Frame]:
        """The pictures from `start` on, before `limit`, whose index is wanted; the others are not read."""
        found: dict[int, FrameProblem] = {}
        try:
            for index, path in enumerate(self._images[:limit]):
                if index < start or not wanted(index):
                    continue
                time_s = seconds(index, self.info.time_base)
                picture, reason = _read(path)
                if picture is None:
                    found[index] = FrameProblem(index, time_s, f"{path}: {reason}")
                    continue
                yield Frame(index, index, time_s, self._sized(path, picture))
        finally:
            # Readers of other pictures, in other threads, have found other problems.
            with self._lock:
                kept = {problem.index: problem for problem in self.problems if not wanted(problem.index or 0)}
                self.problems = [problem for _, problem in sorted((kept | found).items())]

    def _sized(self, path: Path, picture: av.VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
        image = Converter(orientation_of(picture), self._mirrored).rgb(picture)
        height, width = image.shape[:2]
        if (width, height) != (self.info.width, self.info.height):
            raise InputError(
                f"{path} is {width}x{height}, but {self._sized_by} is {self.info.width}x{self.info.height}; "
                "the pictures of one sequence must have one size"
            )
        return image


def _read(path: Path) -> tuple[av.VideoFrame | None, str]:
    """The picture, or None and why not."""
    try:
        # From memory: FFmpeg would take a name with "%03d" or "a:b" in it for something else.
        with av.open(io.BytesIO(path.read_bytes()), "r") as container:
            picture = next(container.decode(video=0))
            return (None, "the picture is damaged") if picture.is_corrupt else (picture, "")
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except (av.FFmpegError, StopIteration, IndexError, ValueError):
        return None, "is not a picture that can be read"
