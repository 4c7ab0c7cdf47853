"""Skeletons in 3D as a part of a page: the frame that skeleton.js draws in, and the data that it reads."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float

from handloom.skeleton import BONES
from handloom.view.colours import BONE_RGB, JOINT_RGB, hex_colour
from handloom.view.page import pack_joints

_VIEWS = {"camera": "0 0", "angle": "0.5 0.3", "side": "1.5708 0", "top": "0 1.55"}


def skeleton_data(
    joints_m: Float[np.ndarray, "poses hands 21 3"],
    truth_m: Float[np.ndarray, "poses hands 21 3"] | None,
    hands: Sequence[tuple[str, str]],
    *,
    plain: bool = False,
    truth_colour: str = "--truth",
    camera: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """What skeleton.js reads.

    Args:
        joints_m: the hands of every pose, NaN where unknown.
        truth_m: what is true of the same poses, drawn thin beside them.
        hands: name and colour of each hand.
        plain: draw a hand in its own colour, not in that of its fingers.
        truth_colour: of the true hands; a colour or a variable of the page.
        camera: half width and half height of its view at depth 1, where the joints are in its space.
    """
    found = [{"name": name, "colour": colour, "plain": plain, "true": False} for name, colour in hands]
    true = [{"name": "", "colour": truth_colour, "plain": True, "true": True} for _ in hands]
    return {
        "hands": found if truth_m is None else found + true,
        "bones": [{"from": a, "to": b, "colour": hex_colour(rgb)} for (a, b), rgb in zip(BONES, BONE_RGB)],
        "joint_colours": [hex_colour(rgb) for rgb in JOINT_RGB],
        "camera": camera,
        "poses": pack_joints(joints_m if truth_m is None else np.concatenate([joints_m, truth_m], axis=1)),
    }


def stage(label: str) -> str:
    """The canvas and the words over it."""
    return (
        f'<div class="stage"><canvas id="scene" tabindex="0" role="img" aria-label="{escape(label)}"></canvas>'
        '<p id="nohand" hidden>no hand in this frame</p><p id="labels" hidden></p><p id="cell"></p></div>'
    )


def view_controls(truth: bool, more: str = "") -> str:
    """Buttons of the view, and the switch of the truth where there is one; `more` is HTML."""
    buttons = "".join(f'<button data-view="{angles}">{name}</button>' for name, angles in _VIEWS.items())
    switch = '<label><input id="truth" type="checkbox" checked> truth</label>' if truth else ""
    return f'<div class="controls small"><span>View</span>{buttons}{more}{switch}</div>'
