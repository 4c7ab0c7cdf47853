"""The people: hand shape, skin, and a style of moving that stays the same over all their recordings."""

from dataclasses import dataclass

import numpy as np

from handloom.errors import InputError
from handloom.simulate.hand import HandShape
from handloom.skeleton import LEFT, RIGHT

_LEFT_HANDED = 0.12
"""Share of left-handed people; like all of `Style`, and the height of the eyes, our estimate."""


@dataclass(frozen=True)
class Style:
    """How somebody moves.

    Attributes:
        speed: 1 is average.
        amplitude: size of free movements, 1 is average.
        tremor_m: amplitude of physiological tremor.
        pause: chance of a pause between two movements.
        abort: chance that a reach is broken off and begun anew.
        left_handed: the left hand leads.
    """

    speed: float = 1.0
    amplitude: float = 1.0
    tremor_m: float = 0.0
    pause: float = 0.0
    abort: float = 0.0
    left_handed: bool = False


@dataclass(frozen=True, eq=False)
class Subject:
    """One person.

    Attributes:
        number: from 1.
        left, right: hand shapes; one is the mirror image of the other.
        darkness: of the skin, 0 ... 1, as `complexion.skin_tone` takes it.
        skin_seed: of what is their skin's own.
        eye_height_m: above the table.
        style: how the person moves.
    """

    number: int
    left: HandShape
    right: HandShape
    darkness: float
    skin_seed: int
    eye_height_m: float
    style: Style


def subject(seed: int, number: int, right_handed: bool = False) -> Subject:
    """Person `number` (from 1) of a simulation; the same whoever else takes part.

    Args:
        seed: of the simulation.
        number: which person.
        right_handed: use no left-handed people, for data sets that show the right hand alone.

    Raises:
        InputError: the number is below 1.
    """
    if number < 1:
        raise InputError(f"people are numbered from 1, found {number}")
    rng = np.random.default_rng((seed, 1, number))
    shape_seed = int(rng.integers(2**31))
    # Neighbouring numbers differ: five people cover the whole scale.
    darkness = (number * 0.4 + float(rng.uniform(0, 0.2))) % 1.0
    skin_seed = int(rng.integers(2**31))
    style = Style(
        speed=float(np.exp(rng.normal(0.05, 0.18))),
        amplitude=float(np.exp(rng.normal(0, 0.15))),
        tremor_m=float(rng.uniform(0.0002, 0.0012)),
        pause=float(rng.uniform(0.03, 0.2)),
        abort=float(rng.uniform(0.0, 0.12)),
        left_handed=bool(rng.random() < _LEFT_HANDED) and not right_handed,
    )
    return Subject(
        number,
        HandShape.sample(np.random.default_rng(shape_seed), LEFT),
        HandShape.sample(np.random.default_rng(shape_seed), RIGHT),
        darkness,
        skin_seed,
        float(rng.uniform(0.42, 0.54)),
        style,
    )


def h2o_split(number: int, scene: str) -> str:
    """H2O's own rule: subject 4 is the test, the last three scenes of subject 3 the validation set."""
    place = (number - 1) % 4 + 1
    if place == 4:
        return "test"
    return "val" if place == 3 and scene in ("k2", "o1", "o2") else "train"


def fpha_split(repetition: int) -> str:
    """FPHA's action split has every person in both halves: odd repetitions train, even ones test."""
    return "train" if repetition % 2 else "test"


def unseen_people_split(number: int, count: int) -> str:
    """The last fifth of the people is the test set, the tenth before it the validation set: nobody is in two."""
    tests = max(1, round(count / 5)) if count > 1 else 0
    checks = max(1, round(count / 10)) if count > 2 else 0
    if number > count - tests:
        return "test"
    return "val" if number > count - tests - checks else "train"
