"""A data set as downloaded into the native store: resumable, and the same bytes whatever the number of workers."""

import multiprocessing
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from handloom.datasets.layout import Size, StoreLayout
from handloom.datasets.plan import check_cameras, common_episode, left_out_cameras, make_plan, read_plan
from handloom.datasets.renewal import Finished, finished, reopen
from handloom.datasets.shard import read_about, shard_folder, write_shard
from handloom.datasets.store_write import FORMAT, write_store
from handloom.errors import HandloomError, InputError, OutputError
from handloom.formats.episode import EpisodeSource, Problem
from handloom.progress import Progress, silent
from handloom.threads import exit_with_parent, require_worker

DATASETS = ("h2o", "fpha", "assemblyhands", "assembly101")
STAGE = "prepare"
_SHARDS, _STORE, _OLD = "shards", "store", "old"


@dataclass(frozen=True)
class Prepared:
    """What stands in a store.

    Attributes:
        store: its folder.
        recordings, frames: how many it holds.
        pictures: their sizes, or that there are none.
        found: how many recordings were there already, from an earlier run.
        left_out: every recording, frame or label that is not in it, and why.
    """

    store: Path
    recordings: int
    frames: int
    pictures: str
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
    pictures: bool = True,
    progress: Progress = silent,
) -> Prepared:
    """Prepare a data set; see `prepare_episodes`.

    Args:
        dataset: "h2o", "fpha", "assemblyhands" or "assembly101".
        src: the tree as downloaded.
        pictures: False makes a store of poses alone, whether there are pictures or not.

    Raises:
        InputError, CalibrationError: another name, no such tree, or a fault in it with file and line.
        OutputError: `out` holds something else, or cannot be written.
    """
    require_worker(workers)  # and all that can be told before hours of reading
    if size is not None and (size[0] % 2 or not all(16 <= side <= 8192 for side in size)):
        raise InputError(
            f"stored pictures must have even sides of 16 ... 8192 pixels, found {size[0]} x {size[1]}; give another "
            "--size"
        )
    source = open_dataset(dataset, src, skip_bad)
    source.with_pictures = pictures
    return prepare_episodes(source, out, size, cameras, workers, progress)


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
    """Write the store of all episodes of a source, finish one that was begun, or renew one whose source has changed.

    Recordings are finished one by one in `out` + ".part"; a rename makes the whole store appear at once. After an
    interruption, of any kind, the same call goes on; when all is done, it does nothing. Recordings whose files have
    changed since, or that are new, are made again, and they alone.

    Args:
        source: where the episodes come from. Its `skip_bad` decides whether the first fault stops the work, its
            `with_pictures` whether every camera must have pictures or none is stored.
        out: folder of the store.
        size: width and height of stored pictures; those of another shape keep it, at this width. None keeps the
            size of the source.
        cameras: those to store; by default all that any recording has, and then every recording must have them.
        workers: processes that read and encode; the result does not depend on their number.
        progress: told how many recordings are finished.

    Raises:
        InputError, CalibrationError: a recording that cannot be used, without `skip_bad`; none that can.
        OutputError: `out` holds something else, an interrupted run had other settings, or the disk refuses.
    """
    require_worker(workers)
    if any(character in str(out) for character in "[]*?"):
        raise OutputError(f"{out}: LeRobot's loader cannot open a path with [ ] * or ? in it; choose another name")
    wanted = {
        "format": FORMAT,
        "size": None if size is None else list(size),
        "cameras": list(cameras),
        "pictures": source.with_pictures,
    }
    made_of = {name: source.made_of(name) for name in source.names}
    part = out.with_name(out.name + ".part")
    try:
        if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
            state = finished(out, wanted, made_of)
            if state.origin.made_of == made_of and state.origin.problems == source.problems:
                shutil.rmtree(part, ignore_errors=True)
                return _prepared(state, out)
            reopen(state, part, part / _SHARDS, made_of, wanted)
        (part / _SHARDS).mkdir(parents=True, exist_ok=True)
        layout = read_plan(part, wanted)
        if layout is None:
            layout = make_plan(source, part, wanted, size, cameras)
        elif not cameras:
            check_cameras(source, layout, out)
        return _run(source, out, part, layout, wanted, made_of, workers, progress)
    except OSError as failure:
        raise OutputError(f"cannot write {part}: {failure.strerror or failure}") from failure


