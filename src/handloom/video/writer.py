"""Pictures into an MP4 whose times are exactly those of the pictures."""

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import UInt8
from numpy._core._multiarray_umath import __cpu_features__  # type: ignore

from handloom.errors import OutputError
from handloom.video.picture import ONE_THREAD

# Codes of ITU-T H.273: all parts of BT.709.
_BT709 = 1

FAST = {
    # The fastest one: an overlay must not cost the tracker its time. Files are 2.5 times those of "veryfast".
    "preset": "ultrafast",
    "crf": "23",
    # Without B-frames, pictures are stored in the order in which they are shown and no time needs shifting.
    "bf": "0",
}


# x264's AVX-512 code was seen to give other bytes now and then (1 encode of 25 on one machine); its AVX2 code never.
_SAME_BYTES = {"x264-params": "asm=AVX2"} if __cpu_features__.get("AVX512F") else {}


class VideoWriter:
    """Encodes RGB pictures as H.264 in MP4: BT.709 colours, times as given.

    Everything goes to `path` + ".part", which `close` renames: a file with the final name is always whole.
    Left as a context by Ctrl-C, the writer closes, and the file holds the pictures written so far; left by
    any other exception, it discards.

    Colour is stored at half size (yuv420p), which needs even sides; pictures with an odd one are stored with
    full colour (yuv444p) and keep their size. Some players, QuickTime for one, do not show these.

    Args:
        path: ends in .mp4; replaced if it exists.
        width, height: of the pictures.
        time_base: seconds per tick of `pts`.
        frame_rate: nominal, for players; the times come from `pts`.
        encoder: options of libx264; by default a key frame stands every two seconds.
        threads: of the encoder. What x264 makes depends on their number.

    Raises:
        OutputError: the file cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        time_base: Fraction,
        frame_rate: float | Fraction,
        encoder: Mapping[str, str] = FAST,
        threads: int = 2,
    ) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() != ".mp4":
            raise OutputError(f"{path}: the name of an output video must end in .mp4")
        self._part = self._path.with_name(self._path.name + ".part")
        self._size, self._time_base, self._last = (height, width), time_base, -1
        self._format = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        self._reformatter = VideoReformatter()
        try:
            # A Python file tells why a write fails; FFmpeg's own loses errors that come with its last flush.
            self._file = self._part.open("wb")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        # The start of the first picture is kept in units of the movie's clock, by default whole milliseconds.
        clock = {"movie_timescale": str(time_base.denominator)}
        self._container = av.open(self._file, "w", format="mp4", options=clock)
        rate = Fraction(frame_rate).limit_denominator(1001) if 0 < frame_rate < math.inf else Fraction(30)
        options = {"g": str(max(1, round(2 * rate))), **_SAME_BYTES, **encoder}
        self._stream = self._container.add_stream("libx264", rate=max(rate, Fraction(1, 1001)), options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, self._format
        self._stream.time_base = time_base
        context = self._stream.codec_context
        context.time_base = time_base
        context.thread_count = threads
        context.color_range = ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = _BT709

    def write(self, image: UInt8[np.ndarray, "height width 3"], pts: int) -> None:
        """Append a picture, RGB, shown from `pts * time_base` seconds on.

        Raises:
            OutputError: no space left, or `pts` is negative or does not increase.
        """
        if image.shape != (*self._size, 3):
            raise ValueError(f"pictures must have shape {(*self._size, 3)}, found {image.shape}")
        if pts <= self._last:
            raise OutputError(f"{self._path}: timestamps must increase from 0 on; {pts} follows {self._last}")
        self._last = pts
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
            format=self._format,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            **ONE_THREAD,
        )
        frame.pts, frame.time_base = pts, self._time_base
        self._encode(frame)

    def close(self) -> None:
        """Finish the file and give it its name. Nothing was written: there is no file.

        Raises:
            OutputError: no space left; nothing stays behind.
        """
        if self._file.closed:
            return
        if self._last < 0:
            self.discard()
            return
        self._encode(None)
        try:
            self._container.close()
            self._file.close()
            self._part.replace(self._path)
        except (av.FFmpegError, OSError) as error:
            self._fail(error)

    def discard(self) -> None:
        """Stop and leave nothing behind."""
        for part in (self._container, self._file):
            try:
                part.close()
            except (av.FFmpegError, OSError, ValueError):
                continue
        self._part.unlink(missing_ok=True)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            self._fail(error)

    def _fail(self, error: av.FFmpegError | OSError) -> NoReturn:
        self.discard()
        raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self.discard()
        else:
            self.close()
