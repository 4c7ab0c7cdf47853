"""Made-up clips: every picture carries its own number, so that a test can tell which one it was given."""

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]], np.uint8)
"""Upper left, upper right, lower left, lower right."""
BITS = 10


def picture(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """(height, width, 3): four coloured quadrants, and `number` as black and white blocks in the middle."""
    right, lower = np.arange(width) >= width // 2, np.arange(height) >= height // 2
    image = COLOURS[2 * lower[:, None] + right[None, :]]
    for bit, block in enumerate(_blocks(width)):
        image[_band(height), block] = 235 if number >> bit & 1 else 20
    return image


def number_of(image: np.ndarray) -> int:
    """The number that `picture` wrote."""
    height, width = image.shape[:2]
    middle = image[height // 2]
    return sum((middle[(b.start + b.stop) // 2].mean() > 128) << bit for bit, b in enumerate(_blocks(width)))


def quadrants(image: np.ndarray) -> np.ndarray:
    """(4, 3) mean colours in the order of `COLOURS`."""
    h, w = image.shape[0] // 4, image.shape[1] // 4
    return np.array([image[:h, :w], image[:h, -w:], image[-h:, :w], image[-h:, -w:]]).mean((1, 2))


def clip(
    path: Path,
    count: int = 20,
    *,
    width: int = 160,
    height: int = 96,
    time_base: Fraction = Fraction(1, 30),
    pts: list[int] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    container: str | None = None,
    audio: bool = False,
    options: dict[str, str] | None = None,
    gop: int = 10,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `count` pictures, one every tick of `time_base` unless `pts` says otherwise."""
    pts = list(range(count)) if pts is None else pts
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=1 / time_base, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = gop
        sound = out.add_stream("aac", rate=16000, layout="mono") if audio else None
        for number, moment in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), format="rgb24")
            frame.pts, frame.time_base = moment, time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            _add_silence(out, sound)
    return path


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        _add_silence(out, out.add_stream("aac", rate=16000, layout="mono"))
    return path


def image(path: Path, array: np.ndarray, codec: str = "png", pixel_format: str = "rgb24") -> Path:
    """Write one picture; (H, W) uint8 is grey, (H, W) uint16 deep grey, (H, W, 4) has an alpha channel."""
    formats = {
        ("uint8", 2): "gray",
        ("uint16", 2): "gray16be",
        ("uint16", 3): "rgb48be",
        ("uint8", 3): "rgb24",
    }
    source = "rgba" if array.shape[2:] == (4,) else formats[array.dtype.name, array.ndim]
    frame = av.VideoFrame.from_ndarray(array, format=source)
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = frame.width, frame.height
    context.pix_fmt, context.time_base = pixel_format, Fraction(1, 25)
    path.write_bytes(b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]))
    return path


def rotate(path: Path, degrees_clockwise: int) -> Path:
    """Set the display matrix of an MP4's only track: players turn the picture clockwise by so much."""
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees_clockwise]
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    start = header + (56 if data[header + 4] else 44)
    one, unit = 1 << 16, 1 << 30
    struct.pack_into(">9i", data, start, a * one, b * one, 0, c * one, d * one, 0, 0, 0, unit)
    path.write_bytes(data)
    return path


def packet_ranges(path: Path) -> list[tuple[int, int]]:
    """Byte range of every video packet, in decode order."""
    with av.open(str(path)) as container:
        return [(p.pos, p.pos + p.size) for p in container.demux(video=0) if p.size]


def damage(path: Path, packet: int, keep: int = 8) -> Path:
    """Overwrite one packet with noise, all but its first bytes."""
    start, stop = packet_ranges(path)[packet]
    data = bytearray(path.read_bytes())
    data[start + keep : stop] = np.random.default_rng(0).integers(0, 256, stop - start - keep, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def _add_silence(out: av.container.OutputContainer, stream: av.AudioStream) -> None:
    for block in range(8):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 1024 * block
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _blocks(width: int) -> list[slice]:
    edges = np.linspace(0, width, BITS + 1).astype(int)
    return [slice(a, b) for a, b in pairwise(edges)]


def _band(height: int) -> slice:
    return slice(height // 2 - height // 8, height // 2 + height // 8)
