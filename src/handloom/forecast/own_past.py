"""What block P foretold in a track's own past, and what came of it, taken into account for what comes.

A network foretells the motion that it was trained on; people, tasks and trackers differ, and on another's recordings
hands that stay may be the better forecast. So each joint's way from where it was last is a weighted sum of several: the
way that P foretells; those that it came in the last 1, 2, 4, 8 and 15 frames; those back to where it was on average in
the last 3 and 10 s; and what came of the moments of the past that were most like this one (`alike.py`). The weights,
one set for every frame ahead, are fitted to all windows of the past whose future has come (ridge regression; a window
counts the less, the more moved in it). There are two such sets, for the wrist and for the joints about it, shared by
hands, joints and axes, so that nothing depends on how the frame lies. Where there is no past, P's way counts by half.
Not in the paper.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.datasets.motion_clips import MotionClips
from handloom.datasets.motions import MotionRecording
from handloom.forecast.alike import Moments
from handloom.forecast.observed import last_clip, observed_sizes, own_shape
from handloom.forecast.paths import predict_short
from handloom.geometry.motion_features import LOCAL_JOINTS, joints_from_features
from handloom.metrics.means import known_mean
from handloom.models.ghtt_pose import PoseBlock
from handloom.skeleton import BONES, WRIST, bone_lengths

_LAGS = (1, 2, 4, 8, 15)
_MEANS = (90, 300)
_WAYS = 1 + len(_LAGS) + len(_MEANS) + 1
STEP = 8
"""Frames between the windows of the past."""
FRAMES = 30
"""So far ahead ways are weighed; behind it the weights stay."""
LONGEST_PAST = 900
"""Frames of the past that count: 30 s."""
_PRIOR = 0.5
_STRENGTHS = np.array([1.0, *[5.0] * (_WAYS - 2), 10.0])
"""Windows of the past that weigh as much as the prior: of P's way, of those that joints came, of moments alike."""
_STILL_M = 0.01
_BATCH = 64


@dataclass(frozen=True, eq=False)
class OwnPast:
    """What was foretold in W windows of a recording, as the normal equations of the weights.

    Attributes:
        starts: first frames that were foretold, increasing.
        moments: the last frames before them.
        squares, products: of the wrist and of the joints about it.
    """

    starts: Int[np.ndarray, "W"]
    moments: Moments
    squares: Float[np.ndarray, "W 2 frames ways ways"]
    products: Float[np.ndarray, "W 2 frames ways"]

    @classmethod
    def of(cls, block: PoseBlock, recording: MotionRecording) -> "OwnPast":
        """Foretell what is known by now, everywhere in a recording, its last frames excepted."""
        t, joints, present = block.config.clip_frames, recording.joints_m, recording.motion.present
        starts = np.array(
            [s for s in range(t, len(recording), STEP) if present[s - t : s].all(0).any()], int
        )  # fmt: skip
        moments = Moments.of(joints, starts, FRAMES)
        squares = np.zeros((len(starts), 2, FRAMES, _WAYS, _WAYS))
        products = np.zeros(squares.shape[:-1])
        for first in range(0, len(starts), _BATCH):
            rows = slice(first, first + _BATCH)
            foretold = _foretold(block, recording, starts[rows])
            for row, start in enumerate(starts[rows].tolist(), first):
                whole = np.asarray(present[start - t : start].all(0))
                came = joints[start : start + FRAMES] - joints[start - 1]
                alike = moments.way(joints[:start], start, start - LONGEST_PAST)
                ways = _ways(foretold[row - first, : len(came)] - joints[start - 1], alike[: len(came)], joints[:start])
                came = np.where(whole[:, None, None], came, np.nan)
                squares[row, :, : len(came)], products[row, :, : len(came)] = _normal_equations(ways, came)
        return cls(starts, moments, squares, products)

    def weights(self, now: int) -> Float[np.ndarray, "2 frames ways"]:
        """Of P's way and of the ways that joints came, from what has come before frame `now`."""
        ahead = np.arange(FRAMES)
        recent = self.starts >= now - LONGEST_PAST
        counted = (recent[:, None] & (self.starts[:, None] + ahead < now))[:, None, :, None]
        A = (self.squares * counted[..., None]).sum(0)
        b = (self.products * counted).sum(0)
        # The prior is as sure of each way as so many windows are on average.
        windows = np.maximum(counted.sum(0), 1)
        ridge = _STRENGTHS * np.diagonal(A, axis1=-2, axis2=-1) / windows + 1e-9
        prior = np.zeros(A.shape[-1])
        prior[0] = _PRIOR
        solved = np.linalg.solve(A + ridge[..., None] * np.eye(len(prior)), (b + ridge * prior)[..., None])
        return np.asarray(solved[..., 0])

    def corrected(
        self, foretold: Float[np.ndarray, "samples frames 2 21 3"], past: Float[np.ndarray, "now 2 21 3"]
    ) -> Float[np.ndarray, "samples frames 2 21 3"]:
        """Futures as the past teaches; bones stay as long as in the last frame. Joints not seen there stay P's.

        Args:
            foretold: by P.
            past: the joints of the recording up to now, all of them.
        """
        now, ahead = len(past), np.minimum(np.arange(foretold.shape[1]), FRAMES - 1)
        weights = self.weights(now)[:, ahead]
        alike = self.moments.way(past, now, now - LONGEST_PAST)[ahead]
        out = []
        for sample in foretold:
            ways = _ways(sample - past[-1], alike, past)
            parts = [np.einsum("fw,wf...->f...", w, np.nan_to_num(part)) for w, part in zip(weights, ways)]
            wrist = parts[0]
            moved = past[-1] + wrist + np.concatenate([np.zeros_like(wrist), parts[1]], -2)
            out.append(np.where(np.isfinite(moved), with_bones(moved, past[-1], sample), sample))
        return np.stack(out)


