"""Multi-camera captures: annotate."""

from pathlib import Path
from typing import Literal

import tyro

from handloom.annotate.options import AnnotateOptions
from handloom.cli.machine import cores

Stage = Literal["detect", "sync", "hands", "triangulate", "solve", "label", "store"]


def annotate(
    capture: tyro.conf.Positional[Path],
    out: Path,
    annotating: tyro.conf.OmitArgPrefixes[AnnotateOptions] = AnnotateOptions(),  # noqa: B008 - frozen
    layout: Literal["native", "assemblyhands"] = "native",
    size: tuple[int, int] | None = None,
    until: Stage = "store",
    redo: Stage | None = None,
    workers: int | None = None,
) -> None:
    """Turn a multi-camera capture into 3D labels of both hands, with what each label rests on; resumable.

    Args:
        capture: Folder with one video or image folder per camera and a calibration, or a store, or an AssemblyHands
            tree.
        out: The store to write. The stages are kept beside it, in OUT.stages.
        annotating: How to annotate.
        layout: Native store, or a tree as AssemblyHands comes.
        size: Width and height of the stored pictures; by default their own.
        until: Stop after this stage.
        redo: Do this stage and those after it again.
        workers: Processes; by default one per core. The result does not depend on it.
    """
    from handloom.annotate.annotate import annotate as run_annotate
    from handloom.annotate.pool import local_engine
    from handloom.annotate.report import summary_rows
    from handloom.terminal import ProgressBar, print_rows

    count = cores() if workers is None else workers
    with ProgressBar("shards") as progress:
        done = run_annotate(
            capture,
            out.expanduser(),
            annotating,
            engine=local_engine(count),
            workers=count,
            until=until,
            redo=redo,
            size=size,
            layout=layout,
            progress=progress,
        )
    for name, report in done.reports.items():
        print_rows(f"Labels of {name}", summary_rows(report))
    if done.store is not None:
        counts = {"recordings": done.store.recordings, "frames": done.store.frames, "pictures": done.store.pictures}
        print_rows(f"Store {done.store.store}", [(name, str(value)) for name, value in counts.items()])
    else:
        print_rows(f"Stages {done.stages}", [("done up to", until)])
