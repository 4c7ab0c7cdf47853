"""Classes and cameras of a store against those of a network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.geometry import Pinhole
from handloom.skeleton import HANDS


class ClassRows(NamedTuple):
    """For every row of a store's names of actions and objects the row of the network's; the last entry is -1's."""

    actions: Int[np.ndarray, "store_actions_and_none"]
    objects: Int[np.ndarray, "store_objects_and_none"]


def class_rows(store: Store, actions: Sequence[str] | None, objects: Sequence[str]) -> ClassRows:
    """How the labels of a store read for a network that knows these actions and objects; None if it knows no actions.

    Raises:
        InputError: the store has a class that the network does not know.
    """
    names = action_names(store)
    return ClassRows(
        np.full(len(names) + 1, -1) if actions is None else _rows(store, "actions", names, actions),
        _rows(store, "objects", store.layout.object_names, objects),
    )


def action_names(store: Store) -> tuple[str, ...]:
    """Names of the actions of a store, in the order of its labels."""
    return tuple(label.name for label in store.words["action"])


def labelled_hands(store: Store) -> tuple[str, ...]:
    """Which hands a store labels anywhere. Raises InputError: none."""
    labelled = np.zeros(len(HANDS), bool)
    for recording in store.recordings:
        labelled |= store.columns(recording.index, ["hand.valid"])["hand.valid"].any((0, 2))
        if labelled.all():
            break
    if not labelled.any():
        raise InputError(f"{store.root} labels no hand; no network of hands can be trained on it")
    return tuple(hand for hand, known in zip(HANDS, labelled) if known)


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


def pinhole_cameras(store: Store, cameras: Sequence[str] = ()) -> tuple[str, ...]:
    """The cameras that are asked for, or all with pictures that are pinholes.

    Raises:
        InputError: no pictures, no such camera, one that comes twice, or one that is no pinhole.
    """
    pictured = [item.name for item in store.layout.pictured]
    if not pictured:
        raise InputError(f"{store.root} has no pictures; prepare it with pictures")
    for camera in cameras:
        choose_camera(store, camera)
    if len(set(cameras)) < len(cameras):
        raise InputError(f"a camera comes twice: {', '.join(cameras)}")
    flat = {
        name for name in pictured if all(isinstance(recording.cameras[name], Pinhole) for recording in store.recordings)
    }
    bent = [name for name in cameras or pictured if name not in flat]
    if bent and (cameras or not flat):
        raise InputError(
            f"{store.root}: {', '.join(bent)} bend straight lines; give cameras that are pinholes, "
            f"{', '.join(sorted(flat)) or 'of which it has none'}, or prepare the store with undistorted pictures"
        )
    return tuple(cameras) or tuple(name for name in pictured if name in flat)


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
