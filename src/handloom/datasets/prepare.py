"""A data set as downloaded into the native store: resumable, and the same bytes whatever the number of workers."""

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handloom.datasets.layout import Size, StoreLayout, layout_from_json, layout_of
from handloom.datasets.shard import read_about, shard_folder, write_shard
from handloom.datasets.store_write import HANDLOOM, write_store
from handloom.errors import HandloomError, InputError, OutputError
from handloom.formats.atomic import json_text, write_text
from handloom.formats.episode import EpisodeSource, Problem
from handloom.formats.text_files import parse_json, read_text
from handloom.progress import Progress, silent
from handloom.threads import exit_with_parent

DATASETS = ("h2o", "fpha", "assemblyhands", "assembly101")
STAGE = "prepare"
_SHARDS, _STORE, _PLAN = "shards", "store", "plan.json"


@dataclass(frozen=True)
class Prepared:
    """What stands in a store.

    Attributes:
        store: its folder.
        recordings, frames: how many it holds.
        found: how many recordings were there already, from an earlier run.
        left_out: every recording, frame or label that is not in it, and why.
    """

    store: Path
    recordings: int
    frames: int
    found: int
    left_out: tuple[Problem, ...]


def prepare(
    dataset: str,
    src: Path,
    out: Path,
    size: Size | None = (480, 270),
    cameras: tuple[str, ...] = (),
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress = silent,
) -> Prepared:
    """Prepare a data set; see `prepare_episodes`.

    Args:
        dataset: "h2o", "fpha", "assemblyhands" or "assembly101".
        src: the tree as downloaded.

    Raises:
        InputError, CalibrationError: another name, no such tree, or a fault in it with file and line.
        OutputError: `out` holds something else, or cannot be written.
    """
    return prepare_episodes(open_dataset(dataset, src, skip_bad), out, size, cameras, workers, progress)


def open_dataset(dataset: str, src: Path, skip_bad: bool = False) -> EpisodeSource:
    """The episodes of a tree as downloaded. Raises InputError: another name, no such tree, or a fault in it."""
    match dataset:
        case "h2o":
            from handloom.formats.h2o import read_h2o

            return read_h2o(src, skip_bad=skip_bad)
        case "fpha":
            from handloom.formats.fpha import read_fpha

            return read_fpha(src, skip_bad=skip_bad)
        case "assemblyhands":
            from handloom.formats.assemblyhands import read_assemblyhands

            return read_assemblyhands(src, skip_bad=skip_bad)
        case "assembly101":
            from handloom.formats.assembly101 import read_assembly101

            return read_assembly101(src, skip_bad=skip_bad)
    raise InputError(f"unknown data set {dataset!r}; known: {', '.join(DATASETS)}")


def prepare_episodes(
    source: EpisodeSource,
    out: Path,
    size: Size | None = (480, 270),
    cameras: tuple[str, ...] = (),
    workers: int = 1,
    progress: Progress = silent,
) -> Prepared:
    """Write the store of all episodes of a source, or finish one that was begun.

    Recordings are finished one by one in `out` + ".part"; a rename makes the whole store appear at once. After an
    interruption, of any kind, the same call goes on; when all is done, it does nothing.

    Args:
        source: where the episodes come from. Its `skip_bad` decides whether the first fault stops the work.
        out: folder of the store.
        size: width and height of stored pictures; None keeps that of the source.
        cameras: those to store, by default all of the first recording.
        workers: processes that read and encode; the result does not depend on their number.
        progress: told how many recordings are finished.

    Raises:
        InputError, CalibrationError: a recording that cannot be used, without `skip_bad`; none that can.
        OutputError: `out` holds something else, an interrupted run had other settings, or the disk refuses.
    """
    if workers < 1:
        raise InputError(f"at least one worker is needed, found {workers}")
    if any(character in str(out) for character in "[]*?"):
        raise OutputError(f"{out}: LeRobot's loader cannot open a path with [ ] * or ? in it; choose another name")
    wanted = {"size": None if size is None else list(size), "cameras": list(cameras), "names": list(source.names)}
    part = out.with_name(out.name + ".part")
    if out.exists() and not _is_empty(out):
        prepared = _finished(out, wanted)
        shutil.rmtree(part, ignore_errors=True)
        return prepared
    try:
        (part / _SHARDS).mkdir(parents=True, exist_ok=True)
        layout = _plan(source, part, wanted, size, cameras)
        return _run(source, out, part, layout, wanted, workers, progress)
    except OSError as failure:
        raise OutputError(f"cannot write {part}: {failure.strerror or failure}") from failure


