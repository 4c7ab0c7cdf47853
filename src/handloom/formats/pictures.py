"""The pictures of a camera stream: their size, all of them in order, and writing them as files or videos."""

import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from handloom.errors import CalibrationError, InputError, OutputError
from handloom.formats.calibration_values import same_shape
from handloom.formats.episode import CameraStream, Episode, PictureFiles, RenderedPictures, VideoSpan
from handloom.geometry import Camera
from handloom.video import FrameLookup, VideoWriter, open_source
from handloom.video.decode import open_video
from handloom.video.file import VideoFile

Picture = UInt8[np.ndarray, "H W 3"]

_PNG = b"\x89PNG\r\n\x1a\n"
_ENCODING = {
    ".png": (cv2.IMWRITE_PNG_COMPRESSION, 1),
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
}


def pictures_of(stream: CameraStream) -> Iterator[Picture | None]:
    """The pictures of all frames in order, RGB; None for a frame that has none.

    Raises:
        InputError: a picture cannot be read.
    """
    picture = picture_getter(stream)
    for frame in range(len(stream)):
        yield picture(frame)


def picture_getter(stream: CameraStream) -> Callable[[int], Picture | None]:
    """A function that gives the picture of a frame; cheap when frames are asked for in order.

    Raises:
        InputError: the video cannot be opened; when called: a picture cannot be read.
    """
    match stream.pictures:
        case None:
            return lambda frame: None
        case RenderedPictures(picture):
            return picture
        case PictureFiles(paths):
            return lambda frame: None if (path := paths[frame]) is None else read_picture(path)
        case VideoSpan(path, frames):
            lookup = FrameLookup(VideoFile(path))
            return lambda frame: None if frames[frame] < 0 else _decoded(lookup, path, int(frames[frame]))
    raise TypeError(f"unknown kind of pictures: {type(stream.pictures).__name__}")


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture file. Raises InputError."""
    info = open_source(path).info
    return info.width, info.height


def video_facts(path: Path) -> tuple[tuple[int, int], int, Fraction]:
    """(width, height), frame count (0 where the header has none) and frame rate, from the header alone.

    Raises:
        InputError: not a video.
    """
    container, stream = open_video(path)
    with container:
        return (stream.width, stream.height), stream.frames, Fraction(stream.average_rate or 0)


def fitted(camera: Camera, size: tuple[int, int], place: object) -> Camera:
    """The camera for pictures that may be scaled copies of those that it was calibrated with.

    Raises:
        CalibrationError: the shape of the pictures is another one.
    """
    width, height = size
    if not same_shape(camera, size):
        raise CalibrationError(
            f"{place}: the calibration is for {camera.width} x {camera.height}, but the pictures are {width} x {height}"
            "; is it the calibration of another camera?"
        )
    return camera if size == (camera.width, camera.height) else camera.resized(width, height)


def write_pictures(episode: Episode, target: Callable[[CameraStream, int], Path | None]) -> None:
    """Write one file per picture: copied where it is such a file already, else encoded.

    Args:
        episode: its streams give the pictures: frame 0 of all, then frame 1 of all, ...
        target: where a picture goes; None for one that is not written.

    Raises:
        InputError: a picture cannot be read.
        OutputError: one cannot be written, or does not have its camera's size.
    """
    getters = [(stream, picture_getter(stream)) for stream in episode.streams if stream.pictures is not None]
    for frame in range(len(episode)):
        for stream, picture in getters:
            path = target(stream, frame)
            if path is None:
                continue
            source = stream.pictures.paths[frame] if isinstance(stream.pictures, PictureFiles) else None
            if source is not None and source.suffix == path.suffix:
                shutil.copyfile(source, path)
            elif (image := picture(frame)) is not None:
                _write(path, _checked(stream, image), stream.monochrome)


def write_videos(episode: Episode, targets: Mapping[str, Path]) -> None:
    """Write the pictures of whole streams as MP4 at the episode's frame rate.

    Args:
        episode: its streams give the pictures.
        targets: the file of each camera that is written.

    Raises:
        InputError: a picture cannot be read.
        OutputError: a picture is missing or has another size than its camera, or the file cannot be written.
    """
    streams = [stream for stream in episode.streams if stream.name in targets and stream.pictures is not None]
    with ExitStack() as stack:
        outputs = []
        for stream in streams:
            size, rate = (stream.camera.width, stream.camera.height), episode.frame_rate
            writer = stack.enter_context(VideoWriter(targets[stream.name], *size, 1 / rate, rate))
            outputs.append((stream, picture_getter(stream), writer))
        for frame in range(len(episode)):
            for stream, picture, writer in outputs:
                image = picture(frame)
                if image is None:
                    raise OutputError(
                        f"episode {episode.name!r}: camera {stream.name!r} has no picture of frame {frame}; a video "
                        "needs all of them"
                    )
                writer.write(_checked(stream, image), frame)


def read_picture(path: Path) -> Picture:
    """A picture file, RGB. Raises InputError: not there, or not a picture."""
    try:
        data = path.read_bytes()
        whole = not data.startswith(_PNG) or _is_whole_png(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if whole else None
    except (OSError, cv2.error) as failure:
        raise InputError(f"{path}: cannot be read: {failure}") from None
    if image is None:
        raise InputError(f"{path}: is not a picture that can be read; copy the file again")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _is_whole_png(data: bytes) -> bool:
    """Whether all chunks are there and unharmed. OpenCV and libpng would write lines of their own if they are not."""
    start, kind = len(_PNG), b""
    while kind != b"IEND" and start + 12 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, start), data[start + 4 : start + 8]
        end = start + 8 + length
        if data[end : end + 4] != zlib.crc32(data[start + 4 : end]).to_bytes(4, "big"):
            return False
        start = end + 4
    return kind == b"IEND"


def _decoded(lookup: FrameLookup, path: Path, index: int) -> Picture:
    image = lookup(index)
    if image is None:
        raise InputError(f"{path}: frame {index} cannot be decoded, or the video ends before it")
    return image


def _checked(stream: CameraStream, image: Picture) -> Picture:
    expected = (stream.camera.height, stream.camera.width, 3)
    if image.shape != expected or image.dtype != np.uint8:
        raise OutputError(
            f"camera {stream.name!r}: a picture has shape {image.shape} and type {image.dtype}, but its camera asks "
            f"for {expected}, uint8"
        )
    return image


def _write(path: Path, image: Picture, monochrome: bool) -> None:
    stored = image[..., 1] if monochrome else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(path.suffix, stored, list(_ENCODING[path.suffix]))
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded")
    path.write_bytes(data.tobytes())
