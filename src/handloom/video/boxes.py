"""The top-level boxes of an MP4 file (ISO/IEC 14496-12, section 4.2)."""

import struct
from collections.abc import Iterator
from pathlib import Path


def lacks_index(path: Path) -> bool:
    """Whether this is an MP4 whose index (the `moov` box, often written last) is missing or cut off."""
    kinds = {}
    size = path.stat().st_size
    for kind, stop in _boxes(path):
        kinds[kind] = stop <= size
    is_mp4 = bool(kinds.keys() & {b"ftyp", b"mdat", b"wide"})
    return is_mp4 and not kinds.get(b"moov", False)


def _boxes(path: Path) -> Iterator[tuple[bytes, int]]:
    """Kind and end of each box; stops at the end of the file or at what cannot be a box."""
    start = 0
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            length, kind = struct.unpack(">I4s", header[:8])
            if length == 1 and len(header) == 16:
                length = struct.unpack(">Q", header[8:])[0]
            if length < 8:
                return
            start += length
            yield kind, start
            file.seek(start)
