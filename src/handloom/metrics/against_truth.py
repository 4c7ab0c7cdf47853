"""A record against the truth of the same frames: joint errors in metres, hands found, labels that agree.

`truth` has a row for every frame of the record (see `tracking.truth`); what it does not know counts nowhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import InputError
from handloom.hands import HandTrack
from handloom.metrics.labels import action_per_frame, object_per_frame
from handloom.metrics.means import known_mean
from handloom.metrics.pose import joint_errors, mepe, root_aligned_errors
from handloom.metrics.segments import SegmentScore, match_segments
from handloom.skeleton import HANDS


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a record has right and wrong, frame by frame.

    Attributes:
        error_m: distance of every joint from its true place, in the records' frame; NaN where either lacks it.
        aligned_m: the root-aligned error of `metrics.pose`, the wrist being the root.
        expected, found: the hands that truth shows in the picture, and which of them the record has.
        same_object, same_action: whether the record names the true one, in frames where truth names one; None if
            the record or the truth has no such labels. A frame without an estimate counts as wrong.
        segments: actions of the record that overlap a true one of their label by half; None as for `same_action`.
    """

    error_m: Float[np.ndarray, "T 2 21"]
    aligned_m: Float[np.ndarray, "T 2 21"]
    expected: Bool[np.ndarray, "T 2"]
    found: Bool[np.ndarray, "T 2"]
    same_object: Bool[np.ndarray, "frames_with_object"] | None
    same_action: Bool[np.ndarray, "frames_with_action"] | None
    segments: SegmentScore | None

    @property
    def error_mm(self) -> Float[np.ndarray, "T 2"]:
        """Mean joint error of each hand in each frame, millimetres."""
        return 1000 * known_mean(self.error_m, axis=2)

    @property
    def aligned_mm(self) -> Float[np.ndarray, "T 2"]:
        """Mean wrist-aligned error of the 20 other joints, millimetres."""
        return 1000 * known_mean(self.aligned_m, axis=2)

    def summary(self) -> dict[str, Any]:
        """For run.json. Errors are averaged as by `pose.mepe`; None is what cannot be known."""
        return {
            "mpjpe_mm": _per_hand(1000 * self.error_m),
            "mpjpe_wrist_aligned_mm": _per_hand(1000 * self.aligned_m),
            "hands_expected": int(self.expected.sum()),
            "hands_found": int(self.found.sum()),
            "object_accuracy": _share(self.same_object),
            "action_accuracy": _share(self.same_action),
            "action_f1_at_50": None if self.segments is None else self.segments.f1,
        }


def compare(track: HandTrack, truth: HandTrack) -> Comparison:
    """Compare a record with the truth of the same frames.

    Raises:
        InputError: another number of frames, or another space.
    """
    if len(track) != len(truth) or track.frame != truth.frame:
        raise InputError(
            f"a record of {len(track)} frames in {track.frame} space cannot be compared with a truth of "
            f"{len(truth)} in {truth.frame} space"
        )
    joints = track.joints_m.astype(np.float64), truth.joints_m.astype(np.float64), track.valid & truth.valid
    expected = truth.present & _in_picture(truth)
    same_action = _agreement(action_per_frame(track), action_per_frame(truth))
    return Comparison(
        error_m=joint_errors(*joints),
        aligned_m=root_aligned_errors(*joints),
        expected=expected,
        found=expected & track.present,
        same_object=_agreement(object_per_frame(track), object_per_frame(truth)),
        same_action=same_action,
        segments=None if same_action is None else match_segments(track.actions, truth.actions),
    )


def _in_picture(truth: HandTrack) -> np.ndarray:
    """Hands of which the camera sees a joint at all; without a camera all of them."""
    if truth.camera is None:
        return np.ones((len(truth), 2), bool)
    size = np.array([truth.camera.width, truth.camera.height])
    pixels = truth.keypoints_px
    return np.asarray(((pixels >= -0.5) & (pixels < size - 0.5)).all(-1).any(-1))


def _agreement(found: np.ndarray, true: np.ndarray) -> np.ndarray | None:
    known = np.array([name is not None for name in true], bool)
    if not known.any() or all(name is None for name in found):
        return None
    return np.asarray(found[known] == true[known])


def _per_hand(values: np.ndarray) -> dict[str, float | None]:
    means = {name: mepe(values[:, hand]) for hand, name in enumerate(HANDS)} | {"both": mepe(values)}
    return {name: mean if np.isfinite(mean) else None for name, mean in means.items()}


def _share(same: np.ndarray | None) -> float | None:
    return None if same is None else float(same.mean())
