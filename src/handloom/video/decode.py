"""Decode a scanned file so that every error falls on the frame to which it belongs."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from handloom.errors import InputError
from handloom.video.boxes import lacks_index
from handloom.video.scan import Scan, packets

Picture = tuple[int, av.VideoFrame]


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """The file and its first stream of moving pictures; the caller closes the file.

    Raises:
        InputError: no permission, not a video, an MP4 without index, sound only.
    """
    try:
        # The prefix keeps a name such as "12:30.mp4" from being taken for an address.
        container = av.open(f"file:{path}")
    except (av.InvalidDataError, av.error.EOFError) as error:
        raise InputError(f"{path}: {_not_a_video(path)}") from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror}") from error
    # Cover art is a video stream of one picture.
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if streams and container.format.name != "tty":  # FFmpeg can "play" text files
        return container, streams[0]
    kinds = {stream.type for stream in container.streams}
    container.close()
    if "audio" in kinds:
        raise InputError(f"{path}: holds sound only, no pictures; give the video that belongs to it")
    raise InputError(f"{path}: {_not_a_video(path)}")


def sound_frames(path: Path, frames: Scan, damage: dict[int, str], start: int = 0) -> Iterator[Picture]:
    """(index, frame) in presentation order, each given once all that it may refer to has proved sound.

    Frames that cannot be decoded, decode with errors or refer to such a frame are left out and entered in
    `damage`, index to reason. Where pictures carry no time of their own (`frames.counted`), its place is
    right to within the few frames by which decode and presentation order differ.

    With `start`, reading begins at the last key frame from which that frame decodes; earlier frames may come first.
    """
    settled_by = frames.settled_by()
    held: deque[Picture] = deque()
    for index, frame in _decoded(path, frames, damage, start):
        held.append((index, frame))
        while held and settled_by[held[0][0]] <= index:
            ready = held.popleft()
            if ready[0] not in damage:
                yield ready
    yield from (picture for picture in held if picture[0] not in damage)


def _decoded(path: Path, frames: Scan, damage: dict[int, str], start: int) -> Iterator[Picture]:
    """Every picture that the decoder gives, bad ones too."""
    gone: set[int] = set()
    newest = -1
    entry = frames.entry_packet(start)
    container, stream = open_video(path)
    with container:
        # Not several frames at once: errors then surface with a later packet, and FFmpeg reads a picture's
        # error flags while its thread may still be setting them: one run in ten lets a bad frame pass.
        stream.thread_type = "SLICE"
        if entry:
            container.seek(int(frames.pts[frames.frame_of[entry]]), stream=stream)
        healing = False
        for position, packet in enumerate(chain(packets(container, stream), [None]), entry):
            if entry and position == entry and not _is_at(packet, frames, entry):
                # This container does not seek to the key frame that was asked for: read from the beginning.
                yield from _decoded(path, frames, damage, 0)
                return
            try:
                pictures = stream.codec_context.decode(packet)
            except av.FFmpegError as error:
                if packet is not None:
                    gone.add(int(frames.frame_of[position]))
                    frames.blame(position, f"cannot be decoded: {error.strerror}", damage)
                continue
            for frame in pictures:
                index = _index(frame, frames, newest, gone)
                if index <= newest:
                    continue
                whole = frame.pict_type == PictureType.I or not frames.key[frames.packet_of[index]]
                if entry and newest < 0 and (index > frames.frame_of[entry] or not whole):
                    # What was taken for a key frame is none: read from the beginning.
                    yield from _decoded(path, frames, damage, 0)
                    return
                if not whole:
                    # Gradual refresh: a "key" packet from which the picture heals until the next one.
                    healing = not healing and index - 1 in damage
                    if healing:
                        reason = f"refers to frame {index - 1}, which is damaged"
                        damage[index] = reason
                        for dependent in frames.dependents(int(frames.packet_of[index])):
                            damage.setdefault(int(dependent), reason)
                newest = index
                if frame.is_corrupt:
                    frames.blame(int(frames.packet_of[index]), "decodes with errors", damage)
                yield index, frame


def _is_at(packet: av.Packet | None, frames: Scan, position: int) -> bool:
    return packet is not None and packet.pts == int(frames.pts[frames.frame_of[position]])


def _index(frame: av.VideoFrame, frames: Scan, newest: int, gone: set[int]) -> int:
    """Which frame of the file this picture is; -1 where it is none that the file promised."""
    if frames.counted:
        index = newest + 1
        while index in gone:
            index += 1
        return index if index < len(frames.pts) else -1
    if frame.pts is None:
        return -1
    index = int(np.searchsorted(frames.pts, frame.pts))
    return index if index < len(frames.pts) and frames.pts[index] == frame.pts else -1


def _not_a_video(path: Path) -> str:
    if not path.stat().st_size:
        return "the file is empty"
    if lacks_index(path):
        return (
            "the index of this MP4 (its moov box) is missing: the recording or the copy was cut off. Copy it "
            "again from the camera; if the original is like this too, a repair tool can rebuild it with "
            "another clip of the same camera"
        )
    return (
        "is not a video that can be read, or ends before its first frame; give a video, an image, or a folder of images"
    )
