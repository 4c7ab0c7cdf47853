"""What the readers and writers of data set trees share: faults with their place, safe paths, tables of numbers."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path, PurePosixPath
from uuid import uuid4

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError, OutputError
from handloom.formats.episode import Problem
from handloom.formats.text_files import read_text
from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.skeleton import HANDS, MIDDLE_MCP, WRIST

_SMALL_FILE_BYTES = 1 << 16
_PALM_M = (0.03, 0.25)


class Faults:
    """Faults of a data set: the first one raises, or with `skip_bad` all go to `found`."""

    def __init__(self, skip_bad: bool, found: list[Problem] | None = None) -> None:
        self.skip_bad = skip_bad
        self.found: list[Problem] = [] if found is None else found

    def add(self, place: object, reason: str) -> None:
        """Report a part that has to be left out.

        Raises:
            InputError: faults are not to be skipped.
        """
        if not self.skip_bad:
            raise InputError(f"{place}: {reason}")
        self.found.append(Problem(str(place), reason))


def existing_folder(path: Path, advice: str) -> Path:
    """The folder itself.

    Raises:
        InputError: it is not there.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; {advice}")
    return path


def inside(root: Path, name: str, place: object) -> Path:
    """The file that an annotation names, under `root`.

    Raises:
        InputError: an absolute path, or one that leaves the tree.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if not name or parts.is_absolute() or ".." in parts.parts or ":" in name:
        raise InputError(f"{place}: {name!r} leaves the data set's folder; annotations may only name files in it")
    return root / parts


def fingerprint(root: Path, places: Iterable[Path], *facts: object) -> str:
    """A digest of files by name under `root`, size and time of change, and of anything else by its text.

    Args:
        root: of the tree; where it stands does not count.
        places: files, and folders for all files right in them; those that are not there count, too.
        facts: plain values: what shared tables say.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for place in places:
        states: list[tuple[str, os.stat_result]] = []
        if place.is_dir():
            with os.scandir(place) as entries:
                states = sorted((entry.name, entry.stat()) for entry in entries if entry.is_file())
        elif place.exists():
            states = [("", place.stat())]
        found = [(label, state.st_size, state.st_mtime_ns) for label, state in states]
        digest.update(repr((place.relative_to(root).as_posix(), found)).encode())
    return digest.hexdigest()


def numbered_files(folder: Path, prefix: str, suffix: str) -> dict[int, Path]:
    """The files `<prefix><number><suffix>` of a folder by number, in order; empty where there is no folder.

    Raises:
        InputError: two files have one number (7.txt beside 000007.txt).
    """
    found: dict[int, Path] = {}
    if not folder.is_dir():
        return found
    for name in sorted(os.listdir(folder)):
        number = name[len(prefix) : len(name) - len(suffix)]
        if name.startswith(prefix) and name.endswith(suffix) and number.isascii() and number.isdecimal():
            if int(number) in found:
                raise InputError(f"{folder / name} and {found[int(number)].name} are the same frame; keep one")
            found[int(number)] = folder / name
    return dict(sorted(found.items()))


def read_number_files(paths: Sequence[Path], columns: int, faults: Faults, expected: str) -> Float[np.ndarray, "n c"]:
    """One small text file of `columns` numbers per row; with `skip_bad`, NaN for a file that is bad."""
    nothing = [b"nan"] * columns
    rows = []
    for path in paths:
        words = _words(path, faults)
        if words is not None and len(words) != columns:
            faults.add(path, f"expected {columns} numbers ({expected}), found {len(words)}")
            words = None
        rows.append(words or nothing)
    try:
        return np.array(rows, np.float64).reshape(-1, columns)
    except ValueError:
        for index, (path, row) in enumerate(zip(paths, rows)):
            if (word := _not_a_number(row)) is not None:
                faults.add(path, f"{word!r} is not a number")
                rows[index] = nothing
        return np.array(rows, np.float64).reshape(-1, columns)


