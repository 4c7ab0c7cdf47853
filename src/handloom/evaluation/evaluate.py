"""`handloom evaluate`: scores of a trained network on a split of a store, as numbers, as a page, and to hand in."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from handloom.datasets.classes import choose_camera
from handloom.datasets.clips import ClipPlace
from handloom.datasets.loader import ClipDataset
from handloom.datasets.resize import resized
from handloom.datasets.store import Store
from handloom.estimators.htt_network import Device, HTTNetwork, Precision, load_network
from handloom.evaluation.predict import KnownFeatures, Predicted, Video, predict, videos_of
from handloom.formats.atomic import json_text, make_folder, write_text
from handloom.formats.h2o_challenge import (
    ACTION_FILE,
    NoSubmissionError,
    write_action_submission,
    write_hand_submission,
)
from handloom.formats.predictions import write_predictions
from handloom.formats.weights_config import weights_folder
from handloom.metrics.pose import FPHA_RANGES, H2O_RANGES
from handloom.metrics.predictions import Predictions
from handloom.metrics.scores import Scores, score
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.view.attention import ActionAttention, WindowAttention
from handloom.view.evaluation import write_evaluation
from handloom.view.evaluation_frames import frames_to_show

PREDICTIONS, SCORES, PAGE, HAND_FILE = "predictions.npz", "scores.json", "evaluation.html", "hand_poses.json"
SHOWN_VIDEOS, FILM = 3, 8


def evaluate(
    weights: Path,
    data: Path,
    split: str,
    out: Path,
    camera: str | None = None,
    device: Device = "auto",
    precision: Precision = "auto",
    progress: Progress = silent,
    known: KnownFeatures | None = None,
) -> Scores:
    """Evaluate a network on a split of a store and write predictions, scores and a page into `out`.

    Args:
        weights: folder of weights, folder of a training run, or an exported .onnx file.
        data, split, camera: what it is shown; by default the store's only camera, or H2O's on the head.
        out: folder for the results.
        device, precision: where and how to compute.
        progress: told of every video.
        known: see `predict`.

    Raises:
        InputError: missing or unfit weights, no such split or camera, classes that the network does not know.
        OutputError: the results cannot be written.
    """
    store = Store(data)
    network = load_network(weights_folder(weights), device, precision)
    chosen = choose_camera(store, camera)
    name = f"{_kind(store)}{store.layout.dataset} ({data.name}), split {split}, camera {chosen}"
    count = len(videos_of(store, split))
    looked_at = set(np.linspace(0, count - 1, min(SHOWN_VIDEOS, count)).astype(int).tolist())
    make_folder(out)
    kept: dict[int, Predicted] = {}  # of few videos: they hold the features of all their frames

    def keep(number: int, found: Predicted) -> None:
        if number in looked_at:
            kept[number] = found

    predictions, videos = predict(network, store, chosen, split, name, progress, keep, known)
    scores = score(predictions, FPHA_RANGES if len(predictions.hands) == 1 else H2O_RANGES)
    write_predictions(out / PREDICTIONS, predictions)
    if store.layout.dataset == "h2o":
        scores = replace(scores, notes=tuple(_write_submission(out, predictions)))
    write_text(out / SCORES, json_text({"network": network.name, **scores.as_json()}, indent=2) + "\n")
    shown = frames_to_show(predictions)
    actions, windows = _attentions(network, store, chosen, videos, predictions, kept)
    write_evaluation(
        out / PAGE,
        predictions,
        scores,
        title=f"HTT, {weights.name}",
        frames=shown,
        pictures={row: _picture(network, store, chosen, videos, predictions, row) for row in shown},
        action_attentions=actions,
        window_attentions=windows,
    )
    return scores


def score_rows(scores: Scores, out: Path) -> tuple[str, Rows]:
    """The scores for the terminal."""
    rows = [
        (f"MEPE {pose.space}, {pose.hand}", f"{pose.mean_error:.2f} {pose.unit}" + _auc(pose.auc))
        for pose in scores.poses
        if pose.hand != "both"
    ]
    if scores.actions is not None and scores.actions.videos:
        found = scores.actions
        rows += [
            ("action accuracy, top 1", f"{100 * found.top_1:.2f} % of {found.videos} videos"),
            ("action accuracy, top 5", f"{100 * found.top_5:.2f} %"),
        ]
        rows += [
            (f"{what} accuracy", f"{100 * value:.2f} %")
            for what, value in (("verb", found.verb), ("noun", found.noun))
            if value is not None
        ]
    if scores.object_accuracy is not None:
        rows.append(("object accuracy", f"{100 * scores.object_accuracy:.2f} % of {scores.object_frames} frames"))
    rows += [("note", note) for note in scores.notes]
    return f"Scores on {scores.data}", [*rows, ("results", str(out))]


def _kind(store: Store) -> str:
    """Simulated data is called simulated: by itself where `simulate` wrote the store."""
    return "simulated " if store.simulated else ""


def _auc(value: float | None) -> str:
    return "" if value is None else f", AUC {value:.3f}"


def _write_submission(out: Path, predictions: Predictions) -> list[str]:
    """The files of H2O's challenge: both hands, all frames, all 36 actions. Returns which are not there, and why."""
    notes = []
    for name, write in ((HAND_FILE, write_hand_submission), (ACTION_FILE, write_action_submission)):
        try:
            write(out / name, predictions)
        except NoSubmissionError as reason:
            (out / name).unlink(missing_ok=True)
            notes.append(f"no {name} for H2O's challenge: {reason}")
    return notes


