"""The one palette of overlay, report and viewer.

Chosen so that under normal vision, protanopia, deuteranopia and tritanopia (Machado et al. 2009, full
severity) any two fingers, and any finger on light to dark skin, stay apart in CIELAB.
"""

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

BONE_RGB: tuple[RGB, ...] = tuple(FINGER_RGB[bone // 4] for bone in range(len(BONES)))
JOINT_RGB: tuple[RGB, ...] = (WRIST_RGB, *(FINGER_RGB[(joint - 1) // 4] for joint in range(1, JOINT_COUNT)))


def hex_colour(rgb: RGB) -> str:
    """`#rrggbb` of an RGB triple."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
