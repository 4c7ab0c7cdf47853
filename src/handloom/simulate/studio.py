"""The virtual capture studio: simulate a rig's recordings and store them in one of the layouts."""

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from handloom import __version__
from handloom.datasets.prepare import prepare_episodes
from handloom.errors import InputError, OutputError
from handloom.formats.assembly101_write import write_assembly101
from handloom.formats.assemblyhands_write import write_assemblyhands
from handloom.formats.atomic import json_text, write_text
from handloom.formats.episode import Episode
from handloom.formats.fpha_write import write_fpha
from handloom.formats.h2o_classes import OBJECTS
from handloom.formats.h2o_write import write_h2o
from handloom.formats.text_files import parse_json, read_text
from handloom.progress import Progress, silent
from handloom.simulate.plan import Layout
from handloom.simulate.props import PROPS
from handloom.simulate.shoot import Shot, Shots
from handloom.simulate.simulation import Options, Simulation, as_rgb, draw
from handloom.threads import exit_with_parent, require_worker, single_threaded_children

SHOOT, STORE = "draw", "store"
DONE = "simulation.json"
DEFAULTS = Options()
_SHOTS, _TRUTH, _STORED, _PLAN = "shots", "truth", "stored", "plan.json"


@dataclass(frozen=True)
class Simulated:
    """What a simulation has made.

    Attributes:
        out: the folder.
        recordings, frames: how many; a frame counts once, whatever the number of cameras.
        found: how many recordings an earlier, interrupted run had drawn.
    """

    out: Path
    recordings: int
    frames: int
    found: int


def simulate(
    rig: str,
    out: Path,
    options: Options = DEFAULTS,
    workers: int = 1,
    masks: bool = False,
    depth: bool = False,
    progress: Progress = silent,
) -> Simulated:
    """Simulate a capture. An interrupted run goes on where it stopped; a finished one does nothing.

    Recordings are drawn one by one into `out` + ".part", then stored in the layout, then a rename makes everything
    appear at once. `truth/` in `out` holds what the layout has no place for: what each camera sees of each joint,
    poses of hands and things, and masks and depth.

    Args:
        rig: "h2o", "fpha", "assembly" or "desktop".
        out: folder; new or empty, or a simulation with the same options.
        options: what is simulated.
        workers: processes that draw; the result does not depend on their number.
        masks, depth: keep instance masks, and depth; see `Shots`.
        progress: told how many recordings are drawn, then how many are stored.

    Raises:
        InputError: unknown rig, or options that do not fit it.
        OutputError: `out` holds something else, an interrupted run had other options or was another version's, or the
            disk refuses.
    """
    require_worker(workers)
    simulation = Simulation(rig, options)
    wanted = {"rig": rig, "masks": masks, "depth": depth, **asdict(options), "seconds": simulation.seconds}
    if (done := _finished(out, wanted)) is not None:
        return done
    part = out.with_name(out.name + ".part")
    try:
        (part / _SHOTS).mkdir(parents=True, exist_ok=True)
        _check_plan(part, wanted)
        shots = Shots(part / _SHOTS, masks, depth)
        found = _shoot_all(simulation, shots, part, workers, progress)
        frames = _store_all(simulation, shots, part, workers, progress)
        about = {**wanted, "recordings": len(simulation.names), "frames": frames}
        write_text(part / _STORED / DONE, json_text(about, indent=1) + "\n")
        if out.is_dir():
            out.rmdir()  # only an empty one comes here
        (part / _STORED).rename(out)
        shutil.rmtree(part)
    except OSError as failure:
        raise OutputError(f"cannot write {part}: {failure.strerror or failure}") from failure
    return Simulated(out, len(simulation.names), frames, found)


def simulate_poses(
    rig: str, out: Path, options: Options = DEFAULTS, workers: int = 1, progress: Progress = silent
) -> Simulated:
    """Simulate a capture without drawing it: a native store of poses, labels and cameras, in a fraction of the time.

    What happens is the same as in `simulate`.

    Raises:
        InputError, OutputError: as `simulate`; or a layout that needs pictures.
    """
    if options.layout is not Layout.NATIVE:
        raise InputError(f"the layout {options.layout} needs pictures; without, only the native store can be made")
    source = Simulation(rig, options)
    source.with_pictures = False
    done = prepare_episodes(source, out, options.size, (), workers, progress)
    about = {"rig": rig, **asdict(options), "seconds": source.seconds, "pictures": False}
    about |= {"recordings": done.recordings, "frames": done.frames}
    write_text(out / DONE, json_text(about, indent=1) + "\n")
    return Simulated(out, done.recordings, done.frames, done.found)


