"""`Predictions`: what a model said about a test set, beside the truth: all that an evaluation needs."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import RecordError
from handloom.skeleton import HANDS, JOINT_COUNT


@dataclass(frozen=True, eq=False)
class Predictions:
    """Poses of N frames, actions of C clips, all belonging to V videos. H hands, 21 joints, A actions, O objects.

    Every frame stands here once: those that pad a clip do not. Truth under invalid joints is wiped on construction.

    Attributes:
        data: on what was predicted, in words: "simulated H2O, test (subject4)".
        hands: names along axis H: ("left", "right") or one of them.
        video_names: recording of each video.
        frame_video, frame_index: of each frame its video, and its number in the recording.
        joints_m, truth_m: camera space, metres (x right, y down, z forward). The truth is NaN where not valid.
        valid: which joints have a truth; only these are scored, and the prediction must be finite there.
        keypoints_px, truth_px: the same in the image, pixels; NaN where there is none.
        object_names, object_probabilities, object_truth: what is held; -1 for nothing or unknown. No names, no objects.
        action_names, clip_video, action_probabilities: softmax output per clip and the clip's video.
        action_truth: action of each video, -1 where it is withheld.
        early_fractions, early_probabilities: action probabilities once that share of each video was seen, where known.

    Raises:
        RecordError: arrays that do not belong together, or numbers where none may be.
    """

    data: str
    hands: tuple[str, ...]
    video_names: tuple[str, ...]
    frame_video: Int[np.ndarray, "N"]
    frame_index: Int[np.ndarray, "N"]
    joints_m: Float[np.ndarray, "N H 21 3"]
    truth_m: Float[np.ndarray, "N H 21 3"]
    valid: Bool[np.ndarray, "N H 21"]
    keypoints_px: Float[np.ndarray, "N H 21 2"]
    truth_px: Float[np.ndarray, "N H 21 2"]
    object_names: tuple[str, ...]
    object_probabilities: Float[np.ndarray, "N O"]
    object_truth: Int[np.ndarray, "N"]
    action_names: tuple[str, ...]
    clip_video: Int[np.ndarray, "C"]
    action_probabilities: Float[np.ndarray, "C A"]
    action_truth: Int[np.ndarray, "V"]
    early_fractions: Float[np.ndarray, "F"] | None = None
    early_probabilities: Float[np.ndarray, "V F A"] | None = None

    def __post_init__(self) -> None:
        for name in ("hands", "video_names", "object_names", "action_names"):
            object.__setattr__(self, name, tuple(map(str, getattr(self, name))))
        if self.hands not in (HANDS, HANDS[:1], HANDS[1:]):
            raise RecordError(f'hands must be ("left", "right") or one of the two, found {self.hands}')
        for name in ("object_names", "action_names"):
            names = getattr(self, name)
            if len(set(names)) < len(names):
                twice = next(entry for entry in names if names.count(entry) > 1)
                raise RecordError(f"{name} holds {twice!r} twice; names tell classes apart")
        if (self.early_fractions is None) != (self.early_probabilities is None):
            raise RecordError("early_fractions and early_probabilities belong together; give both or none")
        self._shape()
        self._check_numbers()
        for name in ("truth_m", "truth_px"):
            getattr(self, name)[~self.valid] = np.nan
        for field in fields(self):
            if isinstance(array := getattr(self, field.name), np.ndarray):
                array.setflags(write=False)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_video)

    def __repr__(self) -> str:
        return (
            f"Predictions({self.data!r}: {len(self)} frames, {len(self.hands)} hands, {len(self.clip_video)} clips, "
            f"{len(self.video_names)} videos, {len(self.action_names)} actions, {len(self.object_names)} objects)"
        )

    def _shape(self) -> None:
        """Copies of the arrays in their own type, of the shapes that follow from names and frames."""
        N, H, V = len(np.atleast_1d(self.frame_video)), len(self.hands), len(self.video_names)
        C, A, O = len(np.atleast_1d(self.clip_video)), len(self.action_names), len(self.object_names)  # noqa: E741
        F = 0 if self.early_fractions is None else len(np.atleast_1d(self.early_fractions))
        hands = (N, H, JOINT_COUNT)
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "frame_video": ((N,), np.int64),
            "frame_index": ((N,), np.int64),
            "joints_m": ((*hands, 3), np.float32),
            "truth_m": ((*hands, 3), np.float32),
            "valid": (hands, np.bool_),
            "keypoints_px": ((*hands, 2), np.float32),
            "truth_px": ((*hands, 2), np.float32),
            "object_probabilities": ((N, O), np.float32),
            "object_truth": ((N,), np.int64),
            "clip_video": ((C,), np.int64),
            "action_probabilities": ((C, A), np.float32),
            "action_truth": ((V,), np.int64),
            "early_fractions": ((F,), np.float32),
            "early_probabilities": ((V, F, A), np.float32),
        }
        for name, (shape, kind) in shapes.items():
            if (value := getattr(self, name)) is None:
                continue
            array = np.array(value)
            if array.shape != shape:
                raise RecordError(f"{name} must have shape {shape}, found {array.shape}")
            if not _fits(array, kind):
                raise RecordError(f"{name} must hold {_WORDS[kind]}, found {array.dtype}")
            object.__setattr__(self, name, array.astype(kind))

    def _check_numbers(self) -> None:
        V = len(self.video_names)
        for name, low, high, what in (
            ("frame_video", 0, V, "videos"),
            ("clip_video", 0, V, "videos"),
            ("object_truth", -1, len(self.object_names), "objects"),
            ("action_truth", -1, len(self.action_names), "actions"),
        ):
            values = getattr(self, name)
            if len(values) and not (values.min() >= low and values.max() < high):
                raise RecordError(
                    f"{name} must lie in {low} ... {high - 1} ({high} {what}), found {values.min()} ... {values.max()}"
                )
        if len(self.action_names) and (missing := set(range(V)) - set(self.clip_video.tolist())):
            raise RecordError(f"video {min(missing)} ({self.video_names[min(missing)]}) has no clip, so no action")
        places, counts = np.unique(np.stack([self.frame_video, self.frame_index]), axis=1, return_counts=True)
        if (counts > 1).any():
            video, index = places[:, counts.argmax()]
            raise RecordError(
                f"frame {index} of video {video} ({self.video_names[video]}) occurs {counts.max()} times; "
                "every frame counts once, and those that pad a clip do not"
            )
        for name in ("joints_m", "truth_m"):
            bad = self.valid & ~np.isfinite(getattr(self, name)).all(-1)
            if bad.any():
                frame, hand, joint = np.argwhere(bad)[0]
                raise RecordError(
                    f"{name} is not finite at frame {frame}, {self.hands[hand]} hand, joint {joint}, which is marked "
                    f"valid ({int(bad.sum())} such joints); valid says which joints have a truth, and each needs both"
                )
        for name in ("object_probabilities", "action_probabilities", "early_probabilities"):
            _check_distribution(name, getattr(self, name))
        if self.early_fractions is not None and not (
            (self.early_fractions > 0).all()
            and (self.early_fractions <= 1).all()
            and (np.diff(self.early_fractions) > 0).all()
        ):
            raise RecordError(f"early_fractions must increase within 0 ... 1, found {self.early_fractions.tolist()}")


_WORDS = {np.int64: "integers", np.float32: "numbers", np.bool_: "booleans"}


def _fits(array: np.ndarray, kind: Any) -> bool:
    return array.dtype.kind in {np.int64: "iu", np.float32: "fiu", np.bool_: "b"}[kind]


def _check_distribution(name: str, values: np.ndarray | None) -> None:
    if values is None or not values.size:
        return
    if not (np.isfinite(values).all() and values.min() >= 0 and np.allclose(values.sum(-1), 1, atol=1e-3)):
        row = np.argwhere(~((values >= 0).all(-1) & (np.abs(values.sum(-1) - 1) <= 1e-3)))[0]
        raise RecordError(
            f"{name} must be softmax probabilities, at least 0 and together 1; those of row "
            f"{', '.join(map(str, row))} sum to {values[tuple(row)].sum():.4g}"
        )
