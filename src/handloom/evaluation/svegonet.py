"""`handloom evaluate` of SVEgoNet: wrist-relative errors of single views, of mirror images too, and of all views
together; numbers and a page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.datasets.hand_crops import HandCrops, Subset, ego_cameras, numbers_of, read_hand_crops
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.ego_crops import ENOUGH_JOINTS, hand_targets
from handloom.estimators.ego_views import merge_views
from handloom.estimators.htt_network import Device
from handloom.estimators.svegonet import EgoHands, OneHand, SVEgoNet, one_hand, wrist_depths
from handloom.formats.atomic import json_text, make_folder, write_text
from handloom.geometry.pinhole_views import PinholeViews
from handloom.metrics.means import known_mean
from handloom.metrics.pose import ROOT_ALIGNED
from handloom.metrics.wrist_relative import wrist_relative_errors, wrist_relative_scores
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.skeleton import HANDS, WRIST
from handloom.view.evaluation_ego import Shot, write_ego_evaluation

SCORES, PAGE, CROPS = "scores.json", "evaluation.html", "crops"
SHOTS = 12
WAYS = {
    "single": "each view alone",
    "single, mirrored": "each view alone, and its mirror image",
    "merged": "all views of a frame together",
    "merged, mirrored": "all views of a frame together, and their mirror images",
}


class Hands(NamedTuple):
    """All hands of an evaluation, one for each crop; see `HandCrops`."""

    views: PinholeViews
    hand: Int[np.ndarray, "N"]
    truth_m: Float[np.ndarray, "N 21 3"]
    valid: Bool[np.ndarray, "N 21"]
    appears: Bool[np.ndarray, "N 2"]
    world_from_camera: Float[np.ndarray, "N 4 4"]
    group: Int[np.ndarray, "N"]
    camera: Int[np.ndarray, "N"]


def evaluate_svegonet(
    weights: Path,
    data: Path,
    split: str,
    out: Path,
    cameras: Sequence[str] = (),
    device: Device = "auto",
    progress: Progress = silent,
    subsets: Sequence[Subset] | None = None,
    crops: Path | None = None,
) -> dict[str, Any]:
    """Evaluate SVEgoNet on a split of a store and write scores.json and a page into `out`.

    Args:
        weights: folder of weights or of a training run.
        data, split: what it is shown.
        out: folder for the results.
        cameras: whose pictures; by default all that move.
        device: where to compute.
        progress: told of every recording.
        subsets: what is scored, instead of the whole split.
        crops: folder for crops, which several evaluations may share; by default in `out`.

    Returns:
        What scores.json holds.

    Raises:
        InputError: missing or unfit weights, no such split or camera, no labelled hand.
        OutputError: the results cannot be written.
    """
    store, network = Store(data), SVEgoNet.load(weights, device)
    chosen = ego_cameras(store, cameras)
    subsets = [Subset(numbers_of(store, split))] if subsets is None else subsets
    make_folder(out)
    parts = [
        part
        for subset in subsets
        for part in read_hand_crops(store, chosen, subset, network.config, crops or out / CROPS, 1.0, progress)
    ]
    hands, rows = _gathered(network, parts, chosen)
    found = {}
    for way in ("single", "single, mirrored"):
        said = []
        for done, (part, own) in enumerate(zip(parts, rows)):
            progress(f"evaluate, {way}", done, len(parts))
            said.append(network.hands(part.pictures[own], mirrored="mirrored" in way))
        progress(f"evaluate, {way}", len(parts), len(parts))
        found[way] = EgoHands(*(np.concatenate(values) for values in zip(*said)))
    kind = "simulated " if store.simulated else ""
    scores: dict[str, Any] = {
        "network": network.name,
        "data": f"{kind}{store.layout.dataset} ({data.name}), split {split}, cameras {', '.join(chosen)}",
        "hands": len(hands.hand),
        "hands_in_frames": int(hands.group.max()) + 1,
        "span_mm": [0, ROOT_ALIGNED.top_mm],
        "wrist": "error 0 by construction; counts among the 42 joints of mpjpe_mm, as in the official evaluation",
        "official": _official(hands, found),
        "own_depth": _own(network, hands, found),
        "cameras": _cameras(hands, found["single"], chosen),
        "hand_identity": _identity(hands, found["single"]),
    }
    write_text(out / SCORES, json_text(scores, indent=2) + "\n")
    write_ego_evaluation(out / PAGE, scores, _shots(hands, found["single"], parts, rows), f"SVEgoNet, {weights.name}")
    return scores


def ego_rows(scores: Mapping[str, Any], out: Path) -> tuple[str, Rows]:
    """The scores for the terminal."""
    rows = [
        (f"MPJPE, {WAYS[way]}", f"{values['mpjpe_mm']:.2f} mm, AUC {values['pck_auc']:.3f}")
        for way, values in scores["official"].items()
    ]
    own = scores["own_depth"]["merged, mirrored"]
    rows += [
        ("the same from the hand's size", f"{own['mpjpe_mm']:.2f} mm; wrists off by {own['wrist_mm']:.1f} mm"),
        ("hands named right", f"{100 * scores['hand_identity']['accuracy']:.1f} %"),
        ("hands", f"{scores['hands']} in single views, {scores['hands_in_frames']} in frames"),
        ("results", str(out)),
    ]
    return f"Wrist-relative errors on {scores['data']}", rows


def _gathered(network: SVEgoNet, parts: Sequence[HandCrops], cameras: Sequence[str]) -> tuple[Hands, list[np.ndarray]]:
    """All hands with enough labelled joints in the crop, as the toolkit chooses them, and their rows in each part."""
    rows = []
    for part in parts:
        targets = hand_targets(network.config, part.views, part.joints_m, part.valid, part.hand)
        rows.append(np.flatnonzero(targets.joint_valid.sum(1) >= ENOUGH_JOINTS))
    if not sum(map(len, rows)):
        count = sum(len(part.hand) for part in parts)
        raise InputError(f"not one of {count} hands has {ENOUGH_JOINTS} labelled joints in its crop")

    def joined(value: Callable[[HandCrops], np.ndarray]) -> np.ndarray:
        return np.concatenate([value(part)[own] for part, own in zip(parts, rows)])

    hand, both, valid = joined(lambda p: p.hand), joined(lambda p: p.joints_m), joined(lambda p: p.valid)
    turn, matrix = joined(lambda p: p.views.turn), joined(lambda p: p.views.matrix)
    views = PinholeViews(turn, matrix, joined(lambda p: p.views.valid))
    recording = joined(lambda p: np.full(len(p.hand), p.recording))
    keys = np.stack([recording, joined(lambda p: p.frame), hand], 1)
    each = np.arange(len(hand))
    hands = Hands(
        views,
        hand,
        both[each, hand].astype(np.float64),
        valid[each, hand],
        hand_targets(network.config, views, both, valid, hand).hands[:, ::-1],
        joined(lambda p: p.world_from_camera),
        np.unique(keys, axis=0, return_inverse=True)[1].ravel(),
        joined(lambda p: np.full(len(p.hand), cameras.index(p.camera))),
    )
    return hands, rows


def _with_true_depth(hands: Hands, said: EgoHands) -> tuple[OneHand, Float[np.ndarray, "N 21 3"]]:
    """The official way: back-projected with the true depth of the wrist."""
    one = one_hand(said, hands.hand)
    wrist = hands.views.project(hands.truth_m)[1][:, WRIST]
    return one, hands.views.back_project(one.keypoints_px, one.depth_m + wrist[:, None])


def _official(hands: Hands, found: Mapping[str, EgoHands]) -> dict[str, dict[str, float]]:
    scores = {}
    for way, said in found.items():
        one, joints = _with_true_depth(hands, said)
        scores[way] = wrist_relative_scores(_errors(hands, joints), ROOT_ALIGNED)
        merged, _ = _merged(hands, joints, one.confidence)
        scores[way.replace("single", "merged")] = wrist_relative_scores(merged, ROOT_ALIGNED)
    return {way: scores[way] for way in WAYS}


def _own(network: SVEgoNet, hands: Hands, found: Mapping[str, EgoHands]) -> dict[str, dict[str, float]]:
    """With the depth that the size of the hand says: nothing of the truth goes in."""
    scores = {}
    for way, said in found.items():
        one = one_hand(said, hands.hand)
        depth, _ = wrist_depths(hands.views, one, network.bones_m)
        joints = hands.views.back_project(one.keypoints_px, one.depth_m + depth[:, None])
        off = np.linalg.norm(joints[:, WRIST] - hands.truth_m[:, WRIST], axis=-1)
        alone = np.where(hands.valid[:, WRIST], off, np.nan)
        merged, together = _merged(hands, joints, one.confidence)
        for name, errors, wrists in (
            (way, _errors(hands, joints), alone),
            (way.replace("single", "merged"), merged, together),
        ):
            scores[name] = wrist_relative_scores(errors, ROOT_ALIGNED) | {"wrist_mm": 1000 * float(known_mean(wrists))}
    return {way: scores[way] for way in WAYS}


def _errors(hands: Hands, joints: Float[np.ndarray, "N 21 3"]) -> Float[np.ndarray, "N 2 21"]:
    return wrist_relative_errors(joints, hands.truth_m, hands.valid, hands.hand)


def _merged(
    hands: Hands, joints: Float[np.ndarray, "N 21 3"], confidence: Float[np.ndarray, "N 21"]
) -> tuple[Float[np.ndarray, "G 2 21"], Float[np.ndarray, "G"]]:
    """Errors of hands that all views of a frame say together, and of their wrists in the world."""
    merged = merge_views(joints, confidence, hands.world_from_camera, hands.group)
    first = np.unique(hands.group, return_index=True)[1]
    poses = hands.world_from_camera[first]
    truth = hands.truth_m[first] @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    valid = hands.valid[first]
    errors = wrist_relative_errors(merged.relative_m, truth, valid, hands.hand[first])
    off = np.linalg.norm(merged.wrist_m - truth[:, WRIST], axis=-1)
    return errors, np.where(valid[:, WRIST], off, np.nan)


def _cameras(hands: Hands, said: EgoHands, names: Sequence[str]) -> dict[str, dict[str, float]]:
    errors = _errors(hands, _with_true_depth(hands, said)[1])
    return {
        name: wrist_relative_scores(errors[hands.camera == k], ROOT_ALIGNED) | {"hands": int((hands.camera == k).sum())}
        for k, name in enumerate(names)
        if (hands.camera == k).any()
    }


def _identity(hands: Hands, said: EgoHands) -> dict[str, Any]:
    """How often left, right or both is named as it is; of crops that the network was to learn it on."""
    right = ((said.hands > 0.5) == hands.appears).all(1)
    both = hands.appears.all(1)
    sides = {HANDS[side]: ~both & hands.appears[:, side] for side in range(len(HANDS))} | {"both": both}
    each = {
        name: {"crops": int(rows.sum()), "accuracy": float(right[rows].mean())}
        for name, rows in sides.items()
        if rows.any()
    }
    return {"accuracy": float(right.mean()), **each}


def _shots(hands: Hands, said: EgoHands, parts: Sequence[HandCrops], rows: Sequence[np.ndarray]) -> list[Shot]:
    """Crops from the worst to the best in the picture, evenly chosen."""
    one = one_hand(said, hands.hand)
    truth, _ = hands.views.project(hands.truth_m)
    off = known_mean(np.where(hands.valid, np.linalg.norm(one.keypoints_px - truth, axis=-1), np.nan), 1)
    places = [(part, int(row)) for part, own in zip(parts, rows) for row in own]
    order = np.argsort(-off)
    shots = []
    for k in order[np.unique(np.linspace(0, len(order) - 1, min(SHOTS, len(order))).astype(int))]:
        hand, (part, row) = int(hands.hand[k]), places[k]
        picture = np.asarray(part.pictures[row])
        caption = f"{HANDS[hand]} hand, {off[k]:.1f} px of {len(picture)}"
        shots.append(Shot(picture, hand, one.keypoints_px[k], truth[k], hands.valid[k], caption))
    return shots
