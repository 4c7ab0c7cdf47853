"""A look at every packet of a file without decoding: how many frames, shown when, and what is cut off."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import Bool, Int64


@dataclass(frozen=True, eq=False)
class Scan:
    """The frames of a file. Packets stand in decode order, frames in presentation order.

    Attributes:
        pts: presentation time of every frame, in units of `time_base`, strictly increasing.
        time_base: seconds per tick.
        frame_of: the frame that a packet holds; -1 where it holds none that is shown.
        key: packets that decode without any other.
        counted: pictures carry no presentation time of their own; the k-th to come out is frame k.
        nominal: not even the packets do; times are counted at the nominal rate.
        duration_s: from the first frame to the end of the last one.
        notes: what is wrong with the file as a whole.
    """

    pts: Int64[np.ndarray, "frames"]
    time_base: Fraction
    frame_of: Int64[np.ndarray, "packets"]
    key: Bool[np.ndarray, "packets"]
    counted: bool
    nominal: bool
    duration_s: float
    notes: tuple[str, ...]

    @cached_property
    def packet_of(self) -> Int64[np.ndarray, "frames"]:
        """The packet that holds a frame."""
        packets_shown = np.flatnonzero(self.frame_of >= 0)
        packet_of = np.empty(len(self.pts), np.int64)
        packet_of[self.frame_of[packets_shown]] = packets_shown
        return packet_of

    def entry_packet(self, frame: int) -> int:
        """The last key packet from which a frame decodes; 0 where times do not tell the way there."""
        if self.counted or frame <= 0:
            return 0
        keys = np.flatnonzero(self.key & (self.frame_of >= 0) & (self.frame_of <= frame))
        return int(keys[-1]) if len(keys) else 0

    def blame(self, packet: int, reason: str, damage: dict[int, str]) -> None:
        """Enter a bad packet's frame into `damage`, and those that may show its traces."""
        frame = int(self.frame_of[packet])
        if frame >= 0:
            damage[frame] = reason
            reason = f"refers to frame {frame}, which is damaged"
        for dependent in self.dependents(packet):
            damage.setdefault(int(dependent), reason)

    def dependents(self, packet: int) -> Int64[np.ndarray, "dependents"]:
        """Frames that may refer to this packet's: those decoded after it until a key frame starts anew."""
        keys = np.flatnonzero(self.key)
        following = keys[np.searchsorted(keys, packet, side="right") :]
        stop = len(self.key)
        if len(following):
            # Open GOP: pictures stored behind the key frame but shown before it refer to both sides.
            stop = int(following[0]) + 1
            while stop < len(self.key) and self.frame_of[stop] < self.frame_of[following[0]]:
                stop += 1
        frames = self.frame_of[packet + 1 : stop]
        affected: np.ndarray = frames[(frames >= 0) & ~self.key[packet + 1 : stop]]
        return affected

    def settled_by(self) -> Int64[np.ndarray, "frames"]:
        """For every frame: the frame with whose appearance all that it may refer to has been decoded."""
        shown = self.frame_of >= 0
        latest = np.maximum.accumulate(self.frame_of)
        settled = np.arange(len(self.pts))
        settled[self.frame_of[shown]] = latest[shown]
        return settled


def packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """The stream's packets up to where reading fails; without empty ones, which would drain the decoder."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except av.FFmpegError:
        return


def scan(container: InputContainer, stream: VideoStream) -> Scan:
    """Read all packets of a file.

    Frames with equal timestamps are one frame to us: the later packet holds none.
    """
    rows = [(p.pts, p.duration or 0, p.is_keyframe, p.is_discard) for p in packets(container, stream)]
    key = np.array([row[2] for row in rows], bool)
    shown = np.array([not row[3] for row in rows], bool)
    nominal = any(row[0] is None for row in rows)
    average, guessed = stream.average_rate, stream.guessed_rate
    rate = (guessed or average if nominal else average or guessed) or Fraction(25)
    # AVI stores one clock for decoding only; what libavformat makes of it is right as a set, not by frame.
    counted = nominal or container.format.name == "avi"
    time_base = 1 / rate if nominal or stream.time_base is None else stream.time_base

    times = np.cumsum(shown) - 1 if nominal else np.array([row[0] for row in rows], np.int64)
    pts, first = np.unique(times[shown], return_index=True)
    holders = np.flatnonzero(shown)[first]
    frame_of = np.full(len(rows), -1, np.int64)
    frame_of[np.sort(holders) if counted else holders] = np.arange(len(pts))

    duration_s = 0.0
    if len(pts):
        last = 1 if nominal else rows[holders[-1]][1] or round(1 / (rate * time_base))
        duration_s = float((int(pts[-1] - pts[0]) + last) * time_base)
    notes = _notes(container, stream, len(rows), duration_s, int(shown.sum()) - len(pts))
    return Scan(pts.astype(np.int64), time_base, frame_of, key, counted, nominal, duration_s, notes)


def _notes(
    container: InputContainer, stream: VideoStream, found: int, duration_s: float, repeated: int
) -> tuple[str, ...]:
    notes = []
    promised_s = (container.duration or 0) / av.time_base
    if stream.frames > found:
        notes.append(f"the file is cut off: its header promises {stream.frames} frames, {found} are there")
    elif container.format.name.startswith("matroska") and len(container.streams) == 1:
        start_s = (container.start_time or 0) / av.time_base
        if promised_s - start_s - duration_s > 0.5:
            notes.append(f"the file is cut off: its header promises {promised_s:.1f} s, {duration_s:.1f} s are there")
    if repeated:
        notes.append(f"{repeated} frames repeat the timestamp of another and are left out")
    return tuple(notes)
