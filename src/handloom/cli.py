"""The command line: one short function per verb."""

import sys
from pathlib import Path

import tyro

from handloom import __version__
from handloom.errors import HandloomError
from handloom.tracking.options import TrackOptions

app = tyro.extras.SubcommandApp()
bench = tyro.extras.SubcommandApp()


@app.command
def track(
    source: tyro.conf.Positional[str],
    out: Path,
    tracking: tyro.conf.OmitArgPrefixes[TrackOptions] = TrackOptions(),  # noqa: B008 - frozen
    overwrite: bool = False,
    overlay: bool = True,
    report: bool = True,
) -> None:
    """Track both hands in a video: metric 3D poses, overlay video, report page.

    Ctrl-C finishes the outputs for the frames done, marked partial; the exit code is then 130.

    Args:
        source: Video file, image folder, glob, one image, webcam index, or stream URL.
        out: Folder for hands.parquet, overlay.mp4, report.html and run.json.
        tracking: How to track.
        overwrite: Replace a result that is already there.
        overlay: Write overlay.mp4.
        report: Write report.html.
    """
    from handloom.terminal import ProgressBar, print_result
    from handloom.tracking.job import Job
    from handloom.tracking.outputs import Outputs
    from handloom.tracking.pipeline import run

    with ProgressBar() as progress:
        result = run(Job(source, tracking, progress), Outputs(out.expanduser(), overwrite, overlay, report))
    print_result(result.summary(), out)
    if result.interrupted:
        sys.exit(130)


@app.command
def view(
    result: tyro.conf.Positional[Path], video: Path | None = None, host: str = "127.0.0.1", port: int = 8080
) -> None:
    """Look at a result in 3D in the browser: both hands, the video frame, the camera; play and scrub.

    Args:
        result: Result folder of `handloom track`, or its hands.parquet.
        video: The video, where it is not where run.json says.
        host: Address to serve on.
        port: Port to serve on.
    """
    from handloom.view.result import view_result

    view_result(result, video, host, port)


@app.command
def info(path: tyro.conf.Positional[Path]) -> None:
    """Say what is in a video, a result folder or a calibration.

    Args:
        path: Video, image folder, result folder, hands.parquet, or calibration file.
    """
    from handloom.describe import describe
    from handloom.terminal import print_rows

    print_rows(*describe(path))


@bench.command(name="track")
def bench_track(video: tyro.conf.Positional[Path], repetitions: int = 3) -> None:
    """Time `handloom track` by stage, against the bare loop "decode, MediaPipe, discard" on the same file.

    Args:
        video: A video file.
        repetitions: Runs of each; medians are printed.
    """
    from handloom.benchmarks.track import measure_track
    from handloom.terminal import print_rows

    print_rows(*measure_track(video, repetitions))


@bench.command(name="depth")
def bench_depth(
    videos: tyro.conf.Positional[tuple[Path, Path]], cameras: tuple[Path, Path], poses: tuple[Path, Path]
) -> None:
    """Wrist depth from one view against the depth triangulated from two calibrated, synchronised views.

    Args:
        videos: The two videos.
        cameras: Calibration of each camera.
        poses: World-to-camera pose of each camera (R and T blocks in a .dat file).
    """
    from handloom.benchmarks.depth import measure_depth
    from handloom.terminal import print_rows

    print_rows(*measure_depth(videos, cameras, poses))


@bench.command(name="triangulation")
def bench_triangulation(points: int = 200_000, views: int = 8) -> None:
    """Triangulated points per second on one core, against a per-point loop of SVDs.

    Args:
        points: Number of points.
        views: Number of cameras.
    """
    from handloom.benchmarks.triangulation import measure_triangulation
    from handloom.terminal import print_rows

    print_rows(*measure_triangulation(points, views))


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
