"""How the things look: a closed, coloured, printed mesh for every `Prop` and its parts, to scale, in the prop's frame.

The frame has the thing's middle as origin and z up as it rests; its size is that of the prop, so that a grip which
fits the prop fits the mesh. Handles and the like may stand out along y.
"""

import zlib

import numpy as np

from handloom.simulate import packages, tools
from handloom.simulate.mesh import Mesh
from handloom.simulate.packages import Builder, Thing
from handloom.simulate.props import Form


def make_object(thing: Thing, instance: int) -> Mesh:
    """The mesh of a thing, or of a part that comes off it. The same thing always looks the same."""
    rng = np.random.default_rng(zlib.crc32(f"{thing.name} {thing.colour} {thing.size_m}".encode()))
    builder = _LOOKS.get(thing.name) or (packages.tin if thing.form is Form.CYLINDER else packages.carton)
    return builder(thing, instance, rng)


_LOOKS: dict[str, Builder] = {
    "lid": packages.cap,
    "content": packages.content,
    "book": packages.book,
    "lotion": packages.bottle(0.78, 0.48),
    "milk": packages.bottle(0.66, 0.5),
    "juice": packages.bottle(0.66, 0.5, 0.5),
    "juice bottle": packages.bottle(0.66, 0.5, 0.5),
    "liquid soap": packages.bottle(0.72, 0.5),
    "peanut butter": packages.bottle(0.84, 0.84),
    "wine bottle": packages.bottle(0.62, 0.34, 0.8),
    "salt": packages.bottle(0.8, 0.7),
    "soda can": packages.bottle(0.88, 0.8, 0.8),
    "spray": packages.spray,
    "mug": packages.mug,
    "wine glass": packages.wine_glass,
    "fork": tools.utensil,
    "spoon": tools.utensil,
    "sponge": tools.sponge,
    "pen": tools.stick((220, 220, 224), 0.12),
    "match": tools.stick((160, 40, 36), 0.09, 0.0),
    "coin": tools.coin,
    "calculator": tools.calculator,
    "glasses": tools.glasses,
    "wallet": tools.plain(0.006, 0.15),
    "cell charger": tools.plain(0.004, 0.3),
    "paper": tools.plain(0.0, 0.0),
    "letter": tools.plain(0.001, 0.0),
    "wheel": tools.wheel,
    "gear": tools.gear,
    "tube": tools.tube,
    "cabin": tools.cabin,
    "bumper": tools.bumper,
    "block": tools.block,
}
