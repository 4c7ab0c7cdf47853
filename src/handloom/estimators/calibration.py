"""Pictures to calibrate a network on, evenly spread over videos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.estimators.htt_picture import PinholePicture
from handloom.geometry import Pinhole
from handloom.video import Recording, open_source

COUNT = 128


def calibration_pictures(
    sources: Sequence[str], size: tuple[int, int], count: int = COUNT
) -> UInt8[np.ndarray, "N height width 3"]:
    """About `count` pictures in all, as the network would see them.

    Args:
        sources: video files, picture folders or patterns, or stores and other folders with .mp4 files.
        size: width and height.
        count: of pictures.

    Raises:
        InputError: a source that cannot be read, is live, or holds no picture.
    """
    files = [file for source in sources for file in _videos(source)]
    if not files:
        raise InputError(f"no video in {', '.join(sources)}; give videos or pictures to calibrate on")
    # Of many videos so many, evenly spread, that each gives a picture or more.
    files = [
        files[row] for row in np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int))
    ]
    share = -(-count // len(files))
    pictures = []
    for file in files:
        with open_source(file) as frames:
            if not isinstance(frames, Recording) or not frames.info.frame_count:
                raise InputError(f"{file} is no recording; give video files or pictures to calibrate on")
            info, last = frames.info, frames.info.frame_count - 1
            wanted = set(np.linspace(0, last, share).round().astype(int).tolist())
            view = PinholePicture(Pinhole.from_fov(info.width, info.height, 60), size).view
            pictures += [view(frame.image) for frame in frames.select(wanted.__contains__)]
    if len(pictures) < 2:
        raise InputError(f"{', '.join(sources)} gives {len(pictures)} pictures; at least 2 are needed")
    return np.stack(pictures)


def _videos(source: str) -> list[str]:
    folder = Path(source).expanduser()
    inside = sorted(str(path) for path in folder.rglob("*.mp4")) if folder.is_dir() else []
    return inside or [source]
