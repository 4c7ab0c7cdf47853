"""The one palette of overlay, report and viewer.

Chosen so that under normal vision, protanopia, deuteranopia and tritanopia (Machado et al. 2009, full
severity) any two fingers, and any finger on light to dark skin, stay apart in CIELAB.
"""

from collections.abc import Iterable

from handloom.skeleton import BONES, JOINT_COUNT

RGB = tuple[int, int, int]

FINGER_RGB: tuple[RGB, ...] = ((255, 233, 77), (85, 233, 193), (31, 139, 255), (100, 41, 220), (255, 98, 194))
"""Thumb, index, middle, ring, little finger."""

WRIST_RGB: RGB = (240, 240, 244)
HAND_RGB: tuple[RGB, RGB] = ((47, 128, 237), (242, 129, 29))
"""Left blue, right orange: badges and plot lines."""

OUTLINE_RGB: tuple[RGB, RGB] = ((255, 255, 255), (16, 18, 24))
"""Left white, right near black: the edge around a drawn skeleton."""

FADED_RGB: RGB = (150, 150, 156)
"""What a colour turns into as confidence goes to 0."""

LABEL_RGB: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (92, 120, 235),
    (213, 94, 0),
    (150, 150, 156),
)
"""Objects and actions, in order of their appearance, over and over (after Okabe and Ito 2008). Their names always
stand beside."""

TRUTH_RGB: RGB = (108, 112, 122)
"""The true skeleton: one grey, so that it is not taken for a prediction."""

BONE_RGB: tuple[RGB, ...] = tuple(FINGER_RGB[bone // 4] for bone in range(len(BONES)))
JOINT_RGB: tuple[RGB, ...] = (WRIST_RGB, *(FINGER_RGB[(joint - 1) // 4] for joint in range(1, JOINT_COUNT)))


def label_colours(labels: Iterable[str]) -> dict[str, RGB]:
    """A colour for every label, by its first appearance."""
    return {label: LABEL_RGB[row % len(LABEL_RGB)] for row, label in enumerate(dict.fromkeys(labels))}


def hex_colour(rgb: RGB) -> str:
    """`#rrggbb` of an RGB triple."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
