"""G-HTT: train its blocks, refine, recognise, forecast."""

from pathlib import Path
from typing import Literal

import tyro

from handloom.cli.machine import carry_out_training, needing_torch, resumable

Preset = Literal["paper", "small"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def train_ghtt_pose(
    out: Path,
    data: tuple[Path, ...] = (),
    tracks: tuple[Path, ...] = (),
    start_from: Path | None = None,
    preset: Preset = "small",
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train G-HTT's block P on the motion of one or several stores, labelled or not; resumable.

    Args:
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        data: Stores; pictures are not needed (handloom simulate ... --no-pictures).
        tracks: Results, or recordings of a Leap Motion (.json, .json.xz) or HoloLens (.csv), to train on, too: each at
            nine speeds, and in the mirror.
        start_from: Folder of weights of block P, or of G-HTT, to go on from; by default from chance.
        preset: paper, as published, for a GPU; or small, for 2 CPU cores.
        split: Of the stores.
        epochs: Instead of the preset's.
        batch_clips: Windows of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.ghtt_pose import train_ghtt_pose as run_training
        from handloom.training.motion_run import MotionOptions, recordings_of_tracks

    options = MotionOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps
    )
    more = recordings_of_tracks(tracks)
    carry_out_training(lambda **listeners: run_training(data, out, options, more=more, start=start_from, **listeners))


def train_ghtt_action(
    data: tuple[Path, ...],
    pose: Path,
    out: Path,
    preset: Preset = "small",
    level: Literal["mid", "pose"] = "mid",
    labels: Path | None = None,
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train G-HTT's block A on labelled segments, with a trained block P that stays as it is; resumable.

    Args:
        data: Stores with labelled actions; pictures are not needed.
        pose: Folder of a run of ghtt-pose, or of its weights.
        out: Folder of the run; in the end model/ holds both blocks.
        preset: paper, as published, for a GPU; or small, for 2 CPU cores.
        level: mid, or pose for the flattened model without mid-level that the paper compares with.
        labels: Table of text embeddings of all actions and objects (.npz with names and vectors, or .json), CLIP's say;
            or text, for those of the small language model in the extra [text]; by default random directions of verbs
            and nouns, which know no words but those of the training.
        split: Of the stores.
        epochs: Instead of the preset's.
        batch_clips: Segments of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.ghtt_action import train_ghtt_action as run_training
        from handloom.training.motion_run import MotionOptions

    options = MotionOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps
    )
    carry_out_training(lambda **listeners: run_training(data, pose, out, options, level, labels, **listeners))


def train_posegpt(
    data: tuple[Path, ...],
    out: Path,
    preset: Preset = "small",
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train PoseGPT, which predicts motion when it is told the action: what G-HTT is compared with; resumable.

    Args:
        data: Stores with labelled actions; pictures are not needed.
        out: Folder of the run: 1-codec/, 2-words/, and in the end model/.
        preset: paper, as G-HTT's authors trained it, for a GPU; or small, for 2 CPU cores.
        split: Of the stores.
        epochs: Of both networks, instead of the preset's.
        batch_clips: Stretches of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps of a network, as if interrupted.
    """
    with needing_torch():
        from handloom.training.motion_run import MotionOptions
        from handloom.training.posegpt import train_posegpt as run_training

    options = MotionOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps
    )
    carry_out_training(lambda **listeners: run_training(data, out, options, **listeners))


def train_verbs(
    data: tuple[Path, ...],
    out: Path,
    verbs: tuple[str, ...] = (),
    poses: Path | None = None,
    preset: Preset = "small",
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train MS-G3D to name the verb of a labelled segment from the joints of both hands; resumable.

    Args:
        data: Stores with labelled verbs; pictures are not needed.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        verbs: To tell apart; by default all that the split has.
        poses: Train on the joints of another store with the same recordings, or of a folder of results that are called
            as they are; by default on the stores' own.
        preset: paper, as Assembly101 trains it, for a GPU; or small, for 2 CPU cores.
        split: Of the stores.
        epochs: Instead of the preset's.
        batch_clips: Segments of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.datasets.verb_segments import poses_of
        from handloom.training.motion_run import MotionOptions
        from handloom.training.verbs import train_verbs as run_training

    options = MotionOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps
    )
    given = None if poses is None else lambda recordings: poses_of(recordings, poses)
    about = "labels" if poses is None else str(poses)
    carry_out_training(lambda **listeners: run_training(data, out, options, verbs, given, about, **listeners))


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
        own_past: Weigh path a by how well it foretold the last 20 s of the track itself; off: as published.
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


def reproduce_ghtt(
    table: str,
    /,
    data: tuple[Path, ...],
    out: Path,
    preset: Preset = "small",
    split: str = "test",
    epochs: int | None = None,
    windows: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train and score what a table of G-HTT compares, beside the published numbers; killed, the same command goes on.

    Table 2: PoseGPT and P.b; 3: P.a and P.b; 4: with and without mid-level. All share their networks in OUT.

    Args:
        table: Its name.
        data: Stores with labelled actions; pictures are not needed.
        out: Folder for runs, and the table as .md and .json.
        preset: Of all networks.
        split: That is scored; "train" is trained on.
        epochs: Of all networks, instead of the preset's.
        windows: Score so many windows, evenly chosen; by default all.
        seed: Of all chance.
        device: Where to compute.
    """
    with needing_torch():
        from handloom.reproduction.ghtt import reproduce_ghtt as run_table
        from handloom.training.motion_run import MotionOptions
    from handloom.terminal import print_text

    options = MotionOptions(preset, seed=seed, epochs=epochs, device=device)
    text = resumable(table, lambda *listeners: run_table(table, data, out, options, split, windows, *listeners))
    if text is not None:
        print_text(text)


def _beside(result: Path, what: str) -> Path:
    if result.is_file() and result.name != "hands.parquet":
        return result.with_name(f"{result.name.split('.')[0]}-{what}")
    folder = result if result.is_dir() else result.parent
    return folder.absolute().with_name(f"{folder.absolute().name}-{what}")
