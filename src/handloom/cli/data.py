"""Data: simulate, prepare, check, datasets."""

import sys
from pathlib import Path
from typing import Literal

import tyro

from handloom.cli.machine import cores
from handloom.errors import InputError


def simulate(
    rig: tyro.conf.Positional[Literal["h2o", "fpha", "assembly", "desktop"]],
    out: Path,
    layout: Literal["native", "h2o", "fpha", "assemblyhands", "assembly101"] = "native",
    subjects: int | None = None,
    repetitions: int = 2,
    seconds: float | None = None,
    seed: int = 0,
    size: tuple[int, int] = (480, 270),
    cameras: tuple[str, ...] = (),
    actions: tuple[str, ...] = (),
    sensor: bool = True,
    masks: bool = False,
    depth: bool = False,
    label_noise_mm: float = 0.0,
    dropped_frames: float = 0.0,
    time_offset_s: float = 0.0,
    swapped_hands: float = 0.0,
    missing_hands: float = 0.0,
    every: int = 1,
    pictures: bool = True,
    workers: int | None = None,
) -> None:
    """Simulate a capture: hands, objects and actions seen by a rig's cameras, with the truth; resumable.

    Args:
        rig: The cameras: h2o (4 fixed, 1 on the head), fpha (1 on the head, right hand), assembly (8 fixed,
            4 fisheyes on the head) or desktop (12 fixed).
        out: Folder; new or empty, or a simulation with the same options, which goes on or is left as it is.
        layout: How it is stored: natively, or exactly as an official data set comes.
        subjects: Number of people; by default the rig's usual number.
        repetitions: Recordings per person; for fpha, of every action.
        seconds: Length of a recording, by default 20; not for fpha, whose recordings last as long as their action.
        seed: Of all chance.
        size: Width and height of the pictures.
        cameras: Names of the cameras that record; by default all. Official layouts need all.
        actions: For fpha: names of the actions to record; by default all.
        sensor: Pictures have the exposure, noise and motion blur of a camera.
        masks: Keep instance masks.
        depth: Keep depth, as 16-bit pictures in millimetres.
        label_noise_mm: Planted fault: standard deviation of the error of every coordinate of the labelled joints.
        dropped_frames: Planted fault: share of the frames that are lost (0 ... 0.9).
        time_offset_s: Planted fault: what the labels lag behind the pictures.
        swapped_hands: Planted fault: share of the frames whose labels exchange left and right.
        missing_hands: Planted fault: share of the frames in which a hand has no label, each hand by itself.
        every: Draw and store only every so many-th frame, natively; 30 gives one per second.
        pictures: Draw pictures; --no-pictures makes a native store of poses alone, a hundred times faster.
        workers: Processes; by default one per core. The result does not depend on it.
    """
    from handloom.simulate.faults import Faults
    from handloom.simulate.plan import Layout
    from handloom.simulate.simulation import Options
    from handloom.simulate.studio import simulate as run_simulation
    from handloom.simulate.studio import simulate_poses
    from handloom.terminal import ProgressBar, print_rows

    if not pictures and (masks or depth):
        raise InputError("masks and depth are drawn with the pictures; leave --no-pictures out, or --masks and --depth")
    faults = Faults(label_noise_mm, dropped_frames, time_offset_s, swapped_hands, missing_hands)
    options = Options(
        Layout(layout), subjects, repetitions, seconds, seed, size, cameras, actions, sensor, faults, every
    )
    with ProgressBar("recordings") as progress:
        count = cores() if workers is None else workers
        if pictures:
            made = run_simulation(rig, out, options, count, masks, depth, progress)
        else:
            made = simulate_poses(rig, out, options, count, progress)
    counts = {"recordings": made.recordings, "frames": made.frames, "drawn by an earlier run": made.found}
    print_rows(f"Simulated capture {made.out}", [(name, str(count)) for name, count in counts.items()])


def prepare(
    dataset: tyro.conf.Positional[Literal["h2o", "fpha", "assemblyhands", "assembly101"]],
    src: tyro.conf.Positional[Path],
    out: Path,
    size: tuple[int, int] = (480, 270),
    cameras: tuple[str, ...] = (),
    workers: int | None = None,
    skip_bad: bool = False,
    pictures: bool = True,
) -> None:
    """Turn a data set as downloaded into the native store (a LeRobot v3 data set); resumable.

    Args:
        dataset: Which one; `handloom datasets` tells what each holds.
        src: Its folder, as downloaded and unpacked.
        out: The store.
        size: Width and height of the stored pictures; those of another shape keep it, at this width.
        cameras: Names of the cameras to keep; by default all, and then every recording must have them.
        workers: Processes; by default one per core. The result does not depend on it.
        skip_bad: Leave out what is damaged, and list it, instead of stopping.
        pictures: Store pictures, and stop where there are none; --no-pictures makes a store of poses alone.
    """
    from handloom.datasets.prepare import prepare as run_prepare
    from handloom.terminal import ProgressBar, print_rows

    with ProgressBar("recordings") as progress:
        done = run_prepare(
            dataset, src, out, size, cameras, cores() if workers is None else workers, skip_bad, pictures, progress
        )
    counts = {"recordings": done.recordings, "frames": done.frames, "pictures": done.pictures}
    rows = [(name, str(value)) for name, value in (counts | {"left out": len(done.left_out)}).items()]
    print_rows(f"Store {done.store}", rows + [("  " + problem.place, problem.reason) for problem in done.left_out])


def check(store: tyro.conf.Positional[Path], contact_sheet: Path | None = None) -> None:
    """Check a store item by item: schema, times, gaps, videos, poses, calibration, labels, splits.

    The exit code is 1 if an item fails.

    Args:
        store: The store.
        contact_sheet: PNG with pictures of every recording to write.
    """
    from handloom.datasets.check import check as run_check
    from handloom.terminal import ProgressBar, print_rows

    with ProgressBar("recordings") as progress:
        verdicts = run_check(store, contact_sheet, progress)
    print_rows(f"Store {store}", [(f"{verdict.state:<4} {verdict.item}", verdict.message) for verdict in verdicts])
    if any(verdict.state == "fail" for verdict in verdicts):
        sys.exit(1)


def datasets(name: tyro.conf.Positional[str | None] = None) -> None:
    """Say what each data set holds, its licence, where to ask for it, and what to type once you have it.

    Args:
        name: One data set; by default all.
    """
    from handloom.datasets.catalogue import dataset_rows
    from handloom.terminal import print_rows

    print_rows(*dataset_rows(name))
