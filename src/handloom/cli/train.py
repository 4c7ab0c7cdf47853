"""Networks on stores: train. What a training may be told is in `training/options.py`."""

from functools import partial
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import OmitArgPrefixes

from handloom.cli.machine import carry_out_training, needing_torch
from handloom.training.options import (
    EgoOptions,
    HandDetectorOptions,
    HTTOptions,
    ImageOptions,
    MVExoNetOptions,
    RunOptions,
)

train = tyro.extras.SubcommandApp()


@train.command(name="htt")
def train_htt(data: tuple[Path, ...], out: Path, training: OmitArgPrefixes[HTTOptions]) -> None:
    """Train HTT on stores; killed at any moment, the same command goes on. Ctrl-C writes a checkpoint first.

    Several GPUs: torchrun --nproc-per-node N -m handloom train htt ...

    Args:
        data: The stores; the network knows the classes of all.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        training: How to train.
    """
    with needing_torch():
        from handloom.training.htt import train_htt as run_training

    if training.start is None:
        _warn_of_chance(training)
    carry_out_training(partial(run_training, data, out, training), _score_it(out))


@train.command(name="ghtt-pose")
def train_ghtt_pose(
    out: Path,
    training: OmitArgPrefixes[RunOptions],
    data: tuple[Path, ...] = (),
    tracks: tuple[Path, ...] = (),
    start_from: Path | None = None,
) -> None:
    """Train G-HTT's block P on the motion of one or several stores, labelled or not; resumable.

    Args:
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        training: How to train.
        data: Stores; pictures are not needed (handloom simulate ... --no-pictures).
        tracks: Results, or recordings of a Leap Motion (.json, .json.xz) or HoloLens (.csv), to train on, too: each at
            nine speeds, and in the mirror.
        start_from: Folder of weights of block P, or of G-HTT, to go on from; by default from chance.
    """
    with needing_torch():
        from handloom.training.ghtt_pose import train_ghtt_pose as run_training
        from handloom.training.motion_run import recordings_of_tracks

    more = recordings_of_tracks(tracks)
    carry_out_training(partial(run_training, data, out, training, more=more, start=start_from))


@train.command(name="ghtt-action")
def train_ghtt_action(
    data: tuple[Path, ...],
    pose: Path,
    out: Path,
    training: OmitArgPrefixes[RunOptions],
    level: Literal["mid", "pose"] = "mid",
    labels: Path | None = None,
) -> None:
    """Train G-HTT's block A on labelled segments, with a trained block P that stays as it is; resumable.

    Args:
        data: Stores with labelled actions; pictures are not needed.
        pose: Folder of a run of ghtt-pose, or of its weights.
        out: Folder of the run; in the end model/ holds both blocks.
        training: How to train.
        level: mid, or pose for the flattened model without mid-level that the paper compares with.
        labels: Table of text embeddings of all actions and objects (.npz with names and vectors, or .json), CLIP's say;
            or text, for those of the small language model in the extra [text]; by default random directions of verbs
            and nouns, which know no words but those of the training.
    """
    with needing_torch():
        from handloom.training.ghtt_action import train_ghtt_action as run_training

    carry_out_training(partial(run_training, data, pose, out, training, level, labels))


@train.command(name="ghtt-image")
def train_ghtt_image(data: Path, out: Path, training: OmitArgPrefixes[ImageOptions]) -> None:
    """Train G-HTT's image estimator F, and on its object features the aggregator E^PO; resumable.

    Args:
        data: A store with pictures, hands and objects.
        out: Folder of the run: 1-frames/ (F), 2-objects/ (E^PO), and in the end model/ with both.
        training: How to train.
    """
    with needing_torch():
        from handloom.training.ghtt_image import train_ghtt_image as run_training

    _warn_of_chance(training)
    carry_out_training(partial(run_training, data, out, training), _score_it(out))


@train.command(name="posegpt")
def train_posegpt(data: tuple[Path, ...], out: Path, training: OmitArgPrefixes[RunOptions]) -> None:
    """Train PoseGPT, which predicts motion when it is told the action: what G-HTT is compared with; resumable.

    Args:
        data: Stores with labelled actions; pictures are not needed.
        out: Folder of the run: 1-codec/, 2-words/, and in the end model/.
        training: How to train.
    """
    with needing_torch():
        from handloom.training.posegpt import train_posegpt as run_training

    carry_out_training(partial(run_training, data, out, training))


@train.command(name="hand-detector")
def train_hand_detector(data: tuple[Path, ...], out: Path, training: OmitArgPrefixes[HandDetectorOptions]) -> None:
    """Train a detector of hands on whole pictures of any cameras, for track and annotate --detector; resumable.

    Args:
        data: Stores with pictures, and boxes or joints of hands.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        training: How to train.
    """
    with needing_torch():
        from handloom.training.hand_detector import train_hand_detector as run_training

    use_it = (
        "use it",
        f"handloom track ... --estimator svegonet --weights ... --detector {out}, or "
        f"handloom annotate ... --network ... --detector {out}",
    )
    carry_out_training(partial(run_training, data, out, training), use_it)


@train.command(name="svegonet")
def train_svegonet(data: Path, out: Path, training: OmitArgPrefixes[EgoOptions]) -> None:
    """Train SVEgoNet on the egocentric cameras of a store: single hands, 2.5D; resumable.

    Args:
        data: The store.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        training: How to train.
    """
    with needing_torch():
        from handloom.training.svegonet import train_svegonet as run_training

    carry_out_training(partial(run_training, data, out, training), _score_it(out))


@train.command(name="verbs")
def train_verbs(
    data: tuple[Path, ...],
    out: Path,
    training: OmitArgPrefixes[RunOptions],
    verbs: tuple[str, ...] = (),
    poses: Path | None = None,
) -> None:
    """Train MS-G3D to name the verb of a labelled segment from the joints of both hands; resumable.

    Args:
        data: Stores with labelled verbs; pictures are not needed.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        training: How to train.
        verbs: To tell apart; by default all that the split has.
        poses: Train on the joints of another store with the same recordings, or of a folder of results that are called
            as they are; by default on the stores' own.
    """
    with needing_torch():
        from handloom.datasets.verb_segments import poses_of
        from handloom.training.verbs import train_verbs as run_training

    given = None if poses is None else lambda recordings: poses_of(recordings, poses)
    about = "labels" if poses is None else str(poses)
    carry_out_training(partial(run_training, data, out, training, verbs, given, about))


@train.command(name="mvexonet")
def train_mvexonet(data: Path, out: Path, training: OmitArgPrefixes[MVExoNetOptions]) -> None:
    """Train MVExoNet, the network of `annotate --network`, on hands that several cameras see; resumable.

    Args:
        data: A store with pictures of two cameras or more, and labels.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        training: How to train.
    """
    with needing_torch():
        from handloom.training.mvexonet import train_mvexonet as run_training

    use_it = ("use it", f"handloom annotate ... --network {out / 'model'}")
    carry_out_training(partial(run_training, data, out, training), use_it)


def _score_it(out: Path) -> tuple[str, str]:
    return "score it", f"handloom evaluate {out} --data ..."


def _warn_of_chance(training: HTTOptions | ImageOptions) -> None:
    from handloom.terminal import print_text

    if training.preset == "paper" and training.backbone_weights is None:
        print_text(
            "Without --backbone-weights the ResNet starts from chance, and the preset paper keeps its "
            "batch norms' statistics as they are: expect little. Give ImageNet weights, or use --preset small.\n"
        )
