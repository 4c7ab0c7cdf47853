"""A take as something to be drawn: meshes of hands and things, and where they are in each frame."""

import zlib
from dataclasses import dataclass

import numpy as np

from handloom.simulate.background import make_background
from handloom.simulate.complexion import skin_colours, skin_tone
from handloom.simulate.hand import bone_frames
from handloom.simulate.mesh import FIRST_OBJECT, LEFT_HAND, RIGHT_HAND, Mesh, Placement, Scene
from handloom.simulate.objects import make_object
from handloom.simulate.render import Joints
from handloom.simulate.sleeve import FOREARM, Sleeve
from handloom.simulate.surface import HandSurface, hand_surface, skin
from handloom.simulate.take import Take
from handloom.skeleton import JOINT_COUNT, LEFT, RIGHT

_INSTANCES = (LEFT_HAND, RIGHT_HAND)


@dataclass(frozen=True, eq=False)
class Set:
    """What a take shows.

    Attributes:
        take: the take.
        scene: table, hands, sleeves and things.
        shown: the hands that are drawn.
        surfaces: their skins.
        sleeves: what joins their forearms to the trunk.
    """

    take: Take
    scene: Scene
    shown: tuple[int, ...]
    surfaces: tuple[HandSurface, ...]
    sleeves: tuple[Sleeve, ...]

    def placements(self, frame: int) -> list[Placement]:
        """Where every moving mesh is in a frame: hands, then sleeves, then things."""
        motion = self.take.motion
        hands: list[Placement] = []
        arms: list[Placement] = []
        for hand, surface, sleeve in zip(self.shown, self.surfaces, self.sleeves):
            shape = (self.take.person.left, self.take.person.right)[hand]
            parts = bone_frames(shape, motion.world_from_hand[frame, hand], motion.angles[frame, hand])
            hands.append(skin(surface, parts).astype(np.float64))
            arms.append(sleeve.vertices(parts[FOREARM]))
        return [*hands, *arms, *motion.world_from_thing[frame]]

    def joints(self, frame: int) -> Joints:
        """The joints of the hands that are drawn, whose visibility is asked for."""
        shapes = (self.take.person.left, self.take.person.right)
        return Joints(
            self.take.joints_m[frame, list(self.shown)].reshape(-1, 3).astype(np.float64),
            np.repeat([_INSTANCES[hand] for hand in self.shown], JOINT_COUNT),
            np.concatenate([shapes[hand].radii_m for hand in self.shown]),
        )


def build_set(take: Take) -> Set:
    """Meshes for everything in a take; recordings of one person in one place share the room."""
    shown = (RIGHT,) if take.rig.taxonomy.one_hand else (LEFT, RIGHT)
    surfaces = tuple(hand_surface((take.person.left, take.person.right)[hand]) for hand in shown)
    hands = [_hand_mesh(take, hand, surface) for hand, surface in zip(shown, surfaces)]
    things = [make_object(prop, FIRST_OBJECT + k) for k, prop in enumerate(take.props)]
    room, light = make_background(zlib.crc32(f"{take.seed} {take.recording.subject} {take.recording.scene}".encode()))
    sleeves = tuple(Sleeve.over(surface) for surface in surfaces)
    arms = [sleeve.mesh(room[-1]) for sleeve in sleeves]
    return Set(take, Scene(room, (*hands, *arms, *things), light), shown, surfaces, sleeves)


def _hand_mesh(take: Take, hand: int, surface: HandSurface) -> Mesh:
    person = take.person
    colours = skin_colours(surface, skin_tone(person.darkness), np.random.default_rng(person.skin_seed))
    return Mesh(
        surface.vertices_m.astype(np.float32),
        surface.faces.astype(np.int32),
        np.rint(255 * colours).astype(np.uint8),
        _INSTANCES[hand],
        shine=0.12,
    )
