"""HTT's predictions on a split of a store, by its own protocol: each frame once, each video by its clips' vote."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from handloom.datasets.classes import ClassRows, class_rows
from handloom.datasets.clips import consecutive_clips, recordings_of, spans_of
from handloom.datasets.loader import Clip, ClipDataset
from handloom.datasets.resize import pinhole, resized
from handloom.datasets.store import Store
from handloom.datasets.windows import Windows, htt_windows
from handloom.estimators.htt_network import HTTNetwork
from handloom.metrics.predictions import Predictions
from handloom.progress import Progress, silent
from handloom.skeleton import HANDS

CHUNK = 64
EARLY = np.linspace(0.1, 1, 10, dtype=np.float32)
"""Shares of a video after which the action is asked for."""

KnownFeatures = Callable[[int], Float[np.ndarray, "frames width"]]


class Video(NamedTuple):
    """A labelled stretch of a recording: what HTT calls a video; `segment` is the number of what labels it."""

    recording: int
    start: int
    end: int
    segment: int | None = None


class Predicted(NamedTuple):
    """What a network says of one video: per frame, per clip, and after each share in `EARLY`."""

    clip: Clip
    joints_m: Float[np.ndarray, "L H 21 3"]
    keypoints_px: Float[np.ndarray, "L H 21 2"]
    objects: Float[np.ndarray, "L objects"]
    actions: Float[np.ndarray, "C actions"]
    early: Float[np.ndarray, "shares actions"]
    features: Float[np.ndarray, "L width"]
    windows: Windows


def videos_of(store: Store, split: str) -> list[Video]:
    """The videos of a split, in order. Raises InputError: the store has no such split."""
    return [Video(recording.index, *span) for recording in recordings_of(store, split) for span in spans_of(recording)]


def predict_video(
    network: HTTNetwork, store: Store, camera: str, video: Video, known: KnownFeatures | None = None
) -> Predicted:
    """Run the network over a video: every picture through the backbone once, or not at all if features are known.

    Raises:
        InputError: the video cannot be read, or its camera is no pinhole.
    """
    frames = np.arange(video.start, video.end)
    chunks = consecutive_clips(video.recording, frames, CHUNK, video.segment)
    dataset = ClipDataset(store.root, camera, chunks, decode=known is None)
    clips = [resized(dataset[k], network.layout.image_size) for k in range(len(chunks))]
    if known is None:
        features = np.concatenate([network.features(clip.pictures) for clip in clips])
    else:
        features = known(video.recording)[frames]
    intrinsics = pinhole(clips[0].camera, camera).matrix
    layout = network.layout
    windows = htt_windows(len(frames), False, layout.clip_frames, layout.spacing, layout.pose_window)
    L, H = len(frames), len(layout.hands)
    joints, keypoints = np.zeros((L, H, 21, 3), np.float32), np.zeros((L, H, 21, 2), np.float32)
    objects = np.zeros((L, len(layout.objects)), np.float32)
    actions, tokens = [], []
    for window, valid in zip(*windows):
        poses = network.poses(features[window][None], valid[None], intrinsics)
        rows = window[valid]
        joints[rows], keypoints[rows] = poses.joints_m[0, valid], poses.keypoints_px[0, valid]
        objects[rows] = poses.object_probabilities[0, valid]
        actions.append(network.action(poses.tokens, valid[None])[0])
    for tenth in range(1, len(EARLY) + 1):
        tokens.append(_after(network, features, windows, intrinsics, -(-tenth * L // len(EARLY))))
    numbers = _joined(clips)
    return Predicted(numbers, joints, keypoints, objects, np.stack(actions), np.stack(tokens), features, windows)


def predict(
    network: HTTNetwork,
    store: Store,
    camera: str,
    split: str,
    data: str,
    progress: Progress = silent,
    each: Callable[[int, Predicted], None] = lambda number, found: None,
    known: KnownFeatures | None = None,
) -> tuple[Predictions, list[Video]]:
    """Predictions of a network on a split.

    Args:
        network: trained, with the classes of the store.
        store, camera, split: what it is shown.
        data: the split in words, for the record.
        progress: told of every video.
        each: given the number of every video and all that was found, more than the predictions keep.
        known: features of all frames of a recording by its number, where the backbone has seen them before.

    Raises:
        InputError: no such split, classes that the network does not know, unreadable pictures.
    """
    rows = class_rows(store, network.layout.actions, network.layout.objects)
    videos = videos_of(store, split)
    parts: list[dict[str, np.ndarray]] = []
    for number, video in enumerate(videos):
        progress("evaluate", number, len(videos))
        found = predict_video(network, store, camera, video, known)
        each(number, found)
        parts.append(_columns(network, found, number, rows))
    progress("evaluate", len(videos), len(videos))
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    names = tuple(f"{store.recordings[v.recording].name}, frames {v.start} to {v.end - 1}" for v in videos)
    predictions = Predictions(
        data=data,
        hands=network.layout.hands,
        video_names=names,
        object_names=network.layout.objects,
        action_names=network.layout.actions,
        early_fractions=EARLY,
        **together,
    )
    return predictions, videos


def _columns(network: HTTNetwork, found: Predicted, number: int, rows: ClassRows) -> dict[str, np.ndarray]:
    clip = found.clip
    hands = [HANDS.index(hand) for hand in network.layout.hands]
    kept = clip.pictured
    count = int(kept.sum())
    # A joint behind the camera plane is in no picture; its keypoint means nothing.
    valid = clip.joints_valid[:, hands] & (clip.joints_m[:, hands][..., 2] > 0)
    return {
        "frame_video": np.full(count, number),
        "frame_index": clip.frames[kept],
        "joints_m": found.joints_m[kept],
        "truth_m": clip.joints_m[:, hands][kept],
        "valid": valid[kept],
        "keypoints_px": found.keypoints_px[kept],
        "truth_px": clip.keypoints_px[:, hands][kept],
        "object_probabilities": found.objects[kept],
        "object_truth": rows.objects[clip.object[kept]],
        "clip_video": np.full(len(found.actions), number),
        "action_probabilities": found.actions,
        "action_truth": rows.actions[clip.action[:1]],
        "early_probabilities": found.early[None],
    }


def _after(
    network: HTTNetwork, features: np.ndarray, windows: Windows, intrinsics: np.ndarray, seen: int
) -> Float[np.ndarray, "actions"]:
    """Mean probabilities of the clips of a video of which the first `seen` frames are known."""
    known: Bool[np.ndarray, "C T"] = windows.valid & (windows.frames < seen)
    found = []
    for window, valid in zip(windows.frames, known):
        if valid.any():
            tokens = network.poses(features[window][None], valid[None], intrinsics).tokens
            found.append(network.action(tokens, valid[None])[0])
    return np.asarray(np.mean(found, 0))


def _joined(clips: Sequence[Clip]) -> Clip:
    """The numbers of consecutive clips, without their pictures."""
    names = [name for name in Clip._fields if name not in ("pictures", "camera", "recording")]
    arrays: dict[str, Any] = {name: np.concatenate([getattr(clip, name) for clip in clips]) for name in names}
    return clips[0]._replace(pictures=np.empty((len(arrays["frames"]), 0, 0, 3), np.uint8), **arrays)
