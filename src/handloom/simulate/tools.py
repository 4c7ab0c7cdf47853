"""Things without print: cutlery, desk things, and the parts of the take-apart toy. Builders as in `packages`."""

import numpy as np

from handloom.simulate.mesh import Mesh, joined
from handloom.simulate.packages import Builder, Thing
from handloom.simulate.shapes import Colour, box, facing_y, pipe, plate, shift, turned

_METAL = (176, 180, 188)


def utensil(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A fork or a spoon, its head at +y."""
    wide, long, high = thing.size_m
    y = np.linspace(-long / 2, long / 2, 24)
    t = y / long + 0.5
    head = np.exp(-(((t - 0.87) / 0.085) ** 2))
    half = 0.16 * wide + 0.34 * wide * head + 0.06 * wide * (1 - t)
    half[-1] *= 0.4
    z = -0.15 * high + 0.35 * high * np.cos(2 * np.pi * t) - 0.25 * high * head
    if thing.name == "spoon":
        return pipe(np.stack([0 * y, y, z], -1), half, thing.colour, instance, 0.9, flatten=0.22)
    stem = pipe(np.stack([0 * y, y, z], -1)[:19], half[:19], thing.colour, shine=0.9, flatten=0.25)
    tines = [
        pipe(np.stack([0 * y + x, y, z + 0.1 * high], -1)[17:], 0.06 * wide, thing.colour)
        for x in np.linspace(-0.42, 0.42, 4) * wide
    ]
    return joined([stem, *tines], instance)


def sponge(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A sponge with a scourer on top."""
    wide, deep, high = thing.size_m
    soft = box((wide, deep, 0.72 * high), thing.colour, 0.006, shine=0.0).moved(shift(0, 0, -0.14 * high))
    scourer = box((wide, deep, 0.28 * high), (40, 120, 60), 0.003, shine=0.0).moved(shift(0, 0, 0.36 * high))
    return joined([soft, scourer], instance)


def stick(tip: Colour, tip_share: float, shine: float = 0.3) -> Builder:
    """A pen or a match: a bar along y with another end."""

    def build(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
        r, half = thing.size_m[0] / 2, thing.size_m[1] / 2
        cut = half - 2 * half * tip_share
        shaft = pipe(np.array([[0, -half, 0], [0, cut, 0]]), r, thing.colour, shine=shine)
        end = pipe(np.array([[0, cut, 0], [0, half - r, 0], [0, half, 0]]), np.array([r, 0.9 * r, 0.3 * r]), tip)
        return joined([shaft, end], instance)

    return build


def coin(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A coin with a raised rim."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    rim = [
        (0, -0.7 * h),
        (0.86 * r, -0.7 * h),
        (0.9 * r, -h),
        (r, -h),
        (r, h),
        (0.9 * r, h),
        (0.86 * r, 0.7 * h),
        (0, 0.7 * h),
    ]
    return turned(np.array(rim), thing.colour, None, instance, 0.9)


def calculator(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A calculator with display and keys."""
    wide, deep, high = thing.size_m
    parts = [box((wide, deep, high - 0.004), thing.colour, 0.003).moved(shift(0, 0, -0.002))]
    parts.append(box((0.84 * wide, 0.18 * deep, 0.002), (170, 190, 160)).moved(shift(0, 0.34 * deep, high / 2 - 0.004)))
    for row in range(5):
        for column in range(4):
            key = box((0.16 * wide, 0.075 * deep, 0.004), (208, 112, 50) if column == 3 else (226, 226, 222), 0.001)
            place = shift((column - 1.5) * 0.22 * wide, (0.14 - 0.135 * row) * deep, high / 2 - 0.003)
            parts.append(key.moved(place))
    return joined(parts, instance)


def glasses(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """Spectacles, folded open, lenses at +y."""
    wide, deep, high = thing.size_m
    angle = np.linspace(0, 2 * np.pi, 17)
    parts = []
    for side in (-1, 1):
        ring = np.stack(
            [
                side * 0.25 * wide + 0.22 * wide * np.cos(angle),
                0 * angle + 0.4 * deep + 1e-4 * angle,
                0.41 * high * np.sin(angle),
            ],
            -1,
        )
        parts.append(pipe(ring, 0.0024, thing.colour))
        parts.append(
            pipe(
                np.array([[side * 0.47 * wide, 0.4 * deep, 0], [side * 0.46 * wide, -0.5 * deep, 0]]),
                0.002,
                thing.colour,
            )
        )
    parts.append(
        pipe(
            np.array([[-0.04 * wide, 0.4 * deep, 0.1 * high], [0.04 * wide, 0.401 * deep, 0.1 * high]]),
            0.002,
            thing.colour,
        )
    )
    return joined(parts, instance)


def wheel(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A tyre with tread on a metal hub."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    tread = 24
    angle = np.linspace(0, 2 * np.pi, 4 * tread, endpoint=False)
    radius = r * np.where(np.arange(4 * tread) % 4 < 2, 1.0, 0.93)
    tyre = plate(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), 1.7 * h, thing.colour, shine=0.1)
    hub = [(0, -0.9 * h), (0.16 * r, -0.9 * h), (0.5 * r, -h), (0.58 * r, -0.85 * h)]
    rim = np.array([*hub, *((x, -z) for x, z in reversed(hub))])
    return joined([tyre, turned(rim, _METAL)], instance)


def gear(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A gear on its hub."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    teeth = 14
    angle = (np.arange(4 * teeth) + 0.5) * 2 * np.pi / (4 * teeth)
    radius = r * np.where(np.arange(4 * teeth) % 4 < 2, 1.0, 0.82)
    body = plate(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), 1.5 * h, thing.colour)
    hub = turned(
        np.array([(0, -h), (0.34 * r, -h), (0.34 * r, h), (0.14 * r, h), (0.14 * r, 0.4 * h), (0, 0.4 * h)]),
        (90, 92, 100),
    )
    return joined([body, hub], instance)


def tube(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A grooved tube."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    grooves = [(r * (1 if k % 2 else 0.93), z) for k, z in enumerate(np.repeat(np.linspace(-0.8 * h, 0.8 * h, 7), 2))]
    rims = [
        (0, -0.8 * h),
        (0.7 * r, -0.8 * h),
        (0.72 * r, -h),
        (r, -h),
        *grooves,
        (r, h),
        (0.72 * r, h),
        (0.7 * r, 0.8 * h),
        (0, 0.8 * h),
    ]
    return turned(np.array(rims), thing.colour, None, instance, 0.4)


def cabin(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A driver's cabin with windows and headlights at +y."""
    wide, deep, high = thing.size_m
    glass = (60, 80, 100)
    parts = [
        box((wide, deep, 0.55 * high), thing.colour, 0.005).moved(shift(0, 0, -0.225 * high)),
        box((0.84 * wide, 0.6 * deep, 0.5 * high), thing.colour, 0.006).moved(shift(0, -0.1 * deep, 0.25 * high)),
        box((0.7 * wide, 0.02 * deep, 0.26 * high), glass, shine=0.9).moved(shift(0, 0.205 * deep, 0.26 * high)),
        box((0.86 * wide, 0.36 * deep, 0.24 * high), glass, shine=0.9).moved(shift(0, -0.08 * deep, 0.26 * high)),
    ]
    parts += [
        turned(np.array([(0, -0.003), (0.006, -0.003), (0.006, 0.003), (0, 0.003)]), (250, 240, 170)).moved(
            facing_y(x * wide, 0.5 * deep - 0.003, -0.2 * high)
        )
        for x in (-0.3, 0.3)
    ]
    return joined(parts, instance)


def bumper(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A bumper with two arms at -y."""
    wide, deep, high = thing.size_m
    bar = box((wide, 0.6 * deep, high), thing.colour, 0.005).moved(shift(0, 0.2 * deep, 0))
    arms = [
        box((0.12 * wide, 0.5 * deep, 0.5 * high), _METAL, 0.002).moved(shift(x * wide, -0.25 * deep, 0))
        for x in (-0.3, 0.3)
    ]
    return joined([bar, *arms], instance)


def block(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A building block with four studs."""
    x, y, z = thing.size_m
    body = box((x, y, 0.86 * z), thing.colour, 0.003).moved(shift(0, 0, -0.07 * z))
    stud = np.array([(0, 0.3 * z), (0.13 * x, 0.3 * z), (0.13 * x, 0.5 * z), (0, 0.5 * z)])
    return joined(
        [
            body,
            *(turned(stud, thing.colour).moved(shift(a * x, b * y, 0)) for a in (-0.24, 0.24) for b in (-0.24, 0.24)),
        ],
        instance,
    )


def plain(rounding: float, shine: float) -> Builder:
    """A box without print."""

    def build(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
        return box(thing.size_m, thing.colour, rounding, None, instance, shine)

    return build
