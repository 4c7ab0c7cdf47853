"""Lists of class names: a text file with one name per line."""

from pathlib import Path

from handloom.errors import InputError
from handloom.formats.text_files import read_text


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names, in the order of the classes; empty lines at the end do not count.

    Raises:
        InputError: missing, no text, an empty line between names, or a name given twice.
    """
    names = [line.strip() for line in read_text(path).rstrip().splitlines()]
    for number, name in enumerate(names, start=1):
        if not name:
            raise InputError(f"{path} line {number} is empty; give one name per line")
        if name in names[: number - 1]:
            raise InputError(f"{path} line {number}: {name!r} is given twice; every class needs a name of its own")
    return tuple(names)