def with_bones(
    joints: Float[np.ndarray, "frames 2 21 3"],
    like: Float[np.ndarray, "2 21 3"],
    instead: Float[np.ndarray, "frames 2 21 3"],
) -> Float[np.ndarray, "frames 2 21 3"]:
    """Hands with bones as long as those of others, in their own directions from the wrist on.

    A joint that is not known in `joints` is that of `instead`; a bone that is not known in `like` keeps its length.
    """
    joints = np.where(np.isfinite(joints), joints, instead)
    out, lengths = joints.copy(), bone_lengths(like)
    for bone, (parent, child) in enumerate(BONES):
        way = joints[..., child, :] - joints[..., parent, :]
        length = np.linalg.norm(way, axis=-1, keepdims=True)
        wanted = np.where(np.isfinite(lengths[:, bone, None]), lengths[:, bone, None], length)
        scale = np.where(length > 1e-6, wanted / np.maximum(length, 1e-6), 1.0)
        out[..., child, :] = out[..., parent, :] + way * scale
    return out


def _foretold(
    block: PoseBlock, recording: MotionRecording, starts: Int[np.ndarray, "W"]
) -> Float[np.ndarray, "W frames 2 21 3"]:
    t = block.config.clip_frames
    parts = [recording.motion.part(slice(start - t, start)) for start in starts.tolist()]
    clips = MotionClips(*(np.concatenate(values) for values in zip(*(last_clip(part, t) for part in parts))))
    features = predict_short(block, clips.features, clips.known, -(-FRAMES // t))[:, :FRAMES]
    features[..., LOCAL_JOINTS] += own_shape(block, clips)[:, None]
    base = np.stack([part.camera_from_hand[-1] for part in parts])
    sizes = np.stack([observed_sizes(part, t) for part in parts])[:, None]
    return joints_from_features(features, base, sizes)


def _ways(
    foretold: Float[np.ndarray, "frames 2 21 3"],
    alike: Float[np.ndarray, "frames 2 21 3"],
    past: Float[np.ndarray, "t 2 21 3"],
) -> tuple[Float[np.ndarray, "ways frames 2 1 3"], Float[np.ndarray, "ways frames 2 20 3"]]:
    """All ways, of the wrist and of the others about it, from P's and that of the moments alike."""
    came = [past[-1] - past[max(len(past) - 1 - lag, 0)] for lag in _LAGS]
    back = [known_mean(past[-frames:]) - past[-1] for frames in _MEANS]
    same = np.broadcast_to(np.stack(came + back)[:, None], (len(came) + len(back), *foretold.shape))
    ways = np.concatenate([foretold[None], same, alike[None]])
    wrist = ways[..., WRIST : WRIST + 1, :]
    return wrist, ways[..., WRIST + 1 :, :] - wrist


def _normal_equations(
    ways: tuple[np.ndarray, np.ndarray], came: Float[np.ndarray, "frames 2 21 3"]
) -> tuple[Float[np.ndarray, "2 frames ways ways"], Float[np.ndarray, "2 frames ways"]]:
    wrist = came[..., WRIST : WRIST + 1, :]
    squares, products = [], []
    for way, truth in zip(ways, (wrist, came[..., WRIST + 1 :, :] - wrist)):
        known: Bool[np.ndarray, "frames 2 n 3"] = np.isfinite(truth) & np.isfinite(way).all(0)
        x = np.where(known, way, 0).reshape(*way.shape[:2], -1)
        y = np.where(known, truth, 0).reshape(len(truth), -1)
        counts = 1 / (np.linalg.norm(y, axis=-1) + _STILL_M)
        squares.append(np.einsum("pfx,qfx,f->fpq", x, x, counts))
        products.append(np.einsum("pfx,fx,f->fp", x, y, counts))
    return np.stack(squares), np.stack(products)