def _run(
    source: EpisodeSource,
    out: Path,
    part: Path,
    layout: StoreLayout,
    wanted: dict[str, Any],
    workers: int,
    progress: Progress,
) -> Prepared:
    shards = {name: shard_folder(part / _SHARDS, name) for name in source.names}
    todo = [name for name, shard in shards.items() if not shard.is_dir()]
    found = len(shards) - len(todo)
    progress(STAGE, found, len(shards))
    failures: dict[str, str] = {}
    for done, (name, failure) in enumerate(_write_all(source, layout, part / _SHARDS, todo, workers), found + 1):
        if failure is not None:
            failures[name] = failure
        progress(STAGE, done, len(shards))
    kept = [name for name in shards if name not in failures]
    if not kept:
        raise InputError(f"none of the {len(shards)} recordings can be used; the first: {failures[source.names[0]]}")
    left_out = [*source.problems, *(Problem(name, reason) for name, reason in failures.items())]
    left_out += [Problem(*problem) for name in kept for problem in read_about(shards[name])["problems"]]
    store = part / _STORE
    shutil.rmtree(store, ignore_errors=True)
    frames = write_store(store, layout, [shards[name] for name in kept], left_out, wanted)
    with suppress(FileNotFoundError):
        out.rmdir()  # only an empty one comes here
    store.rename(out)
    shutil.rmtree(part)
    return Prepared(out, len(kept), frames, found, tuple(left_out))


def _write_all(
    source: EpisodeSource, layout: StoreLayout, shards: Path, names: list[str], workers: int
) -> Iterator[tuple[str, str | None]]:
    """Every name in order, with what is wrong with it; the first fault is raised unless faults are skipped."""
    if workers == 1 or len(names) < 2:
        for name in names:
            yield name, _write(source, layout, shards, name)
        return
    # Not forked: FFmpeg and OpenCV keep threads that a fork would lose.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(names)), context, _start, (source, layout, shards)) as pool:
        jobs: list[tuple[str, Future[str | None]]] = [(name, pool.submit(_write_here, name)) for name in names]
        try:
            for name, job in jobs:
                yield name, job.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write(source: EpisodeSource, layout: StoreLayout, shards: Path, name: str) -> str | None:
    try:
        write_shard(source.read(name), layout, shards, source.skip_bad)
    except OutputError:
        raise
    except HandloomError as failure:
        if not source.skip_bad:
            raise
        return str(failure)
    return None


_job: tuple[EpisodeSource, StoreLayout, Path]


def _start(source: EpisodeSource, layout: StoreLayout, shards: Path) -> None:
    """Sent once to each worker: a source may hold large tables."""
    global _job
    exit_with_parent()
    _job = source, layout, shards


def _write_here(name: str) -> str | None:
    return _write(*_job, name)


def _plan(
    source: EpisodeSource, part: Path, wanted: dict[str, Any], size: Size | None, cameras: tuple[str, ...]
) -> StoreLayout:
    """The layout of the store: that of an interrupted run, or of the first recording that can be used."""
    path = part / _PLAN
    if path.exists():
        plan = parse_json(path, read_text(path))
        if differing := [key for key in ("size", "cameras") if plan["wanted"][key] != wanted[key]]:
            raise OutputError(
                f"{part} was begun with another {' and '.join(differing)}; finish it with the same, or delete it"
            )
        return layout_from_json(plan["layout"], str(path))
    faults = []
    for name in source.names:
        try:
            layout = layout_of(source.read(name), size, cameras)
        except HandloomError as failure:
            if not source.skip_bad:
                raise
            faults.append(str(failure))
            continue
        write_text(path, json_text({"wanted": wanted, "layout": layout.as_json()}))
        return layout
    raise InputError(f"none of the {len(source.names)} recordings can be used; the first: {''.join(faults[:1])}")


def _finished(out: Path, wanted: dict[str, Any]) -> Prepared:
    """What is in a store that is whole already."""
    path = out / HANDLOOM
    if not path.is_file():
        raise OutputError(f"{out} is there already and is no store; choose another folder")
    about = json.loads(path.read_text(encoding="utf-8"))
    if about["prepared_with"] != json.loads(json_text(wanted)):
        raise OutputError(
            f"{out} was prepared with other settings or from other recordings; choose another folder, or delete it"
        )
    left_out = tuple(Problem(*problem) for problem in about["left_out"])
    recordings = int(about["recordings"])
    return Prepared(out, recordings, int(about["frames"]), recordings, left_out)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
