"""Trained networks: evaluate, import-weights, export."""

from pathlib import Path
from typing import Literal

import tyro

from handloom.cli.machine import needing_torch
from handloom.errors import InputError
from handloom.formats.weights_config import network_of

Device = Literal["auto", "cpu", "cuda", "mps"]


def evaluate(
    run: tyro.conf.Positional[Path],
    data: Path,
    out: Path,
    split: str = "test",
    camera: str | None = None,
    poses: Path | None = None,
    device: Device = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
) -> None:
    """Score a trained network on a store: pose errors, PCK, objects, actions, verbs, boxes; numbers and a page.

    Args:
        run: Folder of a training run (htt, ghtt-image, svegonet, hand-detector, verbs) or of weights, or an exported
            .onnx file.
        data: The store.
        out: Folder for scores.json and evaluation.html; of HTT also predictions.npz and H2O's submission files.
        split: Of the store.
        camera: Whose pictures; by default the only camera, or H2O's on the head; of SVEgoNet all that move, of a hand
            detector and of G-HTT's image estimator all.
        poses: Name verbs from the joints of another store with the same recordings, or of a folder of results that are
            called as they are; by default from the store's own.
        device: Where to compute.
        precision: Of HTT's backbone.
    """
    from handloom.terminal import ProgressBar, print_rows

    network = network_of(run)
    if network == "VerbClassifier":
        with needing_torch():
            from handloom.evaluation.verbs import evaluate_verbs, verb_rows
        with ProgressBar("segments") as progress:
            verbs = evaluate_verbs(run, [data], split, out, device, poses, progress)
        print_rows(*verb_rows(verbs, out))
        return
    if poses is not None:
        raise InputError("--poses is for verb classifiers; other networks are shown pictures")
    chosen = () if camera is None else (camera,)
    if network == "HandDetector":
        with needing_torch():
            from handloom.evaluation.hand_detector import box_rows, evaluate_hand_detector
        with ProgressBar("recordings") as progress:
            boxes = evaluate_hand_detector(run, data, split, out, chosen, device, progress)
        print_rows(*box_rows(boxes, out))
        return
    if network == "InterNet":
        with needing_torch():
            from handloom.evaluation.svegonet import ego_rows, evaluate_svegonet
        with ProgressBar("recordings") as progress:
            found = evaluate_svegonet(run, data, split, out, chosen, device, progress)
        print_rows(*ego_rows(found, out))
        return
    if network == "ImageEstimator":
        with needing_torch():
            from handloom.evaluation.ghtt_image import evaluate_image, image_rows
        with ProgressBar("videos") as progress:
            errors = evaluate_image(run, data, split, out, () if camera is None else (camera,), device, progress)
        print_rows(*image_rows(errors, out))
        return
    from handloom.evaluation.evaluate import evaluate as run_evaluate
    from handloom.evaluation.evaluate import score_rows

    with ProgressBar("videos") as progress:
        scores = run_evaluate(run, data, split, out, camera, device, precision, progress)
    print_rows(*score_rows(scores, out))


def import_weights(
    network: tyro.conf.Positional[Literal["htt"]],
    checkpoint: tyro.conf.Positional[Path],
    out: Path,
    actions: Path | None = None,
    objects: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Turn the authors' checkpoint into weights that every verb takes; nothing in it is executed.

    Args:
        network: Whose checkpoint it is.
        checkpoint: The .pth file.
        out: Folder for model.safetensors and config.json.
        actions: Names of the action classes, one per line; by default those of H2O or FPHA, told by their number.
        objects: Names of the object classes, likewise.
        overwrite: Replace weights that are already there.
    """
    with needing_torch():
        from handloom.formats.htt_checkpoint import import_htt
    from handloom.terminal import print_rows

    print_rows(*import_htt(checkpoint, out, actions, objects, overwrite))


def export(
    network: tyro.conf.Positional[Literal["htt"]],
    weights: tyro.conf.Positional[Path],
    out: Path,
    int8: bool = False,
    calibration: tuple[str, ...] = (),
    overwrite: bool = False,
) -> None:
    """Write a trained network as one ONNX file, for `handloom track --weights FILE.onnx` and other programs.

    The file is run against PyTorch, and the differences are printed.

    Args:
        network: What it is.
        weights: Its folder of weights.
        out: The .onnx file.
        int8: Compute the backbone in 8-bit integers; needs pictures to calibrate on.
        calibration: Videos or pictures of the kind that the network will see.
        overwrite: Replace a file that is already there.
    """
    with needing_torch():
        from handloom.estimators.htt_export import export_htt
    from handloom.terminal import print_rows

    print_rows(*export_htt(weights, out, int8, calibration, overwrite))
