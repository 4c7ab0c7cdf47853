"""Errors of single hands relative to their wrists, as the evaluation of AssemblyHands' toolkit defines them.

Prediction and truth are each counted from their own wrist; no rotation, no scale. `mepe` of these errors is the
official MPJPE: the mean over 42 joints, of which the two wrists have error 0 by construction. Over the 40 others it is
42/40 as large.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.metrics.pose import PCKRange, auc, mepe, pck
from handloom.skeleton import HANDS, WRIST


def wrist_relative_errors(
    predicted_m: Float[np.ndarray, "N 21 3"],
    truth_m: Float[np.ndarray, "N 21 3"],
    valid: Bool[np.ndarray, "N 21"],
    hand: Int[np.ndarray, "N"],
) -> Float[np.ndarray, "N 2 21"]:
    """Errors of N hands, each of one side; NaN for the other side and for joints that are not valid.

    The wrist, whether valid or not, is where its coordinates say.
    """
    off = (predicted_m - predicted_m[:, WRIST : WRIST + 1]) - (truth_m - truth_m[:, WRIST : WRIST + 1])
    errors = np.full((len(hand), len(HANDS), off.shape[1]), np.nan)
    errors[np.arange(len(hand)), hand] = np.where(valid, np.linalg.norm(off, axis=-1), np.nan)
    return errors


def wrist_relative_scores(errors: Float[np.ndarray, "N 2 21"], span: PCKRange) -> dict[str, float]:
    """The official MPJPE, that without the wrists, and the AUC of PCK of the joints that are no wrists."""
    beyond = np.delete(errors, WRIST, 2)
    return {
        "mpjpe_mm": 1000 * mepe(errors),
        "mpjpe_without_wrists_mm": 1000 * mepe(beyond),
        "pck_auc": auc(pck(beyond, span), span),
    }
