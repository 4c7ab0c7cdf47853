"""Names of actions, verbs and nouns over a whole store, and which of them holds in each frame."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from handloom.errors import InputError
from handloom.formats.episode import LabelledSegment

UNLABELLED = "no labelled action"
"""The task of frames outside every segment, and of segments whose label the data set withholds."""

KINDS = ("action", "verb", "noun")
_FIELDS = {"action": ("label", "label_id"), "verb": ("verb", "verb_id"), "noun": ("noun", "noun_id")}


class NamedLabel(NamedTuple):
    """A label and the number that the data set's own release gives it; -1 where it gives none."""

    name: str
    id: int


Vocabulary = dict[str, list[NamedLabel]]
"""For "action", "verb" and "noun" the labels that occur, by official number, then name. Rows count from 0."""


def vocabulary(recordings: Iterable[Mapping[str, Any]]) -> Vocabulary:
    """All labels of the segments of recordings.

    Raises:
        InputError: one name with two numbers, or one number with two names.
    """
    found: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for recording in recordings:
        for segment in recording["segments"]:
            for kind, (name_field, id_field) in _FIELDS.items():
                name, number = segment[name_field], segment[id_field]
                if name is None:
                    continue
                number = -1 if number is None else number
                if found[kind].setdefault(name, number) != number:
                    raise InputError(
                        f"{recording['name']}: {kind} {name!r} has number {number}, elsewhere {found[kind][name]}"
                    )
    for kind, numbers in found.items():
        used = [number for number in numbers.values() if number >= 0]
        twice = next((number for number in used if used.count(number) > 1), None)
        if twice is not None:
            names = [name for name, number in numbers.items() if number == twice]
            raise InputError(f"{kind} {twice} has several names: {', '.join(names)}")
    return {
        kind: sorted((NamedLabel(*item) for item in numbers.items()), key=lambda label: (label.id, label.name))
        for kind, numbers in found.items()
    }


def frame_labels(
    segments: Sequence[Mapping[str, Any]], length: int, words: Vocabulary
) -> dict[str, Int[np.ndarray, "T"]]:
    """Row of the action, verb and noun of every frame, -1 for none; where segments overlap, that which began last."""
    rows = {kind: {label.name: row for row, label in enumerate(labels)} for kind, labels in words.items()}
    labels = {kind: np.full(length, -1) for kind in KINDS}
    for segment in sorted(segments, key=lambda segment: segment["start"]):
        for kind, (field, _) in _FIELDS.items():
            if segment[field] is not None:
                labels[kind][segment["start"] : segment["end"]] = rows[kind][segment[field]]
    return labels


def segment_labels(segment: LabelledSegment, words: Vocabulary) -> dict[str, int]:
    """Row of a segment's own action, verb and noun, -1 for none."""
    names = {kind: getattr(segment, field) for kind, (field, _) in _FIELDS.items()}
    rows = {kind: [label.name for label in labels] for kind, labels in words.items()}
    return {kind: -1 if name is None else rows[kind].index(name) for kind, name in names.items()}
