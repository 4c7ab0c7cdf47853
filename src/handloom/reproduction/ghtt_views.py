"""`handloom reproduce ghtt-table1`: poses and actions seen by several cameras, of F, of HTT and of G-HTT.

F on all views; HTT on F's backbone, trained on the pictures of one view; P and A on poses alone, with F in front.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handloom.datasets.classes import pinhole_cameras
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.ghtt import GHTTEstimator
from handloom.evaluation.evaluate import PREDICTIONS, SCORES, evaluate
from handloom.evaluation.generation import weights_hash
from handloom.evaluation.ghtt_image import PoseErrors, error_means, pose_errors, show
from handloom.evaluation.predict import KnownFeatures, videos_of
from handloom.forecast.recognise import Recogniser
from handloom.forecast.refine import Refiner
from handloom.formats.atomic import json_text, write_text
from handloom.formats.ghtt_weights import load_action_block, load_pose_block
from handloom.formats.predictions import read_predictions
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights import load_pretrained
from handloom.formats.weights_config import network_of
from handloom.hands import HandTrack
from handloom.models.htt import HTT, HTTConfig
from handloom.progress import Progress, named, silent
from handloom.reproduction.ghtt_views_table import ACTION, GHTT, HTT_ROW, F, views_table
from handloom.reproduction.known_features import known_features
from handloom.reproduction.setting import setting_of
from handloom.reproduction.tables import Measured
from handloom.skeleton import HANDS
from handloom.training.features import backbone_digest
from handloom.training.ghtt_action import train_ghtt_action
from handloom.training.ghtt_image import train_ghtt_image
from handloom.training.ghtt_image_recipe import PRESETS
from handloom.training.ghtt_pose import train_ghtt_pose
from handloom.training.htt import FEATURES, train_htt
from handloom.training.options import HTTOptions, ImageOptions, RunOptions
from handloom.training.processes import require_one_process

NAME = "ghtt-table1"


@dataclass(frozen=True)
class Trained:
    """Folders of trained weights (or of runs) that are taken instead of training: of F and E^PO, P, A, and HTT."""

    image: Path | None = None
    pose: Path | None = None
    action: Path | None = None
    htt: Path | None = None


def reproduce_views(
    data: Path,
    out: Path,
    options: ImageOptions | None = None,
    htt_view: str | None = None,
    trained: Trained | None = None,
    split: str = "test",
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Measured | None:
    """Train what Table 1 compares, score it view by view, and write OUT/ghtt-table1.md and .json; resumable.

    Args:
        data: a store with pictures, labelled actions and objects.
        out: folder for runs, scores and the table; P and A are those of the other tables of G-HTT.
        options: of all trainings; `cameras` are the views.
        htt_view: whose pictures HTT is trained on; by default the first view.
        trained: weights to take instead of training.
        split: that is scored.
        progress: told of every step and video.
        should_stop: asked after every training step.

    Returns:
        The table; None if it ended early.

    Raises:
        InputError, TrainingError: as the trainings and evaluations; or no such view.
    """
    options, trained, store = options or ImageOptions(), trained or Trained(), Store(data)
    require_one_process("a table")
    views = pinhole_cameras(store, options.cameras)
    (own,) = pinhole_cameras(store, (htt_view or views[0],))
    if own not in views:
        raise InputError(f"HTT's view {own!r} is not among the views of the table: {', '.join(views)}")
    videos_of(store, split)  # says early that there is no such split
    for name, folder in vars(trained).items():
        if folder is not None and network_of(folder) is None:
            raise InputError(f"--{name} {folder} is no run and holds no weights")
    folders = _train(data, out, replace(options, cameras=views), own, trained, progress, should_stop)
    if folders is None:
        return None
    image, pose, action, htt = folders
    estimator = GHTTEstimator.load(image, options.device)
    precision = PRESETS[options.preset].recipe.precision
    scores: dict[str, dict[str, Any]] = {}
    for view in views:
        told = named(progress, view)
        given = (out / FEATURES, store, view, split, options.seed, precision, options.device, told)
        known = known_features(estimator.model, *given)
        scores |= _front(estimator, (image, pose, action), store, view, split, out, options, known, told)
        scores[f"{view}, {HTT_ROW}"] = _htt(htt, estimator, data, view, split, out, options, known, told)
    table = views_table(views, own)
    measured = Measured(
        table,
        tuple(tuple(column.value(scores[row.label]) for column in table.columns) for row in table.rows),
        _notes(store, split, options, views, own, trained),
    )
    write_text(out / f"{NAME}.json", json_text(measured.as_json(), indent=2) + "\n")
    write_text(out / f"{NAME}.md", measured.as_markdown())
    return measured


def _train(
    data: Path,
    out: Path,
    options: ImageOptions,
    htt_view: str,
    trained: Trained,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> tuple[Path, Path, Path, Path] | None:
    """Weights of F, P, A and HTT, trained where they are not given; None if it ended early."""
    motion = RunOptions(options.preset, seed=options.seed, epochs=options.epochs, device=options.device)

    def told(name: str) -> dict[str, Any]:
        return {"progress": named(progress, name), "should_stop": should_stop}

    image = _model(trained.image) or train_ghtt_image(data, out / "image", options, **told("F"))
    pose = image and (_model(trained.pose) or train_ghtt_pose([data], out / "pose", motion, **told("P")))
    if pose is None:
        return None
    block = trained.pose or out / "pose"  # as the other tables name it
    action = _model(trained.action) or train_ghtt_action([data], block, out / "action", motion, **told("A"))
    if image is None or action is None:
        return None
    recogniser = HTTOptions(
        preset=options.preset,
        camera=htt_view,
        seed=options.seed,
        backbone_from=image,
        features=out / FEATURES,
        epochs=options.epochs,
        device=options.device,
    )
    htt = _model(trained.htt) or train_htt([data], out / "htt" / "run", recogniser, **told("HTT"))
    return (image, pose, action, htt) if htt else None


def _model(folder: Path | None) -> Path | None:
    """The weights in the folder of a run, or the folder itself."""
    return folder / "model" if folder is not None and (folder / "model").is_dir() else folder


def _front(
    estimator: GHTTEstimator,
    weights: tuple[Path, Path, Path],
    store: Store,
    view: str,
    split: str,
    out: Path,
    options: ImageOptions,
    known: KnownFeatures,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Scores of F and of G-HTT in a view, kept in a file: done once for the same weights."""
    path = out / "views" / f"{view}-{split}.json"
    names = ("image", "pose", "action")
    about = {
        "store": store_digest(store),
        "weights": {name: weights_hash(folder) for name, folder in zip(names, weights)},
    }
    kept = parse_json(path, read_text(path)) if path.exists() else {}
    if kept.get("about") == about:
        return dict(kept["scores"])
    _, pose, action = weights
    block = load_pose_block(pose)
    refiner = Refiner(block, options.device)
    recogniser = Recogniser(block, load_action_block(action), options.device)
    videos = videos_of(store, split)
    errors: dict[str, list[PoseErrors]] = {F: [], GHTT: []}
    right, labelled = 0, 0
    hands = [HANDS.index(hand) for hand in estimator.config.hands]
    for done, video in enumerate(videos):
        progress("score", done, len(videos))
        shown = show(estimator, store, view, video, known)
        refined = _refined(refiner, shown.track)
        better = np.where(refined.valid[..., None], refined.joints_m, np.nan)[:, hands].astype(np.float64)
        errors[F].append(pose_errors(shown.joints_m, shown.truth_m, shown.valid))
        # Where the hand was not taken to be there, what F says stands.
        joints = np.where(np.isfinite(better), better, shown.joints_m)
        errors[GHTT].append(pose_errors(joints, shown.truth_m, shown.valid))
        label = store.recordings[video.recording].segments[video.segment].label if video.segment is not None else None
        if label is not None:
            labelled += 1
            right += _action(recogniser, refined) == label
    progress("score", len(videos), len(videos))
    scores = {f"{view}, {row}": error_means(found, estimator.config.hands) for row, found in errors.items()}
    scores[f"{view}, {GHTT}"][ACTION] = 100 * right / labelled if labelled else None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json_text({"about": about, "scores": scores}, indent=2) + "\n")
    return scores


