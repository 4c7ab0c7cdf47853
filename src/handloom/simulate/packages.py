"""Things that are sold with print on them, and vessels: cartons, tins, bottles, caps, mugs, glasses, books.

Every builder makes the mesh of a thing, or of a part that comes off it, to its size and in its frame.
"""

from collections.abc import Callable

import numpy as np

from handloom.simulate.mesh import Mesh, joined
from handloom.simulate.patterns import label
from handloom.simulate.props import Form, Part, Prop
from handloom.simulate.shapes import box, pipe, plate, shift, turned

_TEXEL_M = 0.0011

Thing = Prop | Part
Builder = Callable[[Thing, int, np.random.Generator], Mesh]


def carton(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A box with print on every side."""
    wide, deep, high = thing.size_m
    upright = high > min(wide, deep)
    print_ = label(_texels(*((high, max(wide, deep)) if upright else (deep, wide))), thing.colour, thing.name, rng)
    return box(thing.size_m, (255, 255, 255), 0.0015, print_, instance, 0.12)


def tin(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A tin with print around it."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    return _printed(
        [(0, -h), (0.94 * r, -h), (r, -h + 0.05 * h), (r, h - 0.05 * h), (0.94 * r, h), (0, h)], thing, instance, rng
    )


def bottle(shoulder: float, neck: float, shine: float = 0.4) -> Builder:
    """A bottle whose body reaches up to a share of its height and whose neck has a share of its radius."""

    def build(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
        r, h = thing.size_m[0] / 2, thing.size_m[2]
        s = shoulder * h
        swing = np.linspace(0, np.pi, 8)
        curve = np.stack([r - (1 - neck) * r * (1 - np.cos(swing)) / 2, s + 0.7 * (h - s) * swing / np.pi], -1)
        profile = [(0, 0), (0.9 * r, 0), (r, 0.06 * r), *map(tuple, curve), (neck * r, h), (0, h)]
        return _printed([(x, z - h / 2) for x, z in profile], thing, instance, rng, shine)

    return build


def spray(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A bottle with a trigger and a nozzle."""
    wide, _, high = thing.size_m
    r, top = wide / 2, high / 2
    body = 0.68 * high - top
    can = [(0, -top), (0.96 * r, -top), (r, -top + 0.004), (r, body), (0.7 * r, body + 0.016), (0.4 * r, body + 0.024)]
    points = np.array([*can, (0.4 * r, top - 0.03), (0, top - 0.03)])
    colours = np.repeat([thing.colour, thing.colour, (240, 240, 240)], [2, 3, 3], axis=0).astype(np.uint8)
    head = box((0.55 * wide, 0.8 * wide, 0.026), (238, 238, 240), 0.004)
    nozzle = pipe(np.array([[0, 0.35 * wide, top - 0.013], [0, 0.47 * wide, top - 0.013]]), 0.005, (220, 60, 50))
    trigger = pipe(
        np.array([[0, 0.2 * wide, top - 0.02], [0, 0.38 * wide, top - 0.035], [0, 0.41 * wide, top - 0.06]]), 0.004,
        (225, 70, 50),
    )  # fmt: skip
    return joined([turned(points, colours), head.moved(shift(0, 0, top - 0.013)), nozzle, trigger], instance)


def cap(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A ribbed screw cap."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ribbed = r * (0.97 + 0.03 * (np.arange(72) % 2))
    wall = plate(np.stack([ribbed * np.cos(angle), ribbed * np.sin(angle)], -1), 1.6 * h, thing.colour)
    crown = turned(np.array([(0, 0), (0.9 * r, 0), (0.9 * r, 0.9 * h), (0.8 * r, h), (0, h)]), thing.colour)
    return joined([wall.moved(shift(0, 0, -0.2 * h)), crown], instance)


def content(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """What comes out of a package: a capsule, a crisp, a folded sheet."""
    x, _, z = thing.size_m
    if thing.form is Form.BOX:
        return box(thing.size_m, thing.colour, 0.001, None, instance, 0.05)
    if z < x / 2:  # a crisp
        return turned(
            np.array([(0, -z / 2), (x / 2, z / 2 - 0.001), (x / 2, z / 2), (0, 0.0)]), thing.colour, None, instance
        )
    r, h = x / 2, z / 2
    return turned(
        np.array([(0, -h), (0.7 * r, -h), (0.95 * r, 0.8 * h), (r, 0.8 * h), (r, h), (0, h)]),
        thing.colour,
        None,
        instance,
    )


def mug(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A mug with its handle at +y."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    wall, inner = 0.9 * r, (238, 234, 226)
    outside = [(0, -h), (0.92 * r, -h), (r, -h + 0.005), (r, h - 0.001), (0.96 * r, h)]
    inside = [(wall, h - 0.002), (wall, -0.1 * h), (0, -0.1 * h)]
    colours = np.array([thing.colour] * 4 + [inner] * 4, np.uint8)
    bend = np.linspace(-np.pi / 2, np.pi / 2, 9)
    arch = np.stack([0 * bend, 0.94 * r + 0.026 * np.cos(bend), 0.62 * h * np.sin(bend)], -1)
    return joined([turned(np.array(outside + inside), colours, shine=0.5), pipe(arch, 0.0055, thing.colour)], instance)


def wine_glass(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A glass with a stem and red wine."""
    r, h = thing.size_m[0] / 2, thing.size_m[2] / 2
    swing = np.linspace(0, 0.85 * np.pi / 2, 7)
    bowl = [(r * np.sin(0.15 + a), 0.02 * h - 0.0 + (1 - np.cos(a)) * 0.75 * h) for a in swing]
    rim = bowl[-1][0]
    profile = [
        (0, -h),
        (0.8 * r, -h),
        (0.75 * r, -h + 0.003),
        (0.004, -h + 0.008),
        (0.004, 0),
        *bowl,
        (rim, h),
        (0.93 * rim, h),
    ]
    wine = [(0.93 * rim, 0.45 * h), (0, 0.45 * h)]
    colours = np.array([thing.colour] * len(profile) + [(110, 16, 40)] * 2, np.uint8)
    return turned(np.array(profile + wine), colours, None, instance, 0.9)


def book(thing: Thing, instance: int, rng: np.random.Generator) -> Mesh:
    """A bound book, cover up and spine at -x."""
    wide, deep, high = thing.size_m
    cover = label(_texels(deep, wide), thing.colour, thing.name, rng)
    block = box((0.96 * wide, 0.97 * deep, 0.8 * high), (240, 234, 216))
    spine = box((0.05 * wide, deep, high), thing.colour, 0.002).moved(shift(-0.475 * wide, 0, 0))
    inner = joined([block, spine], instance)
    covers = [
        box((wide, deep, 0.1 * high), (255, 255, 255), 0, cover).moved(shift(0, 0, s * 0.45 * high)) for s in (-1, 1)
    ]
    # One texture for all: the block and the spine take a plain corner of it, tinted by their colours.
    plain = np.full((cover.shape[0], 2, 3), 255, np.uint8)
    texture = np.ascontiguousarray(np.concatenate([cover, plain, plain], axis=1))
    share = cover.shape[1] / texture.shape[1]
    uv = [np.tile([[1 - 1.5 / texture.shape[1], 0.5]], (len(inner.vertices), 1))]
    uv += [np.clip(c.uv, 0.02, 0.98) * (share, 1) for c in covers if c.uv is not None]
    parts = [inner, *covers]
    starts = np.cumsum([0, *(len(p.vertices) for p in parts[:-1])])
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + s for p, s in zip(parts, starts)]).astype(np.int32),
        np.concatenate([p.colours for p in parts]),
        instance,
        np.concatenate(uv).astype(np.float32),
        texture,
    )


def _printed(
    profile: list[tuple[float, float]], thing: Thing, instance: int, rng: np.random.Generator, shine: float = 0.3
) -> Mesh:
    points = np.array(profile)
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum())
    around = np.pi * thing.size_m[0]
    texture = label(_texels(length, around), thing.colour, thing.name, rng, repeats=3, bare=0.4)
    return turned(points, (255, 255, 255), texture, instance, shine)


def _texels(height: float, width: float) -> tuple[int, int]:
    return max(8, round(height / _TEXEL_M)), max(8, round(width / _TEXEL_M))
