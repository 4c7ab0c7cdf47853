"""From a capture to a store of labels, or to the official layout of AssemblyHands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handloom.annotate.capture import Captures
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.pool import Engine
from handloom.annotate.run import STAGES, Run
from handloom.annotate.source import AnnotatedEpisodes
from handloom.annotate.stage_files import digest
from handloom.datasets.layout import Size
from handloom.datasets.prepare import Prepared, prepare_episodes
from handloom.errors import InputError
from handloom.formats.assemblyhands_write import write_assemblyhands
from handloom.formats.atomic import json_text
from handloom.progress import Progress, silent
from handloom.threads import require_worker

LAYOUTS = ("native", "assemblyhands")


@dataclass(frozen=True, eq=False)
class Annotated:
    """What a run gave: the report of each recording, by name; the store, unless the run ended before it; the run."""

    reports: dict[str, dict[str, Any]]
    store: Prepared | None
    run: Run


def annotate(
    capture: Path,
    out: Path,
    options: AnnotateOptions = AnnotateOptions(),  # noqa: B008 - frozen
    *,
    engine: Engine,
    workers: int = 1,
    until: str = "store",
    redo: str | None = None,
    size: Size | None = None,
    layout: str = "native",
    progress: Progress = silent,
) -> Annotated:
    """Annotate all recordings of a capture. What an earlier run has done, also one that was killed, is not done again.

    The stages are kept in the folder `out` + ".stages", recording by recording: see docs/annotation.md.

    Args:
        capture: folder of videos or image folders with a calibration, store, or tree of AssemblyHands.
        out: the store, or the tree, to write.
        options: how to annotate.
        engine: does shards; the result does not depend on it.
        workers: processes that write the store.
        until: the last stage to do.
        redo: the first stage to do again although it is done.
        size: of the stored pictures; by default their own.
        layout: "native" or "assemblyhands".
        progress: told how many shards of a stage are done.

    Raises:
        InputError, CalibrationError: the capture cannot be used; says why.
        OutputError: something cannot be written.
    """
    require_worker(workers)
    for what, stage in (("until", until), ("redo", redo)):
        if stage is not None and stage not in STAGES:
            raise InputError(f"{what} must be one of {', '.join(STAGES)}, found {stage!r}")
    if layout not in LAYOUTS:
        raise InputError(f"the layout must be one of {', '.join(LAYOUTS)}, found {layout!r}")
    run = Run(Captures(capture, options), out.with_name(out.name + ".stages"), options, engine, progress)
    if redo is not None:
        run.forget(redo)
    reports = reports_of(run, "label" if until == "store" else until)
    store = None
    if until == "store" and layout == "assemblyhands":
        write_assemblyhands(out, AnnotatedEpisodes(run, tuple(reports), _digests(reports, run)))
    elif until == "store":
        store = write_labels(run, reports, out, workers, size)
    return Annotated(reports, store, run)


def reports_of(run: Run, until: str = "label") -> dict[str, dict[str, Any]]:
    """Do what is missing of all recordings; their reports. Raises InputError, CalibrationError, OutputError."""
    found = {name: run.annotate(name, until) for name in run.captures.names}
    return {name: report for name, report in found.items() if report is not None}


def write_labels(
    run: Run, reports: dict[str, dict[str, Any]], out: Path, workers: int = 1, size: Size | None = None
) -> Prepared:
    """Write the store, or renew those of its recordings whose labels have changed. Raises InputError, OutputError."""
    episodes = AnnotatedEpisodes(run, tuple(reports), _digests(reports, run))
    return prepare_episodes(episodes, out, size, (), workers, run.progress)


def _digests(reports: dict[str, dict[str, Any]], run: Run) -> dict[str, str]:
    return {name: digest(run.digest(name), json_text(report)) for name, report in reports.items()}