def _run(
    source: EpisodeSource,
    out: Path,
    part: Path,
    layout: StoreLayout,
    wanted: dict[str, Any],
    made_of: Mapping[str, str],
    workers: int,
    progress: Progress,
) -> Prepared:
    shards = {name: shard_folder(part / _SHARDS, name) for name in source.names}
    todo = [name for name, shard in shards.items() if not _stands(shard, made_of[name])]
    found = len(shards) - len(todo)
    progress(STAGE, found, len(shards))
    job = _Job(source, layout, part / _SHARDS, made_of)
    failures: dict[str, str] = {}
    for done, (name, failure) in enumerate(_write_all(job, todo, workers), found + 1):
        if failure is not None:
            failures[name] = failure
        progress(STAGE, done, len(shards))
    kept = [name for name in shards if name not in failures]
    if not kept:
        raise InputError(f"none of the {len(shards)} recordings can be used; the first: {failures[source.names[0]]}")
    left_out = [*source.problems, *([] if wanted["cameras"] else left_out_cameras(source, layout))]
    left_out += [Problem(name, reason) for name, reason in failures.items()]
    left_out += [Problem(*problem) for name in kept for problem in read_about(shards[name])["problems"]]
    store, old = part / _STORE, part / _OLD
    shutil.rmtree(store, ignore_errors=True)
    origin = {"made_of": made_of, "problems": [list(problem) for problem in source.problems]}
    write_store(store, layout, [shards[name] for name in kept], left_out, wanted, origin)
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        out.rename(old)  # an empty folder, or the store that this one renews
    store.rename(out)
    shutil.rmtree(part)
    return replace(_prepared(finished(out, wanted, made_of), out), found=found)


def _stands(shard: Path, made_of: str) -> bool:
    return shard.is_dir() and read_about(shard)["made_of"] == made_of


def _prepared(state: Finished, out: Path) -> Prepared:
    return Prepared(out, state.recordings, state.frames, state.layout.sizes, state.recordings, state.left_out)


@dataclass(frozen=True)
class _Job:
    """What is the same for all recordings. Sent once to each worker: a source may hold large tables."""

    source: EpisodeSource
    layout: StoreLayout
    shards: Path
    made_of: Mapping[str, str]

    def write(self, name: str) -> str | None:
        """Write the shard of a recording; what is wrong with it if faults are skipped."""
        try:
            episode = common_episode(self.source, name, [camera.name for camera in self.layout.cameras])
            write_shard(episode, self.layout, self.shards, self.source.skip_bad, self.made_of[name])
        except OutputError:
            raise
        except HandloomError as failure:
            if not self.source.skip_bad:
                raise
            return str(failure)
        return None


def _write_all(job: _Job, names: list[str], workers: int) -> Iterator[tuple[str, str | None]]:
    """Every name in order, with what is wrong with it; the first fault is raised unless faults are skipped."""
    if workers == 1 or len(names) < 2:
        for name in names:
            yield name, job.write(name)
        return
    # Not forked: FFmpeg and OpenCV keep threads that a fork would lose.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(names)), context, _start, (job,)) as pool:
        jobs: list[tuple[str, Future[str | None]]] = [(name, pool.submit(_write_here, name)) for name in names]
        try:
            for name, pending in jobs:
                yield name, pending.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_job: _Job


def _start(job: _Job) -> None:
    global _job
    exit_with_parent()
    _job = job


def _write_here(name: str) -> str | None:
    return _job.write(name)
