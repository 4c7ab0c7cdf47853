"""What a user may name as input, and which source reads it."""

import glob
import re
from pathlib import Path

from handloom.errors import InputError
from handloom.video.file import VideoFile
from handloom.video.frames import FrameSource
from handloom.video.images import IMAGE_SUFFIXES, ImageSequence, natural_order
from handloom.video.live import LiveSource, Webcam
from handloom.video.stream import Stream


def open_source(
    source: str | Path | int, *, live: bool = False, image_rate: float = 30.0, mirrored: bool = False
) -> FrameSource:
    """Open anything that gives pictures.

    Args:
        source: a video file, a folder of images, a glob pattern of images, one image, a webcam index (0 or
            "0"), the URL of a stream, or a named pipe. Images come in natural order: 9.png before 10.png.
        live: read a stream as it comes: a reader that is late loses the oldest pictures, which are counted.
            Webcams are always live. Without it a stream is read in full, like a file.
        image_rate: pictures per second of images.
        mirrored: the pictures are mirror images, as of a selfie camera: flip each one, so that all that
            follows sees the true scene.

    Raises:
        InputError: there is no such thing, or it gives no pictures.
    """
    name = str(source)
    if isinstance(source, int) or (name.isdecimal() and not Path(name).exists()):
        return LiveSource(Webcam(int(name), mirrored))
    if isinstance(source, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        return _stream(source, mirrored, live)
    path = Path(source).expanduser()
    if camera := re.fullmatch(r"/dev/video(\d+)", str(path)):
        return LiveSource(Webcam(int(camera[1]), mirrored))
    if path.is_fifo():
        return _stream(f"file:{path}", mirrored, live)
    if live:
        raise InputError(f"{source}: live reading is for webcams and streams; leave it out for files")
    if path.is_dir():
        return ImageSequence(name, _images_in(path), image_rate, mirrored)
    if path.exists():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return ImageSequence(name, [path], image_rate, mirrored)
        return VideoFile(path, mirrored)
    if glob.has_magic(name):
        return ImageSequence(name, _images_matching(str(path)), image_rate, mirrored)
    raise InputError(f"{source}: no such file or folder")


def _stream(address: str, mirrored: bool, live: bool) -> FrameSource:
    stream = Stream(address, mirrored, endless=live)
    return LiveSource(stream) if live else stream


def _images_in(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    return _images(files, f"{folder}: the folder holds {len(files)} files")


def _images_matching(pattern: str) -> list[Path]:
    files = [path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file()]
    if not files:
        raise InputError(f"{pattern}: no file matches this pattern")
    return _images(files, f"{pattern}: the pattern matches {len(files)} files")


def _images(files: list[Path], found: str) -> list[Path]:
    images = sorted((path for path in files if path.suffix.lower() in IMAGE_SUFFIXES), key=natural_order)
    if not images:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InputError(f"{found}, none of which is an image ({known}); name a video by its own path")
    return images
