"""G-HTT on results: refine, recognise, forecast, camera-motion."""

from pathlib import Path
from typing import Literal

import tyro

from handloom.cli.machine import needing_torch

Device = Literal["auto", "cpu", "cuda", "mps"]


def refine(
    result: tyro.conf.Positional[Path],
    out: Path | None = None,
    weights: Path | None = None,
    video: Path | None = None,
    overlay: bool = True,
    report: bool = True,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Make the poses of a result one motion: less jitter, short gaps closed; whichever tracker they are from.

    Args:
        result: Result folder of `handloom track`, its hands.parquet, or a recording of a Leap Motion or HoloLens.
        out: Folder for hands.parquet, overlay.mp4, report.html and run.json; by default the result's name with
            -refined.
        weights: Folder of a run of ghtt-pose or ghtt-action; by default those that come with Handloom, trained on
            simulated hands.
        video: The video, where it is not where run.json says.
        overlay: Write overlay.mp4, where there is a video.
        report: Write report.html.
        device: Where to compute.
        overwrite: Replace what is already there.
    """
    with needing_torch():
        from handloom.forecast import verbs
        from handloom.forecast.place import Pages, Place
    from handloom.terminal import ProgressBar, print_rows

    place = Place(result, out or _beside(result, "refined"), overwrite)
    with ProgressBar("frames") as progress:
        done = verbs.refine(place, weights, device, Pages(video, overlay, report), progress)
    print_rows(*done)


def recognise(
    result: tyro.conf.Positional[Path],
    out: Path | None = None,
    weights: Path | None = None,
    object_name: str | None = None,
    whole: bool = False,
    threshold: float = 0.0,
    video: Path | None = None,
    overlay: bool = True,
    report: bool = True,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Name the actions in a result, clip by clip.

    Args:
        result: Result folder of `handloom track`, its hands.parquet, or a recording of a Leap Motion or HoloLens.
        out: Folder for hands.parquet with the actions, actions.parquet with the scores of all clips, overlay.mp4,
            report.html and run.json; by default the result's name with -actions.
        weights: Folder of a run of ghtt-action; by default those that come with Handloom, trained on
            simulated hands.
        object_name: What is in the hands; by default what the result says.
        whole: The result shows one action from its start to its end.
        threshold: A clip whose likeliest action is less likely than this (0 ... 1) is unknown.
        video: The video, where it is not where run.json says.
        overlay: Write overlay.mp4, where there is a video.
        report: Write report.html.
        device: Where to compute.
        overwrite: Replace what is already there.
    """
    with needing_torch():
        from handloom.forecast import verbs
        from handloom.forecast.place import Pages, Place
    from handloom.terminal import ProgressBar, print_rows

    place = Place(result, out or _beside(result, "actions"), overwrite)
    pages = Pages(video, overlay, report)
    with ProgressBar("frames") as progress:
        done = verbs.recognise(place, weights, device, object_name, whole, threshold, pages, progress)
    print_rows(*done)


def forecast(
    result: tyro.conf.Positional[Path],
    seconds: float = 1.0,
    samples: int = 20,
    out: Path | None = None,
    weights: Path | None = None,
    path: Literal["auto", "a", "b"] = "auto",
    at_s: float | None = None,
    object_name: str | None = None,
    spread: float = 5.0,
    own_past: bool = True,
    seed: int = 0,
    video: Path | None = None,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Predict how the hands of a result go on: several futures, as a fan, in 3D, and in Parquet.

    Args:
        result: Result folder of `handloom track`, its hands.parquet, or a recording of a Leap Motion or HoloLens.
        seconds: How far ahead.
        samples: Number of futures; the first is the mean.
        out: Folder for forecast.parquet, fan.png, hands.parquet (what was observed) and run.json; by default the
            result's name with -forecast. Look at it with `handloom view`.
        weights: Folder of a run of ghtt-pose or ghtt-action; by default those that come with Handloom, trained on
            simulated hands.
        path: a, from pose to pose; b, by way of the action, up to 9 s; auto takes b beyond 2 s.
        at_s: Predict from this time on; what the result holds behind it is compared with, not looked at.
        object_name: What is in the hands; by default what the result says.
        spread: How far futures lie apart, in standard deviations.
        own_past: Weigh path a by how well it foretold the last 30 s of the track itself; off: as published.
        seed: Of the futures.
        video: The video, where it is not where run.json says.
        device: Where to compute.
        overwrite: Replace what is already there.
    """
    with needing_torch():
        from handloom.forecast import verbs
        from handloom.forecast.place import Place
    from handloom.terminal import print_rows

    place = Place(result, out or _beside(result, "forecast"), overwrite)
    print_rows(
        *verbs.forecast(
            place, weights, device, seconds, samples, path, at_s, object_name, spread, own_past, seed, video
        )
    )


def camera_motion(
    result: tyro.conf.Positional[Path], out: Path | None = None, video: Path | None = None, overwrite: bool = False
) -> None:
    """Estimate how the camera of a result moved, from the background of its video; marked as estimated.

    What comes out can be refined, recognised and forecast in a frame that rests. Not needed where camera poses are
    known, or the camera stood still.

    Args:
        result: Result folder of `handloom track`.
        out: Folder for hands.parquet with camera poses, and run.json; by default the result's name with -world.
        video: The video, where it is not where run.json says.
        overwrite: Replace what is already there.
    """
    with needing_torch():
        from handloom.forecast import verbs
        from handloom.forecast.place import Place
    from handloom.terminal import print_rows

    print_rows(*verbs.camera_motion(Place(result, out or _beside(result, "world"), overwrite), video))


def _beside(result: Path, what: str) -> Path:
    if result.is_file() and result.name != "hands.parquet":
        return result.with_name(f"{result.name.split('.')[0]}-{what}")
    folder = (result if result.is_dir() else result.parent).absolute()
    # Beside a folder that has no name, and so no place beside it, nothing is written: there is no result in it.
    return folder.with_name(f"{folder.name}-{what}") if folder.name else folder / what
