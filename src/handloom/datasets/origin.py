"""What a store was made of (meta/shards.json): tells whether its source has changed, and what to make again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handloom.datasets.shard import about_fault
from handloom.datasets.store_write import SHARDS
from handloom.errors import InputError
from handloom.formats.episode import Problem
from handloom.formats.text_files import parse_json, read_text


@dataclass(frozen=True)
class Origin:
    """What is known of a store's source.

    Attributes:
        made_of: digests of everything that it held when the store was made, by recording, bad ones included.
        problems: its faults as a whole, at that time.
        shards: what `write_shard` knew of every recording of the store.
    """

    made_of: dict[str, str]
    problems: list[Problem]
    shards: list[dict[str, Any]]


def read_origin(root: Path, recordings: Sequence[str]) -> Origin:
    """Read meta/shards.json.

    Args:
        root: the store.
        recordings: their names, by the store's own table.

    Raises:
        InputError: the file is missing, damaged, or tells of other recordings.
    """
    path = root / SHARDS
    values = parse_json(path, read_text(path))
    made_of, shards = values.get("made_of"), values.get("shards")
    if not isinstance(made_of, dict) or not all(isinstance(digest, str) for digest in made_of.values()):
        raise damaged(path, "'made_of' is no table of names and digests", root)
    if not isinstance(shards, list):
        raise damaged(path, "'shards' is no list", root)
    for number, about in enumerate(shards):
        if fault := about_fault(about):
            raise damaged(path, f"'shards', number {number}: {fault}", root)
    if [about["name"] for about in shards] != list(recordings) or not set(recordings) <= made_of.keys():
        raise damaged(path, "it tells of other recordings than the store's own table", root)
    return Origin(made_of, read_problems(values, "problems", path, root), shards)


def read_problems(values: Mapping[str, Any], name: str, path: Path, root: Path) -> list[Problem]:
    """A list of problems in a JSON file of the store. Raises InputError: it is not there, or none."""
    pairs = values.get(name)
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise damaged(path, f"{name!r} is no list of places and reasons", root)
    return [Problem(*pair) for pair in pairs]


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)


def damaged(path: Path, what: str, folder: Path) -> InputError:
    """The error for a file of ours that holds something else than we wrote."""
    return InputError(f"{path} is damaged: {what}; delete {folder} and prepare it again")
