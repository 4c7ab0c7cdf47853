"""Classes and cameras of a store against those of a network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from handloom.datasets.store import Store
from handloom.errors import InputError


class ClassRows(NamedTuple):
    """For every row of a store's names of actions and objects the row of the network's; the last entry is -1's."""

    actions: Int[np.ndarray, "store_actions_and_none"]
    objects: Int[np.ndarray, "store_objects_and_none"]


def class_rows(store: Store, actions: Sequence[str], objects: Sequence[str]) -> ClassRows:
    """How the labels of a store read for a network that knows these actions and objects.

    Raises:
        InputError: the store has a class that the network does not know.
    """
    return ClassRows(
        _rows(store, "actions", action_names(store), actions),
        _rows(store, "objects", store.layout.object_names, objects),
    )


def action_names(store: Store) -> tuple[str, ...]:
    """Names of the actions of a store, in the order of its labels."""
    return tuple(label.name for label in store.words["action"])


def choose_camera(store: Store, camera: str | None) -> str:
    """The camera that is asked for, or the only one, or H2O's on the head.

    Raises:
        InputError: no such camera, or none is asked for and there are several.
    """
    pictured = [item.name for item in store.layout.pictured]
    if not pictured:
        raise InputError(f"{store.root} has no pictures; prepare it with pictures")
    if camera is not None:
        if camera not in pictured:
            raise InputError(f"{store.root} has no pictures of camera {camera!r}; it has {', '.join(pictured)}")
        return camera
    if len(pictured) == 1:
        return pictured[0]
    if store.layout.dataset == "h2o" and "cam4" in pictured:
        return "cam4"
    raise InputError(f"{store.root} has several cameras; choose one with --camera: {', '.join(pictured)}")


def _rows(
    store: Store, what: str, names: Sequence[str], known: Sequence[str]
) -> Int[np.ndarray, "store_classes_and_none"]:
    place = {name: row for row, name in enumerate(known)}
    if unknown := [name for name in names if name not in place]:
        raise InputError(
            f"{store.root} has {what} that the network does not know: {_some(unknown)}; it knows {_some(known)}"
        )
    return np.array([*(place[name] for name in names), -1])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
