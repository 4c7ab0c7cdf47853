"""The weights that come with Handloom."""

from pathlib import Path

from handloom.errors import InputError

SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "ghtt-small"


def weights_folder(given: Path | None) -> Path:
    """A folder of weights that is given, or the shipped one.

    Raises:
        InputError: none is given, and this installation has none.
    """
    if given is not None:
        return given
    if not SHIPPED.is_dir():
        raise InputError(
            "no weights of G-HTT come with this installation; train them (handloom train ghtt-pose, ghtt-action) and "
            "give their folder with --weights"
        )
    return SHIPPED