def _refined(refiner: Refiner, track: HandTrack) -> HandTrack:
    return refiner.refine(track) if len(track) > 1 and track.valid.any() else track


def _action(recogniser: Recogniser, track: HandTrack) -> str | None:
    """The action of a video; None where no hand was seen."""
    if len(track) < 2 or not track.valid.any():
        return None
    found = recogniser.recognise(track, whole=True)[1]
    return found.labels[int(found.probabilities[0].argmax())]


def _htt(
    weights: Path,
    estimator: GHTTEstimator,
    data: Path,
    view: str,
    split: str,
    out: Path,
    options: ImageOptions,
    known: KnownFeatures,
    progress: Progress,
) -> dict[str, Any]:
    """Scores of HTT in a view, with its evaluation page; F's features serve where it has F's backbone."""
    scored = out / "htt" / f"scores-{split}-{view}-{store_digest(Store(data))[:12]}-{weights_hash(weights)}"
    if not (scored / SCORES).exists():
        shared = backbone_digest(load_pretrained(HTT, HTTConfig, weights)) == backbone_digest(estimator.model)
        evaluate(weights, data, split, scored, view, options.device, "auto", progress, known if shared else None)
    predictions = read_predictions(scored / PREDICTIONS)
    truth = np.where(predictions.valid[..., None], predictions.truth_m, 0.0).astype(np.float64)
    errors = pose_errors(predictions.joints_m.astype(np.float64), truth, predictions.valid)
    share = parse_json(scored / SCORES, read_text(scored / SCORES)).get("action", {}).get("top_1")
    return {**error_means([errors], predictions.hands), ACTION: None if share is None else 100 * share}


def _notes(
    store: Store, split: str, options: ImageOptions, views: Sequence[str], htt_view: str, trained: Trained
) -> tuple[str, ...]:
    kind = "simulated " if store.simulated else ""
    data = f"{kind}{store.layout.dataset} ({store.root.name}), split {split}, {len(videos_of(store, split))} segments"
    epochs = "" if options.epochs is None else f" with {options.epochs} epochs of every network"
    given = [f"{name} {path}" for name, path in vars(trained).items() if path is not None]
    notes = [
        f"* the view that HTT was trained on, {htt_view}; F was shown all of {', '.join(views)}; P and A no pictures.",
        "MPJPE after G-HTT's equalisation of palms: wrist-aligned (RA, 19 joints) and by a similarity (PA, 20 joints). "
        "Actions: top 1 over labelled segments.",
        "HTT reads the features of F's frozen backbone, not F's poses and objects beside them as in the paper; the "
        "paper's HTT was trained on cam0 and cam1.",
        setting_of(data, options.preset, options.seed, options.device, epochs)
        + " One training for each network: small differences are chance.",
    ]
    return (*notes, *([f"Given, not trained here: {'; '.join(given)}."] if given else []))
