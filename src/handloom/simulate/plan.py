"""Which recordings a simulation has: who, what, where, under which name and in which split."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from handloom.errors import InputError
from handloom.formats import fpha_classes, h2o_classes
from handloom.formats.assembly_names import ID_RATE
from handloom.simulate.rigs import Rig
from handloom.simulate.subjects import fpha_split, h2o_split, unseen_people_split


class Layout(StrEnum):
    """How a simulation is stored."""

    NATIVE = "native"
    H2O = "h2o"
    FPHA = "fpha"
    ASSEMBLYHANDS = "assemblyhands"
    ASSEMBLY101 = "assembly101"


MOST = 100_000
"""People times repetitions; years of computing."""

RIG_OF_LAYOUT = {
    Layout.H2O: "h2o",
    Layout.FPHA: "fpha",
    Layout.ASSEMBLYHANDS: "assembly",
    Layout.ASSEMBLY101: "assembly",
}
_H2O_SCENES = ("h1", "k2", "h2", "o1", "k1", "o2")
"""The scenes in an order in which train and validation scenes of subject 3 take turns."""
_H2O_PEOPLE = {1: (1,), 2: (1, 4), 3: (1, 3, 4)}
"""Which of H2O's four take part when not all do: the test's first of all."""


@dataclass(frozen=True)
class Recording:
    """One recording that is to be made.

    Attributes:
        name: of the episode, as the data set names its own.
        subject: the name of the person in the data set.
        number: of the person in the simulation, from 1.
        split: "train", "val" or "test".
        scene: the data set's name of the place or toy.
        index: position among all recordings of the simulation; makes its own random numbers.
        nouns: the things that are acted on.
        action: index into the taxonomy of a trimmed recording's only action, else None.
    """

    name: str
    subject: str
    number: int
    split: str
    scene: str
    index: int
    nouns: tuple[str, ...]
    action: int | None = None


def recordings(rig: Rig, layout: Layout, subjects: int, repetitions: int) -> tuple[Recording, ...]:
    """All recordings of a simulation, in order.

    Args:
        rig: the capture.
        layout: official layouts have places for their own rig and people only.
        subjects: number of people.
        repetitions: recordings per person; of a trimmed rig, per person and action.

    Raises:
        InputError: a layout that is not for this rig, or more people than it has.
    """
    needed = RIG_OF_LAYOUT.get(layout, rig.name)
    if needed != rig.name:
        raise InputError(f"the layout {layout.value} is that of the rig {needed!r}, not of {rig.name!r}")
    if subjects < 1 or repetitions < 1:
        raise InputError(f"at least 1 subject and 1 repetition are needed, found {subjects} and {repetitions}")
    if subjects * repetitions > MOST:
        raise InputError(f"subjects times repetitions are {MOST} at most, found {subjects} and {repetitions}")
    most = {Layout.H2O: len(h2o_classes.SUBJECTS), Layout.FPHA: len(fpha_classes.SUBJECTS)}.get(layout)
    if most is not None and subjects > most:
        raise InputError(f"{layout.value} has {most} subjects, found {subjects}; use --layout native for more")
    match rig.name:
        case "h2o":
            return _h2o(rig, subjects, repetitions)
        case "fpha":
            return _fpha(rig, subjects, repetitions)
    return _assembly(rig, subjects, repetitions)


def frame_rate(rig: Rig, layout: Layout) -> Fraction:
    """Frames per second: 60 where Assembly101's poses are asked for, else that of the rig."""
    return Fraction(ID_RATE) if layout is Layout.ASSEMBLY101 else rig.frame_rate


def frame_ids(rig: Rig, rate: Fraction, count: int) -> Int[np.ndarray, "T"]:
    """Official numbers of the frames: AssemblyHands and Assembly101 count 60 per second whatever the rate."""
    step = int(ID_RATE / rate) if rig.name == "assembly" else 1
    return step * np.arange(count)


def _h2o(rig: Rig, subjects: int, repetitions: int) -> tuple[Recording, ...]:
    made: list[Recording] = []
    for number in _H2O_PEOPLE.get(subjects, range(1, subjects + 1)):
        for repetition in range(repetitions):
            scene = _H2O_SCENES[repetition % len(_H2O_SCENES)]
            # Neighbours handle other things first, so that all come up as soon as there are recordings for it; the
            # test's person handles what the first one does, so that few recordings do not test what none trains.
            noun = rig.taxonomy.nouns[(3 * ((number - 1) % 3) + repetition) % len(rig.taxonomy.nouns)]
            name = f"subject{number}/{scene}/{repetition // len(_H2O_SCENES)}"
            split = h2o_split(number, scene)
            made.append(Recording(name, f"subject{number}", number, split, scene, len(made), (noun,)))
    return tuple(made)


def _fpha(rig: Rig, subjects: int, repetitions: int) -> tuple[Recording, ...]:
    made: list[Recording] = []
    for number in range(1, subjects + 1):
        for k, action in enumerate(rig.taxonomy.actions):
            for repetition in range(1, repetitions + 1):
                name = f"Subject_{number}/{action.name.replace(' ', '_')}/{repetition}"
                split, person = fpha_split(repetition), f"Subject_{number}"
                made.append(Recording(name, person, number, split, "", len(made), (action.noun,), k))
    # Their place stays empty, as in the data set, which asks to leave them out.
    return tuple(item for item in made if item.name not in fpha_classes.IGNORED)


def _assembly(rig: Rig, subjects: int, repetitions: int) -> tuple[Recording, ...]:
    made: list[Recording] = []
    toy = "a01" if rig.name == "assembly" else "d01"
    for number in range(1, subjects + 1):
        for repetition in range(repetitions):
            person = str(9010 + number)
            name = f"nusar-2021_action_both_{person}-{toy}_{person}_user_id_2021-02-01_{repetition:06d}"
            split = unseen_people_split(number, subjects)
            made.append(Recording(name, person, number, split, toy, len(made), rig.taxonomy.nouns))
    return tuple(made)
