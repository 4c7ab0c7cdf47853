"""Classes and cameras of a store against those of a network."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.models.htt import HTTConfig
from handloom.skeleton import HANDS


class ClassRows(NamedTuple):
    """For every row of a store's names of actions and objects the row of the network's; the last entry is -1's."""

    actions: Int[np.ndarray, "store_actions_and_none"]
    objects: Int[np.ndarray, "store_objects_and_none"]


def class_rows(store: Store, config: HTTConfig) -> ClassRows:
    """How the labels of a store read for a network.

    Raises:
        InputError: the store has a class that the network does not know.
    """
    return ClassRows(
        _rows(store, "actions", action_names(store), config.actions),
        _rows(store, "objects", store.layout.object_names, config.objects),
    )


def action_names(store: Store) -> tuple[str, ...]:
    """Names of the actions of a store, in the order of its labels."""
    return tuple(label.name for label in store.words["action"])


def config_for(store: Store, base: type[HTTConfig] = HTTConfig) -> HTTConfig:
    """The published network for the classes and hands of a store.

    Raises:
        InputError: the store labels no action, no object, or no hand.
    """
    actions, objects = action_names(store), store.layout.object_names
    for what, names in (("actions", actions), ("objects", objects)):
        if not names:
            raise InputError(f"{store.root} labels no {what}; HTT learns hands, objects and actions together")
    labelled = np.zeros(len(HANDS), bool)
    for recording in store.recordings:
        labelled |= store.columns(recording.index, ["hand.valid"])["hand.valid"].any((0, 2))
        if labelled.all():
            break
    if not labelled.any():
        raise InputError(f"{store.root} labels no hand; HTT cannot be trained on it")
    hands = tuple(hand for hand, known in zip(HANDS, labelled) if known)
    return replace(base(actions, objects), hands=hands)


def choose_camera(store: Store, camera: str | None) -> str:
    """The camera that is asked for, or the only one, or the one on the head.

    Raises:
        InputError: no such camera, or none is asked for and there are several.
    """
    pictured = [item.name for item in store.layout.pictured]
    if camera is not None:
        if camera not in pictured:
            raise InputError(f"{store.root} has no pictures of camera {camera!r}; it has {', '.join(pictured)}")
        return camera
    if not pictured:
        raise InputError(f"{store.root} has no pictures; HTT learns from them. Prepare it with pictures")
    if len(pictured) == 1:
        return pictured[0]
    if store.layout.dataset == "h2o" and "cam4" in pictured:  # the egocentric one, which HTT is about
        return "cam4"
    raise InputError(f"{store.root} has several cameras; choose one with --camera: {', '.join(pictured)}")


def _rows(
    store: Store, what: str, names: Sequence[str], known: Sequence[str]
) -> Int[np.ndarray, "store_classes_and_none"]:
    place = {name: row for row, name in enumerate(known)}
    if unknown := [name for name in names if name not in place]:
        raise InputError(
            f"{store.root} has {what} that the network does not know: {', '.join(unknown[:5])}"
            f"{', ...' if len(unknown) > 5 else ''}; it knows {', '.join(known[:5])}{', ...' if len(known) > 5 else ''}"
        )
    return np.array([*(place[name] for name in names), -1])
