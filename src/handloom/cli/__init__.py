"""The command line: one short function per verb."""

import os
import sys

import tyro

from handloom import __version__
from handloom.cli.bench import bench
from handloom.cli.capture import annotate
from handloom.cli.data import check, datasets, prepare, simulate
from handloom.cli.learn import evaluate, export, import_weights
from handloom.cli.motion import camera_motion, forecast, recognise, refine
from handloom.cli.reproduce import reproduce
from handloom.cli.train import train
from handloom.cli.video import info, track, view
from handloom.errors import HandloomError

app = tyro.extras.SubcommandApp()
for verb in (
    track,
    view,
    info,
    annotate,
    simulate,
    prepare,
    check,
    datasets,
    evaluate,
    export,
    refine,
    recognise,
    forecast,
):
    app.command(verb)
app.command(reproduce, name="reproduce", help="The papers' tables again, side by side with what was published.")
app.command(name="camera-motion")(camera_motion)
app.command(train, name="train", help="Train a network on stores; resumable.")
app.command(name="import-weights")(import_weights)
app.command(bench, name="bench", help="Measure speed and accuracy on your machine.")


def main(arguments: list[str] | None = None) -> int:
    """Entry point. User errors are one line on stderr and exit code 2."""
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # here, where a reader that is gone is no error; at the end it would be one
    except BrokenPipeError:
        # Whoever read what we print, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what shells say of it


def _run(arguments: list[str] | None) -> int:
    if (sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        print(f"handloom {__version__}")
        return 0
    try:
        app.cli(prog="handloom", description="Video of hands in, metric 3D poses out.", args=arguments)
    except HandloomError as error:
        print(f"handloom: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("handloom: interrupted", file=sys.stderr)
        return 130
    return 0
