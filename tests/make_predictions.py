"""Made-up predictions: hands that move, a model that errs by known amounts."""

from typing import Any

import numpy as np

from handloom.formats.h2o_classes import ACTIONS, OBJECTS
from handloom.metrics.predictions import Predictions
from handloom.skeleton import HANDS
from make_track import hand_shape, turn

H2O_ACTIONS = tuple(f"{verb} {noun}" for verb, noun in ACTIONS)


def predicted_fields(
    videos: int = 24, frames: int = 20, hands: tuple[str, ...] = HANDS, seed: int = 0
) -> dict[str, Any]:
    """Fields of `Predictions` on H2O's classes: two clips a video, right for two videos in three, and early ones."""
    random = np.random.default_rng(seed)
    N, H, A = videos * frames, len(hands), len(H2O_ACTIONS)
    t = np.arange(N) / 30
    sides = np.array([-1 if hand == "left" else 1 for hand in hands])
    truth = np.stack([hand_shape(0.4 + 0.3 * np.sin(t + side)) * [side, 1, 1] for side in sides], axis=1)
    truth = truth @ turn(0.4 * np.sin(t), 0.7 + 0 * t)[:, None].swapaxes(-1, -2)
    truth += np.stack([0.12 * sides, 0.05 + 0 * sides, 0.45 + 0.02 * sides], axis=1)[:, None]
    size = random.uniform(0.002, 0.02, videos).repeat(frames)[:, None, None, None]
    joints = truth + size * random.normal(size=truth.shape) + 2 * size * random.normal(size=(N, H, 1, 3))
    valid = np.broadcast_to(random.random((N, H, 1)) > 0.05, (N, H, 21)).copy()
    action = random.integers(0, A, videos)
    confused = np.where(random.random(videos) < 0.7, action, (action + random.integers(1, 9, videos)) % A)
    clip_video = np.arange(videos).repeat(2)
    fractions = np.linspace(0.1, 1, 10)
    held = np.array([OBJECTS.index(ACTIONS[label][1]) for label in action], int).repeat(frames)
    seen = np.where(random.random(N) < 0.9, held, random.integers(0, len(OBJECTS), N))
    return {
        "data": "made-up hands",
        "hands": hands,
        "video_names": tuple(f"subject4/h1/{video}" for video in range(videos)),
        "frame_video": np.arange(videos).repeat(frames),
        "frame_index": np.tile(np.arange(frames), videos) + 100,
        "joints_m": joints,
        "truth_m": truth,
        "valid": valid,
        "keypoints_px": _project(joints),
        "truth_px": _project(truth),
        "object_names": OBJECTS,
        "object_probabilities": _peaked(seen, len(OBJECTS), 3, random),
        "object_truth": held,
        "action_names": H2O_ACTIONS,
        "clip_video": clip_video,
        "action_probabilities": _peaked(confused[clip_video], A, 5, random),
        "action_truth": action,
        "early_fractions": fractions,
        "early_probabilities": np.stack([_peaked(confused, A, 7 * fraction, random) for fraction in fractions], axis=1),
    }


def make_predictions(**options: Any) -> Predictions:
    """The record of `predicted_fields`."""
    return Predictions(**predicted_fields(**options))


def _project(joints: np.ndarray) -> np.ndarray:
    return 240 * joints[..., :2] / joints[..., 2:] + [239.5, 134.5]


def _peaked(classes: np.ndarray, count: int, height: float, random: np.random.Generator) -> np.ndarray:
    logits = random.normal(size=(len(classes), count))
    logits[np.arange(len(classes)), classes] += height
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)
