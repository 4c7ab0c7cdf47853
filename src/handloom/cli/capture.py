"""Multi-camera captures: annotate."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from handloom.annotate.options import AnnotateOptions
from handloom.cli.machine import cores
from handloom.errors import InputError

if TYPE_CHECKING:
    from handloom.annotate.annotate import Annotated

Stage = Literal["detect", "sync", "hands", "triangulate", "refine", "solve", "label", "store"]


def annotate(
    capture: tyro.conf.Positional[Path],
    out: Path,
    annotating: tyro.conf.OmitArgPrefixes[AnnotateOptions] = AnnotateOptions(),  # noqa: B008 - frozen
    layout: Literal["native", "assemblyhands"] = "native",
    size: tuple[int, int] | None = None,
    until: Stage = "store",
    redo: Stage | None = None,
    review: bool = False,
    host: str = "127.0.0.1",
    port: int = 8080,
    engine: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
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
        review: Then serve a page on which a person corrects labels, the worst frames first.
        host: Address to serve the page on.
        port: Port to serve the page on; 0 takes any free one.
        engine: What does the work: processes of this machine, or a Ray cluster (extra [ray]) whose machines all see
            CAPTURE and OUT under these paths. The result does not depend on it.
        ray_address: Of the cluster; by default that in RAY_ADDRESS, else one that is started here.
        workers: Processes; by default one per core. The result does not depend on it.
    """
    if review and (until != "store" or layout != "native"):
        raise InputError("a review needs a native store with all stages done; leave --until and --layout out")
    if ray_address is not None and engine != "ray":
        raise InputError("--ray-address is for --engine ray")
    from handloom.annotate.annotate import annotate as run_annotate
    from handloom.annotate.pool import local_engine
    from handloom.annotate.ray_engine import ray_engine
    from handloom.annotate.report import summary_rows
    from handloom.terminal import ProgressBar, print_rows

    count = cores() if workers is None else workers
    with ProgressBar("shards") as progress:
        done = run_annotate(
            capture,
            out.expanduser(),
            annotating,
            engine=ray_engine(ray_address) if engine == "ray" else local_engine(count),
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
        print_rows(f"Stages {done.run.stages}", [("done up to", until)])
    if review:
        _review(done, out.expanduser(), size, host, port)


def _review(done: "Annotated", out: Path, size: tuple[int, int] | None, host: str, port: int) -> None:
    from handloom.annotate.annotate import reports_of, write_labels
    from handloom.annotate.review_server import Reviews, review_server

    def store() -> str:
        written = write_labels(done.run, reports_of(done.run), out, 1, size)
        return f"{written.recordings} recordings with {written.frames} frames are in {written.store}"

    with review_server(Reviews(done.run, tuple(done.reports), store), host, port) as server:
        print(f"Review of labels: http://{host}:{server.server_address[1]}  (Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
