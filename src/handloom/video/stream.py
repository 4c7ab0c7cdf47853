"""A network stream or pipe, read in order."""

from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import chain

import av

from handloom.errors import InputError
from handloom.video.frames import Closing, Frame, FrameProblem, VideoInfo, seconds
from handloom.video.picture import Converter, orientation_of

TIMEOUT_S = 10.0
MAX_PROBLEMS = 1000
"""A stream that loses pictures for days must not fill the memory with reports of it."""


class Stream(Closing):
    """Pictures of a network stream (HTTP, RTSP, RTMP, TCP, UDP, ...) or pipe, which can be iterated once.

    A stream that breaks off or stays silent for 10 s ends the iteration and stands in `problems`. Where its
    clock jumps back (a sender that starts again), the pictures go on one frame later than the last.

    Args:
        address: URL, or "file:" and the path of a pipe.
        mirrored: flip every picture left to right.
        endless: its end is a problem to report, as with a camera; not so with a file on a server.

    Raises:
        InputError: nothing answers within 10 s, or what answers holds no pictures.
    """

    dropped = 0
    cut_short = False

    def __init__(self, address: str, mirrored: bool = False, endless: bool = False) -> None:
        self.problems: list[FrameProblem] = []
        self._address, self._endless, self._broken = address, endless, ""
        options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
        try:
            self._container = av.open(address, options=options, timeout=TIMEOUT_S)
        except (av.FFmpegError, OSError) as error:
            raise InputError(
                f"{address}: the stream cannot be opened ({error.strerror}); "
                "check the address, and that the sender is running"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{address}: the stream holds no pictures")
        stream = self._container.streams.video[0]
        # Decoding several frames at once would hold each one back until later ones have arrived.
        stream.thread_type = "SLICE"
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
        self._time_base = stream.time_base or 1 / rate
        self._step = max(1, round(1 / (rate * self._time_base)))
        self._pictures = self._decode()
        first = next(self._pictures, None)
        if first is None:
            raise InputError(f"{address}: no picture came from the stream: {self._broken or 'it ended'}")
        self._first: tuple[av.VideoFrame, ...] = (first,)
        orientation = orientation_of(first)
        self._converter = Converter(orientation, mirrored)
        self._stored_size = first.width, first.height
        width, height = self._stored_size[::-1] if orientation.transpose else self._stored_size
        self.info = VideoInfo(
            path=address,
            width=width,
            height=height,
            time_base=self._time_base,
            frame_rate=float(rate),
            frame_count=None,
            duration_s=None,
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            rotation_deg=orientation.rotation_deg,
            audio=bool(self._container.streams.audio),
        )

    def __iter__(self) -> Iterator[Frame]:
        first, self._first = self._first, ()
        offset, index = 0, -1
        last: int | None = None
        try:
            for pictures in (first, self._pictures):
                for picture in pictures:
                    index += 1
                    if last is None:
                        pts = picture.pts or 0
                    else:
                        pts = last + self._step if picture.pts is None else picture.pts + offset
                        if pts <= last:
                            offset += last + self._step - pts
                            pts = last + self._step
                            self._report(index, pts, "the clock of the stream jumps back here; times go on")
                    last = pts
                    if picture.is_corrupt:
                        self._report(index, pts, "decodes with errors")
                    elif (picture.width, picture.height) != self._stored_size:
                        self._report(index, pts, f"the size changes to {picture.width}x{picture.height}")
                    else:
                        yield Frame(index, pts, seconds(pts, self._time_base), self._converter.rgb(picture))
            self.cut_short = bool(self._broken) or self._endless
            if self._broken:
                self._report(None, None, f"{self._address}: broke off after {index + 1} pictures: {self._broken}")
            elif self._endless:
                self._report(None, None, f"{self._address}: the stream ended after {index + 1} pictures")
        finally:
            # Closed by whichever thread reads: FFmpeg must not be called from two.
            self._pictures.close()

    def close(self) -> None:
        """Hang up."""
        self._pictures.close()

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        with self._container:
            for packet in chain(self._packets(), [None]):
                try:
                    yield from self._container.streams.video[0].codec_context.decode(packet)
                except av.FFmpegError:
                    # Usual until the first key frame has arrived. Which picture it held is unknown.
                    if packet is not None:
                        self._report(None, None, "a packet cannot be decoded")

    def _packets(self) -> Iterator[av.Packet]:
        try:
            yield from (packet for packet in self._container.demux(video=0) if packet.size)
        except (av.FFmpegError, OSError) as error:
            self._broken = error.strerror or str(error)

    def _report(self, index: int | None, pts: int | None, reason: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            time_s = None if pts is None else seconds(pts, self._time_base)
            self.problems.append(FrameProblem(index, time_s, reason))
        elif len(self.problems) == MAX_PROBLEMS:
            self.problems.append(FrameProblem(None, None, "further problems are not listed"))
