"""Names and constants of FPHA (README of guiggh/hand_pose_action; Garcia-Hernando et al. 2018)."""

import numpy as np

from handloom.geometry import Pinhole, rigid

_ACTIONS_OF_OBJECTS = (
    ("juice", "open_juice_bottle close_juice_bottle pour_juice_bottle"),
    ("peanut_butter", "open_peanut_butter close_peanut_butter"),
    ("fork", "prick"),
    ("spoon", "sprinkle scoop_spoon put_sugar stir"),
    ("milk", "open_milk close_milk pour_milk"),
    ("mug", "drink_mug"),
    ("tea_bag", "put_tea_bag"),
    ("salt", "put_salt"),
    ("liquid_soap", "open_liquid_soap close_liquid_soap pour_liquid_soap"),
    ("sponge", "wash_sponge flip_sponge scratch_sponge squeeze_sponge"),
    ("soda_can", "open_soda_can"),
    ("spray", "use_flash"),
    ("pen", "write"),
    ("paper", "tear_paper squeeze_paper"),
    ("letter", "open_letter take_letter_from_enveloppe"),
    ("paper", "read_letter"),
    ("book", "flip_pages"),
    ("calculator", "use_calculator"),
    ("match", "light_candle"),
    ("cell_charger", "charge_cell_phone"),
    ("glasses", "unfold_glasses clean_glasses"),
    ("wallet", "open_wallet"),
    ("coin", "give_coin receive_coin"),
    ("card", "give_card"),
    ("wine_bottle", "pour_wine"),
    ("wine_glass", "toast_wine"),
    ("hand", "handshake high_five"),
)
OBJECT_OF_ACTION = {action: item for item, actions in _ACTIONS_OF_OBJECTS for action in actions.split()}
"""Object of each of the 45 actions, in the order of their labels 0 ... 44: what stands in `action_object_info.txt`.

That file is in the download but not in its description, and not every copy has it.
"""
ACTIONS = tuple(OBJECT_OF_ACTION)
OBJECTS = tuple(dict.fromkeys(OBJECT_OF_ACTION.values()))
"""26 objects, in the order of their first appearance."""

RENAMED = {
    "open_dish_soap": "open_liquid_soap",
    "close_dish_soap": "close_liquid_soap",
    "pour_dish_soap": "pour_liquid_soap",
    "read_paper": "read_letter",
    "use_spray": "use_flash",
}
"""Names of the paper, and those of the files."""

IGNORED = ("Subject_2/close_milk/4", "Subject_2/put_tea_bag/2", "Subject_4/flip_sponge/2")
"""Recordings that the README asks to leave out."""

SUBJECTS = tuple(f"Subject_{number}" for number in range(1, 7))
FRAME_RATE = 30

CAMERA = Pinhole(1920, 1080, fx=1395.749023, fy=1395.749268, cx=935.732544, cy=540.681030)
"""The colour camera of all recordings."""


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Published with 12 digits; a pose must invert exactly."""
    U, _, Vt = np.linalg.svd(matrix)
    return np.asarray(U @ Vt)


CAMERA_FROM_WORLD = rigid(
    _nearest_rotation(
        np.array(
            [
                [0.999988496304, -0.00468848412856, 0.000982563360594],
                [0.00469115935266, 0.999985218048, -0.00273845880292],
                [-0.000969709653873, 0.00274303671904, 0.99999576807],
            ]
        )
    ),
    np.array([0.0257, 0.00122, 0.003902]),
)
"""Colour camera from the frame of `skeleton.txt` ("world"), in metres."""


def verb_of(action: str) -> str:
    """The verb of an action: its first word, but for high_five."""
    return "high five" if action == "high_five" else action.split("_")[0]
