"""What a user does with a video: track, view, info."""

import sys
from pathlib import Path

import tyro

from handloom.tracking.options import TrackOptions


def track(
    source: tyro.conf.Positional[str],
    out: Path,
    tracking: tyro.conf.OmitArgPrefixes[TrackOptions] = TrackOptions(),  # noqa: B008 - frozen
    overwrite: bool = False,
    overlay: bool = True,
    report: bool = True,
    truth: str | None = None,
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
        truth: What is known to be true of the video, to show and measure beside: STORE, STORE:RECORDING,
            STORE:RECORDING:CAMERA, result folder or hands.parquet.
    """
    from handloom.terminal import ProgressBar, print_result
    from handloom.tracking.job import Job
    from handloom.tracking.outputs import Outputs
    from handloom.tracking.pipeline import run

    with ProgressBar() as progress:
        outputs = Outputs(out.expanduser(), overwrite, overlay, report)
        result = run(Job(source, tracking, progress), outputs, truth)
    print_result(result.summary(), outputs.written)
    if result.interrupted:
        sys.exit(130)


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


def info(path: tyro.conf.Positional[Path]) -> None:
    """Say what is in a video, a result folder, a store or a calibration.

    Args:
        path: Video, image folder, result folder, hands.parquet, store, or calibration file.
    """
    from handloom.describe import describe
    from handloom.terminal import print_rows

    print_rows(*describe(path))