def read_table(path: Path, columns: int, expected: str) -> Float[np.ndarray, "rows columns"]:
    """A text file of rows of numbers.

    Raises:
        InputError: not there, or a line has another number of columns, or a word that is no number; names the line.
    """
    lines = [line.split() for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    for number, words in enumerate(lines, 1):
        if len(words) != columns:
            raise InputError(f"{path}, line {number}: expected {columns} numbers ({expected}), found {len(words)}")
    try:
        return np.array(lines, np.float64)
    except ValueError:
        number, word = next((n, w) for n, words in enumerate(lines, 1) if (w := _not_a_number(words)) is not None)
        raise InputError(f"{path}, line {number}: {word!r} is not a number") from None


def whole_number(text: str, place: str, column: str) -> int:
    """A count or id in a table.

    Raises:
        InputError: not a whole number of at most 9 digits.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"{place}: {column} must be a whole number, found {text!r}")
    return int(text)


def world_hands(
    frame_ids: Int[np.ndarray, "T"],
    rate: Fraction,
    joints_m: Float[np.ndarray, "T 2 21 3"],
    valid: Bool[np.ndarray, "T 2 21"],
    place: object,
    confidence: Float[np.ndarray, "T 2 21"] | None = None,
) -> HandTrack:
    """Labelled hands as a record in the world frame; `rate` counts the ids.

    Raises:
        InputError: no frame, or hands that cannot be in metres.
    """
    if not len(frame_ids):
        raise InputError(f"{place}: no frame is left that can be used")
    for hand, name in enumerate(HANDS):
        both = valid[:, hand, WRIST] & valid[:, hand, MIDDLE_MCP]
        palm = np.linalg.norm(joints_m[both, hand, MIDDLE_MCP] - joints_m[both, hand, WRIST], axis=-1)
        if len(palm) and not _PALM_M[0] < (typical := np.median(palm)) < _PALM_M[1]:
            raise InputError(
                f"{place}: the {name} palm is {typical:.3g} m long (wrist to middle knuckle), a real one about 0.09 m; "
                "are these joints in the unit and order of the official files?"
            )
    return HandTrack(
        times_s=frame_ids * (rate.denominator / rate.numerator),
        joints_m=joints_m,
        valid=valid,
        confidence=valid.astype(np.float32) if confidence is None else confidence,
        keypoints_px=np.full((len(frame_ids), 2, 21, 2), np.nan),
        frame="world",
        camera_source=CameraSource.CALIBRATED,
        scale_source=ScaleSource.MEASURED,
    )


def whole_hands(valid: Bool[np.ndarray, "T 2 joints"], place: str, joints: str) -> Bool[np.ndarray, "T 2"]:
    """Which hands exist, for a layout that knows only whole ones.

    Raises:
        OutputError: a hand has some of its joints only.
    """
    partly = valid.any(-1) & ~valid.all(-1)
    if partly.any():
        frame, hand = np.argwhere(partly)[0]
        raise OutputError(
            f"{place}: this layout holds whole hands ({joints}), but the {HANDS[hand]} hand of frame {frame} has "
            f"{int(valid[frame, hand].sum())} of {valid.shape[-1]} joints; complete the hand or mark all of it invalid"
        )
    return np.asarray(valid.all(-1))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes its name only once all that is in it is written.

    Raises:
        OutputError: it is already there, or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path} is already there; choose an empty folder")
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(path)
    except OSError as failure:
        raise OutputError(f"cannot write {path}: {failure.strerror or failure}") from failure
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _words(path: Path, faults: Faults) -> list[bytes] | None:
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(_SMALL_FILE_BYTES + 1)
    except OSError as failure:
        faults.add(path, f"cannot be read: {failure.strerror}")
        return None
    if len(content) > _SMALL_FILE_BYTES:
        faults.add(path, f"has more than {_SMALL_FILE_BYTES} bytes, far more than such a file ever has")
        return None
    return content.split()


def _not_a_number(words: Sequence[bytes] | Sequence[str]) -> str | None:
    for word in words:
        try:
            float(word)
        except ValueError:
            return word.decode("ascii", "replace") if isinstance(word, bytes) else word
    return None