def _picture(
    network: HTTNetwork, store: Store, camera: str, videos: list[Video], predictions: Predictions, row: int
) -> UInt8[np.ndarray, "H W 3"]:
    frame, video = predictions.frame_index[row], videos[predictions.frame_video[row]]
    return _pictures(network, store, camera, video, np.array([frame]))[0]


def _pictures(
    network: HTTNetwork, store: Store, camera: str, video: Video, frames: np.ndarray
) -> UInt8[np.ndarray, "T H W 3"]:
    place = ClipPlace(video.recording, frames, np.ones(len(frames), bool))
    return resized(ClipDataset(store.root, camera, [place])[0], network.layout.image_size).pictures


def _attentions(
    network: HTTNetwork,
    store: Store,
    camera: str,
    videos: list[Video],
    predictions: Predictions,
    kept: Mapping[int, Predicted],
) -> tuple[list[ActionAttention], list[WindowAttention]]:
    """Where the last layers look in the first clips of the videos kept; exported networks do not tell."""
    from handloom.estimators.htt_attention import attention_of

    actions, windows = [], []
    for number, found in kept.items():
        video = videos[number]
        maps = attention_of(network, found.features[found.windows.frames[0]], found.windows.valid[0])
        if maps is None:
            return [], []
        window, of_token = maps
        real = int(found.windows.valid[0].sum())
        title = f"{predictions.video_names[number]}: {_label(found, predictions, number)}"
        film = np.unique(np.linspace(0, real - 1, min(FILM, real)).astype(int))
        frames = found.clip.frames[found.windows.frames[0]]
        pictures = _pictures(network, store, camera, video, frames[film])
        actions.append(ActionAttention(title, of_token[:real], list(zip(film.tolist(), pictures))))
        t = min(len(window), real)
        windows.append(
            WindowAttention(title, window[:t, :t], list(_pictures(network, store, camera, video, frames[:t])))
        )
    return actions, windows


def _label(found: Predicted, predictions: Predictions, number: int) -> str:
    said = predictions.action_names[int(found.actions.sum(0).argmax())]
    truth = predictions.action_truth[number]
    return f"said {said}" + (f", is {predictions.action_names[truth]}" if truth >= 0 else "")
