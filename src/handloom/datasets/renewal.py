"""A store that is whole: what was it made of, and its recordings back as shards where their source has not changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handloom.datasets.layout import StoreLayout
from handloom.datasets.plan import write_plan
from handloom.datasets.shard import restore_shard, shard_folder
from handloom.datasets.store import Store
from handloom.datasets.store_write import HANDLOOM, SHARDS
from handloom.errors import OutputError
from handloom.formats.atomic import json_text
from handloom.formats.episode import Problem
from handloom.formats.text_files import parse_json, read_text


@dataclass(frozen=True)
class Finished:
    """A store on disk.

    Attributes:
        store: the store.
        made_of: digests of everything that its source held when it was made, by recording, bad ones included.
        problems: faults of the source as a whole, at that time.
        left_out: those and the faults of all recordings.
        shards: what was known of every recording.
    """

    store: Store
    made_of: dict[str, str]
    problems: list[Problem]
    left_out: tuple[Problem, ...]
    shards: list[dict[str, Any]]

    @property
    def layout(self) -> StoreLayout:
        """Of the store."""
        return self.store.layout

    @property
    def recordings(self) -> int:
        """Number of recordings."""
        return len(self.store)

    @property
    def frames(self) -> int:
        """Number of frames of all recordings."""
        return sum(recording.length for recording in self.store.recordings)


def finished(out: Path, wanted: Mapping[str, Any], made_of: Mapping[str, str]) -> Finished:
    """The store in a folder that is not empty.

    Args:
        out: the folder.
        wanted: the settings with which it must have been made.
        made_of: the recordings that the source has now; the store's must be among them.

    Raises:
        OutputError: no store, or one with other settings or from another source.
    """
    if not (out / HANDLOOM).is_file() or not (out / SHARDS).is_file():
        raise OutputError(f"{out} is there already and is no store; choose another folder")
    about, origin = (parse_json(out / name, read_text(out / name)) for name in (HANDLOOM, SHARDS))
    gone = sorted(origin["made_of"].keys() - made_of.keys())
    if about["prepared_with"] != parse_json(out, json_text(wanted)) or gone:
        what = f"holds {gone[0]}, which the source has not" if gone else "was prepared with other settings"
        raise OutputError(f"{out} {what}; choose another folder, or delete it")
    return Finished(
        Store(out),
        origin["made_of"],
        [Problem(*problem) for problem in origin["problems"]],
        tuple(Problem(*problem) for problem in about["left_out"]),
        origin["shards"],
    )


def reopen(state: Finished, part: Path, shards: Path, made_of: Mapping[str, str], wanted: dict[str, Any]) -> None:
    """Begin a run that renews the store: recordings of which nothing has changed become shards again.

    Args:
        state: the store.
        part: folder of the run.
        shards: the folder of all shards.
        made_of: the digests of now.
        wanted: settings of the run.

    Raises:
        InputError: the store is damaged.
        OutputError: the disk is full, ...
    """
    shards.mkdir(parents=True, exist_ok=True)
    for recording, about in zip(state.store.recordings, state.shards):
        name = about["name"]
        if made_of[name] != about["made_of"] or shard_folder(shards, name).is_dir():
            continue
        columns = state.store.columns(recording.index)
        videos = {camera: path for camera, (path, _) in recording.videos.items()}
        restore_shard(shards, about, columns, state.layout, videos)
    write_plan(part, wanted, state.layout)
