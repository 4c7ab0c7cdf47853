"""The things on the table: size, the parts that come off, and how a hand takes hold of them."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

Size = tuple[float, float, float]


class Form(StrEnum):
    """What a thing is made of, geometrically. Its frame has its middle as origin and z up as it rests."""

    BOX = "box"
    CYLINDER = "cylinder"


class Hold(StrEnum):
    """How a hand takes hold of a thing."""

    WRAP = "wrap"
    """The fingers around an upright body, palm beside it, thumb up."""
    PINCH = "pinch"
    """Thumb and two fingers from above."""
    EDGE = "edge"
    """A flat thing by its near edge, fingers on top, the thumb before it."""


@dataclass(frozen=True)
class Part:
    """Something that comes off a thing or out of it.

    Attributes:
        name: of the part.
        form, size_m: as in `Prop`.
        place_m: where its middle is in the frame of the whole, when it is in its place.
        colour: RGB, 0 ... 255.
    """

    name: str
    form: Form
    size_m: Size
    place_m: Size
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Prop:
    """One thing.

    Attributes:
        name: the noun of the taxonomy.
        form, size_m: extent along its axes (x, y, z); the first two of a cylinder are its diameter.
        hold: how it is held.
        colour: RGB, 0 ... 255.
        lid: what is taken off by "open".
        content: what is taken out.
    """

    name: str
    form: Form
    size_m: Size
    hold: Hold
    colour: tuple[int, int, int]
    lid: Part | None = None
    content: Part | None = None


def _lid(whole: Size, diameter: float, height: float, colour: tuple[int, int, int]) -> Part:
    return Part("lid", Form.CYLINDER, (diameter, diameter, height), (0, 0, (whole[2] + height) / 2), colour)


def _capsule(whole: Size, colour: tuple[int, int, int]) -> Part:
    size = (0.03, 0.03, 0.05)
    return Part("content", Form.CYLINDER, size, (0, 0, whole[2] / 2 - 0.012), colour)


def _box(name: str, size: Size, hold: Hold, colour: tuple[int, int, int]) -> Prop:
    return Prop(name, Form.BOX, size, hold, colour)


def _bottle(
    name: str,
    diameter: float,
    height: float,
    colour: tuple[int, int, int],
    lid: float = 0.0,
    cap: tuple[int, int, int] = (230, 60, 50),
) -> Prop:
    size = (diameter, diameter, height)
    return Prop(name, Form.CYLINDER, size, Hold.WRAP, colour, _lid(size, lid, 0.022, cap) if lid else None)


def _carton(name: str, size: Size, colour: tuple[int, int, int], content: tuple[int, int, int]) -> Prop:
    return Prop(name, Form.BOX, size, Hold.WRAP, colour, content=_capsule(size, content))


def _chips() -> Prop:
    size = (0.07, 0.07, 0.15)
    lid = _lid(size, 0.066, 0.012, (240, 240, 235))
    content = Part("content", Form.CYLINDER, (0.05, 0.05, 0.008), (0, 0, 0.071), (236, 200, 96))
    return Prop("chips", Form.CYLINDER, size, Hold.WRAP, (196, 40, 40), lid, content)


_W, _P, _E = Hold.WRAP, Hold.PINCH, Hold.EDGE
PROPS = {
    prop.name: prop
    for prop in (
        # H2O
        _box("book", (0.15, 0.21, 0.022), _E, (52, 92, 160)),
        _carton("espresso", (0.055, 0.085, 0.13), (60, 48, 44), (196, 160, 60)),
        _bottle("lotion", 0.056, 0.13, (238, 232, 220), lid=0.03, cap=(90, 150, 210)),
        _bottle("spray", 0.052, 0.19, (70, 160, 120)),
        _bottle("milk", 0.068, 0.18, (244, 246, 250), lid=0.036, cap=(40, 90, 190)),
        _carton("cocoa", (0.06, 0.09, 0.12), (150, 92, 48), (110, 60, 36)),
        _chips(),
        _carton("cappuccino", (0.055, 0.09, 0.14), (176, 60, 48), (230, 210, 180)),
        # FPHA, where it is not in H2O
        _bottle("juice", 0.062, 0.19, (240, 150, 40), lid=0.036),
        _bottle("peanut butter", 0.072, 0.11, (190, 130, 70), lid=0.062, cap=(210, 40, 44)),
        _bottle("liquid soap", 0.060, 0.17, (120, 190, 110), lid=0.034, cap=(245, 245, 245)),
        _bottle("mug", 0.078, 0.095, (60, 120, 170)),
        _bottle("soda can", 0.064, 0.12, (200, 36, 44)),
        _bottle("wine bottle", 0.07, 0.27, (44, 70, 50)),
        _bottle("wine glass", 0.058, 0.16, (190, 210, 220)),
        _bottle("salt", 0.042, 0.10, (232, 236, 240)),
        _box("fork", (0.018, 0.19, 0.008), _P, (180, 184, 190)),
        _box("spoon", (0.022, 0.18, 0.010), _P, (186, 188, 192)),
        _box("tea bag", (0.05, 0.06, 0.012), _P, (224, 200, 150)),
        _box("sponge", (0.07, 0.11, 0.04), _P, (240, 208, 60)),
        _box("pen", (0.011, 0.145, 0.011), _P, (30, 50, 150)),
        _box("match", (0.006, 0.07, 0.006), _P, (200, 150, 90)),
        _box("cell charger", (0.025, 0.05, 0.015), _P, (34, 34, 38)),
        _box("coin", (0.026, 0.026, 0.005), _P, (206, 168, 70)),
        _box("paper", (0.15, 0.20, 0.006), _E, (246, 246, 242)),
        Prop(
            "letter",
            Form.BOX,
            (0.11, 0.20, 0.008),
            _E,
            (236, 228, 206),
            content=Part("content", Form.BOX, (0.09, 0.14, 0.004), (0, 0.09, 0.0), (250, 250, 250)),
        ),
        _box("calculator", (0.08, 0.14, 0.014), _E, (60, 64, 72)),
        _box("glasses", (0.13, 0.05, 0.03), _E, (70, 44, 30)),
        _box("wallet", (0.09, 0.11, 0.018), _E, (96, 60, 36)),
        _box("card", (0.054, 0.086, 0.004), _E, (40, 130, 190)),
        # take-apart toy
        Prop("wheel", Form.CYLINDER, (0.055, 0.055, 0.028), _P, (48, 48, 52)),
        _box("cabin", (0.06, 0.07, 0.05), _P, (220, 70, 50)),
        _box("bumper", (0.09, 0.03, 0.026), _P, (90, 160, 80)),
        Prop("gear", Form.CYLINDER, (0.075, 0.075, 0.018), _P, (150, 110, 190)),
        _box("block", (0.05, 0.05, 0.05), _P, (230, 160, 60)),
        Prop("tube", Form.CYLINDER, (0.034, 0.034, 0.09), _P, (80, 150, 170)),
    )
}
"""All things by noun. Everything is symmetric in x, so a mirrored movement handles the same thing."""

HOST = "host"
TOY_BODY = _box(HOST, (0.10, 0.17, 0.06), Hold.WRAP, (236, 190, 60))
"""What the parts of the take-apart toy are put on."""
HOSTS = {
    "tea bag": _bottle(HOST, 0.078, 0.095, (200, 204, 210)),
    "cell charger": _box(HOST, (0.075, 0.15, 0.012), Hold.EDGE, (24, 26, 32)),
}
"""What other things are put into."""


def half_size(size_m: Size) -> np.ndarray:
    """Half the extent along each axis, in metres."""
    return np.array(size_m) / 2
