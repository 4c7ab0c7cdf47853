"""A store that is whole: what was it made of, and its recordings back as shards where their source has not changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handloom.datasets.layout import StoreLayout
from handloom.datasets.origin import Origin, read_origin, read_problems
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
        origin: what it was made of.
        left_out: faults of the source as a whole and of all recordings, at that time.
    """

    store: Store
    origin: Origin
    left_out: tuple[Problem, ...]

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
        InputError: the store is damaged.
    """
    if not (out / HANDLOOM).is_file() or not (out / SHARDS).is_file():
        raise OutputError(f"{out} is there already and is no store; choose another folder")
    about = parse_json(out / HANDLOOM, read_text(out / HANDLOOM))
    if about.get("prepared_with") != parse_json(out, json_text(wanted)):
        raise OutputError(f"{out} was prepared with other settings; choose another folder, or delete it")
    store = Store(out)
    origin = read_origin(out, [recording.name for recording in store.recordings])
    if gone := sorted(origin.made_of.keys() - made_of.keys()):
        raise OutputError(f"{out} holds {gone[0]}, which the source has not; choose another folder, or delete it")
    return Finished(store, origin, tuple(read_problems(about, "left_out", out / HANDLOOM, out)))


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
    for recording, about in zip(state.store.recordings, state.origin.shards):
        name = about["name"]
        if made_of[name] != about["made_of"] or shard_folder(shards, name).is_dir():
            continue
        columns = state.store.columns(recording.index)
        videos = {camera: path for camera, (path, _) in recording.videos.items()}
        restore_shard(shards, about, columns, state.layout, videos)
    write_plan(part, wanted, state.layout)
