"""Text and JSON files in, with errors that say where the file is wrong."""

import json
from pathlib import Path
from typing import Any

from handloom.errors import CalibrationError, InputError

Refusal = type[InputError] | type[CalibrationError]


def read_text(path: Path, error: Refusal = InputError, limit_bytes: int | None = None) -> str:
    """The whole text of a UTF-8 file.

    Args:
        path: the file.
        error: the exception to raise.
        limit_bytes: refuse larger files unread: what is wanted here is never that large.

    Raises:
        error: not there, not a file, not readable, empty, too large, or not text.
    """
    if path.is_dir():
        raise error(f"{path} is a folder; give the file itself")
    try:
        size = path.stat().st_size
        if limit_bytes is not None and size > limit_bytes:
            raise error(f"{path} has {size} bytes, far more than such a text file ever has; is it the right file?")
        content = path.read_bytes()
    except FileNotFoundError:
        raise error(f"{path} does not exist; check the path") from None
    except OSError as failure:
        raise error(f"cannot read {path}: {failure.strerror or failure}") from failure
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(f"{path} is not a text file (byte {failure.start} is not UTF-8)") from None
    if not text.strip():
        raise error(f"{path} is empty")
    return text


def parse_json(path: Path, text: str, error: Refusal = InputError) -> dict[str, Any]:
    """The JSON object in a text that was read from `path`.

    Raises:
        error: malformed or truncated (with line and column), a key given twice, or not an object.
    """

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise error(f"{path}: {twice!r} is given twice; keep one")
        return values

    try:
        values = json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as failure:
        truncated = not text[failure.pos :].strip() or failure.msg.startswith("Unterminated string")
        state = "ends in the middle (truncated?)" if truncated else "is not valid JSON"
        place = f"line {failure.lineno}, column {failure.colno}"
        raise error(f"{path} {state} at {place}: {failure.msg}") from None
    except (RecursionError, ValueError) as failure:
        raise error(f"{path} cannot be read as JSON: {failure}") from None
    if not isinstance(values, dict):
        raise error(f"{path} must hold a JSON object {{...}}, found {type(values).__name__}")
    return values
