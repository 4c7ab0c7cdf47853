"""Recognition of actions and objects: what share of videos and frames is named rightly.

A true label of -1 is withheld or unknown and never counted. Where two classes score the same, the first one wins.
Shares lie in 0 ... 1 and are NaN where there is nothing to count.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def vote(
    clip_probabilities: Float[np.ndarray, "C A"], clip_video: Int[np.ndarray, "C"], videos: int
) -> Float[np.ndarray, "V A"]:
    """Class scores of every video: its clips' softmax probabilities, averaged; the argmax is the video's action.

    This is the vote of HTT's released evaluation, which sums probabilities over all clips of a video (both parities of
    the frame number, all blocks); its paper describes a vote of the clips' categories. A mean orders as a sum does.
    Videos without a clip are NaN.
    """
    total = np.zeros((videos, clip_probabilities.shape[1]))
    np.add.at(total, clip_video, clip_probabilities)
    count = np.bincount(clip_video, minlength=videos)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def top_k_accuracy(scores: Float[np.ndarray, "V A"], truth: Int[np.ndarray, "V"], k: int = 1) -> float:
    """Share of rows whose true class is among the k highest scores."""
    labelled = truth >= 0
    scores, true = scores[labelled], truth[labelled, None]
    of_true = np.take_along_axis(scores, true, axis=1)
    before = np.arange(scores.shape[1]) < true
    rank = ((scores > of_true) | ((scores == of_true) & before)).sum(1)
    return _share(rank < k)


def accuracy(predicted: Int[np.ndarray, "V"], truth: Int[np.ndarray, "V"]) -> float:
    """Share of the labelled rows that are right."""
    labelled = truth >= 0
    return _share(predicted[labelled] == truth[labelled])


def confusion(predicted: Int[np.ndarray, "V"], truth: Int[np.ndarray, "V"], classes: int) -> Int[np.ndarray, "A A"]:
    """Counts with the true class along axis 0 and the predicted one along axis 1."""
    labelled = truth >= 0
    counts = np.bincount(truth[labelled] * classes + predicted[labelled], minlength=classes**2)
    return counts.reshape(classes, classes)


def class_accuracies(counts: Int[np.ndarray, "A A"]) -> Float[np.ndarray, "A"]:
    """Accuracy of each class from a confusion matrix; NaN for classes that do not occur."""
    occurs = counts.sum(1)
    return np.where(occurs > 0, np.diag(counts) / np.maximum(occurs, 1), np.nan)


def verbs_and_nouns(
    actions: Sequence[str], nouns: Sequence[str]
) -> tuple[Int[np.ndarray, "A"], Int[np.ndarray, "A"]] | None:
    """Number of the verb and of the noun of each action named "verb noun", as in "take out espresso".

    Args:
        actions: names of the actions.
        nouns: names of the objects; the longest that ends an action's name is its noun, what stands before it the verb.

    Returns:
        Two arrays of class numbers; None where a name has another form, so that there are no verbs to count.
    """
    pairs = []
    for action in actions:
        found = [noun for noun in nouns if action.endswith(f" {noun}")]
        if not found:
            return None
        noun = max(found, key=len)
        pairs.append((action.removesuffix(noun).strip(), noun))
    if not pairs:
        return None
    verb, noun_number = (np.unique(names, return_inverse=True)[1] for names in zip(*pairs))
    return verb, noun_number


def early_curve(probabilities: Float[np.ndarray, "V F A"], truth: Int[np.ndarray, "V"]) -> Float[np.ndarray, "F"]:
    """Action accuracy after each observed fraction of every video."""
    return np.array([top_k_accuracy(scores, truth) for scores in probabilities.transpose(1, 0, 2)])


def _share(right: np.ndarray) -> float:
    return float(right.mean()) if right.size else float("nan")
