"""The command line: one short function per verb."""

import sys

import tyro

from handloom import __version__
from handloom.cli.bench import bench
from handloom.cli.capture import annotate
from handloom.cli.data import check, datasets, prepare, simulate
from handloom.cli.learn import evaluate, export, import_weights, train
from handloom.cli.video import info, track, view
from handloom.errors import HandloomError

app = tyro.extras.SubcommandApp()
for verb in (track, view, info, annotate, simulate, prepare, check, datasets, train, evaluate, export):
    app.command(verb)
app.command(name="import-weights")(import_weights)
app.command(bench, name="bench", help="Measure speed and accuracy on your machine.")


def main(arguments: list[str] | None = None) -> int:
    """Entry point. User errors are one line on stderr and exit code 2."""
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