def contact_sheet(
    rig: str,
    out_png: Path,
    options: Options = DEFAULTS,
    columns: int = 6,
    recording: str | None = None,
) -> None:
    """One picture of a recording: a row per camera, moments from its start to its end.

    Args:
        rig, options: as in `simulate`.
        out_png: where it goes.
        columns: number of moments.
        recording: which one, by default the first.

    Raises:
        InputError: unknown rig or recording, or options that do not fit.
        OutputError: it cannot be written.
    """
    simulation = Simulation(rig, options)
    take = simulation.take(recording or simulation.names[0])
    moments = np.linspace(0, len(take.motion) - 1, columns).round().astype(int).tolist()
    cameras = draw(take, options.sensor)
    columns_drawn = [[as_rgb(picture(moment).image) for picture in cameras] for moment in moments]
    width = max(image.shape[1] for image in columns_drawn[0])
    sheet = np.concatenate([np.concatenate([_beside(image, width) for image in column]) for column in columns_drawn], 1)
    if not cv2.imwrite(str(out_png), np.ascontiguousarray(sheet[..., ::-1])):
        raise OutputError(f"{out_png}: cannot be written")


def _beside(image: UInt8[np.ndarray, "h w 3"], width: int) -> UInt8[np.ndarray, "rows columns 3"]:
    return np.pad(image, ((0, 2), (0, width - image.shape[1] + 2), (0, 0)))


def _finished(out: Path, wanted: dict[str, object]) -> Simulated | None:
    """What an earlier run has made of the same, None if `out` is free."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    path = out / DONE
    if not path.is_file():
        raise OutputError(f"{out} is there already and holds no simulation; choose another folder")
    about = parse_json(path, read_text(path))
    if {key: about.get(key) for key in wanted} != json.loads(json_text(wanted)):
        raise OutputError(f"{out} holds a simulation with other options; choose another folder, or delete it")
    if not all(isinstance(about.get(name), int) for name in ("recordings", "frames")):
        raise InputError(f"{path} is damaged: no count of recordings or frames; delete {out} and simulate it again")
    return Simulated(out, about["recordings"], about["frames"], about["recordings"])


def _check_plan(part: Path, wanted: dict[str, object]) -> None:
    """What is begun goes on with the same options and the same code, or recordings would not fit together."""
    path, version = part / _PLAN, _version()
    if not path.exists():
        write_text(path, json_text({"options": wanted, "version": version}))
        return
    plan = parse_json(path, read_text(path))
    if plan.get("options") != json.loads(json_text(wanted)):
        raise OutputError(f"{part} was begun with other options; finish it with the same, or delete it")
    if plan.get("version") != version:
        raise OutputError(f"{part} was begun by another version of Handloom; finish it with that one, or delete it")


def _version() -> str:
    """Of everything that makes pictures and numbers: any change of the studio's code is another version."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return f"{__version__} {digest.hexdigest()[:16]}"


def _shoot_all(simulation: Simulation, shots: Shots, part: Path, workers: int, progress: Progress) -> int:
    """Draw what is not drawn; how many recordings were there."""
    names = simulation.names
    todo = [name for name in names if not shots.of(name).is_dir()]
    found = len(names) - len(todo)
    progress(SHOOT, found, len(names))
    if workers == 1 or len(todo) < 2:
        for done, name in enumerate(todo, found + 1):
            shots.shoot(simulation, name)
            progress(SHOOT, done, len(names))
        return found
    # Not forked: the renderer's compiled code and OpenCV keep threads that a fork would lose.
    context = multiprocessing.get_context("spawn")
    with single_threaded_children(), ProcessPoolExecutor(min(workers, len(todo)), context, exit_with_parent) as pool:
        jobs = [pool.submit(shots.shoot, simulation, name) for name in todo]
        try:
            for done, job in enumerate(jobs, found + 1):
                job.result()
                progress(SHOOT, done, len(names))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return found


def _store_all(simulation: Simulation, shots: Shots, part: Path, workers: int, progress: Progress) -> int:
    """Store the drawn recordings in the layout; how many frames they have."""
    stored, shot, layout = part / _STORED, Shot(simulation, shots), simulation.options.layout
    names = list(simulation.names)
    if layout is Layout.NATIVE:
        frames = prepare_episodes(
            shot, stored, None, (), workers, lambda _, done, total: progress(STORE, done, total)
        ).frames
    else:
        shutil.rmtree(stored, ignore_errors=True)  # these layouts are written in one go
        lengths: list[int] = []
        _WRITERS[layout](stored, _told(shot, lengths, progress))
        frames = sum(lengths)
    shutil.rmtree(stored / _TRUTH, ignore_errors=True)
    for name in names:
        shot.keep_truth(name, stored / _TRUTH)
    return frames


def _told(shot: Shot, lengths: list[int], progress: Progress) -> Iterator[Episode]:
    for done, name in enumerate(shot.names):
        progress(STORE, done, len(shot.names))
        episode = shot.read(name)
        lengths.append(len(episode))
        yield episode
    progress(STORE, len(shot.names), len(shot.names))


_WRITERS: dict[Layout, Callable[[Path, Iterable[Episode]], None]] = {
    Layout.H2O: partial(write_h2o, object_sizes_m={name: PROPS[name].size_m for name in OBJECTS}),
    Layout.FPHA: write_fpha,
    Layout.ASSEMBLYHANDS: write_assemblyhands,
    Layout.ASSEMBLY101: write_assembly101,
}
