"""What the command line shows: a progress bar and small tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from handloom.tracking.summary_rows import label_rows, truth_rows

ADVICE = {
    "guessed": ". Depth is only as good as this guess: give --camera or --fov",
    "tracker's own scale": ". If the true hand is 10 % larger, so is everything: give --hand-size-mm",
}
STAGES = {
    "track": "tracking",
    "overlay": "drawing overlay",
    "draw": "drawing",
    "store": "storing",
    "prepare": "preparing",
    "check": "checking",
    "features": "features",
    "train": "training",
    "evaluate": "evaluating",
    "annotate-detect": "finding hands",
    "annotate-hands": "left and right",
    "annotate-triangulate": "triangulating",
    "annotate-refine": "looking again",
    "annotate-solve": "solving",
}


class ProgressBar:
    """Frames (or another unit) done, how many per second, and time left, on stderr. A `Progress` callback."""

    def __init__(self, unit: str = "frames") -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(),
            TextColumn(f"{{task.completed:.0f}}/{{task.fields[of]}} {unit}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show that `done` frames of a stage are finished."""
        if stage not in self._tasks:
            of = "?" if total is None else str(total)
            what, *names = stage.split(", ")
            said = " ".join((STAGES.get(what, what), *names))
            self._tasks[stage] = self._bar.add_task(said, total=total, of=of, rate="")
        task = self._bar.tasks[self._tasks[stage]]
        speed = task.finished_speed or task.speed
        self._bar.update(task.id, completed=done, rate=f"{speed:.3g}/s" if speed else "")


def print_result(summary: Mapping[str, Any], written: Sequence[Path]) -> None:
    """The end of a tracking run: what was found, how sure it is, where it lies."""
    counts, camera, scale = summary["counts"], summary["camera"], summary["scale"]
    frames = counts["frames"]
    rows = [
        ("frames", f"{frames}" + (" (partial: interrupted or cut off)" if summary["partial"] else "")),
        ("with a hand", _share(counts["frames_with_hand"], frames)),
        ("left, right, both", ", ".join(str(counts[key]) for key in ("left", "right", "frames_with_both"))),
        ("camera", camera["note"] + ADVICE.get(camera["source"], "")),
        ("scale", scale["note"] + ADVICE.get(scale["source"], "")),
        (
            "time",
            f"{summary['timings_s']['total']:.1f} s ({frames / summary['timings_s']['total']:.0f} frames/s)",
        ),
    ]
    rows += label_rows(summary["objects"], summary["actions"])
    if summary["truth"]:
        rows += truth_rows(summary["truth"])
    if counts["dropped"]:
        rows.append(("dropped late", str(counts["dropped"])))
    for problem in summary["problems"][:5]:
        place = "" if problem["index"] is None else f"frame {problem['index']}: "
        rows.append(("problem", place + problem["reason"]))
    if len(summary["problems"]) > 5:
        rows.append(("problems", f"{len(summary['problems'])} in all, listed in run.json"))
    rows += [("note", note) for note in summary["notes"]]
    rows.append(("results", ", ".join(map(str, written))))
    print_rows("Hands tracked" if counts["frames_with_hand"] else "No hand was found", rows)


def print_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """A titled two-column table on stdout."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan", overflow="fold", max_width=44)
    table.add_column(overflow="fold")
    for name, value in rows:
        # As text objects: file names may contain what rich takes for markup.
        table.add_row(Text(name), Text(value))
    console = _Output(highlight=False)
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(table)


class _Output(Console):
    """Leaves it to `main` what is done when nobody reads on; rich would end with the code of a failed check."""

    def on_broken_pipe(self) -> None:
        """See rich."""
        raise BrokenPipeError


def print_text(text: str) -> None:
    """Text on stdout as it is."""
    Console(highlight=False, markup=False).print(text, soft_wrap=True)


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "0"
