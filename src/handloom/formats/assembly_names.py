"""What AssemblyHands and Assembly101 share: names of recordings and cameras, and how they count frames."""

import re
from typing import NamedTuple

from handloom.errors import InputError

ID_RATE = 60
"""Frame ids count 60 per second, whatever the rate of a video or an annotation."""

ACTION_RATE = 30
"""The tables of actions count 30 frames per second."""

EXO_CAMERAS = (
    "C10095_rgb",
    "C10115_rgb",
    "C10118_rgb",
    "C10119_rgb",
    "C10379_rgb",
    "C10390_rgb",
    "C10395_rgb",
    "C10404_rgb",
)
"""Fixed views v1 ... v8."""

EGO_CAMERAS = (
    ("HMC_84346135_mono10bit", "HMC_21176875_mono10bit"),
    ("HMC_84347414_mono10bit", "HMC_21176623_mono10bit"),
    ("HMC_84355350_mono10bit", "HMC_21110305_mono10bit"),
    ("HMC_84358933_mono10bit", "HMC_21179183_mono10bit"),
)
"""Views e1 ... e4 of the headset, of which there are two."""

COMMON_NAMES = {name: f"e{view}" for view, names in enumerate(EGO_CAMERAS, 1) for name in names}
"""What AssemblyHands calls the views of either headset."""

EXO_SIZE, EGO_SIZE = (1920, 1080), (636, 480)

_SEQUENCE = re.compile(r".+_\d+-(?P<toy>\w+?)_(?P<subject>\d+)_user_id_.+")


class Sequence(NamedTuple):
    """What the name of a recording says."""

    subject: str
    toy: str


def parse_sequence(name: str, place: object) -> Sequence:
    """Subject and toy in a name like `nusar-2021_action_both_9033-a30_9033_user_id_2021-02-04_131528`.

    Raises:
        InputError: the name is not built like this.
    """
    match = _SEQUENCE.fullmatch(name)
    if match is None or "/" in name:
        raise InputError(
            f"{place}: unknown subject in {name!r}; recordings are called "
            "nusar-2021_action_both_<subject>-<toy>_<subject>_user_id_<date>_<time>"
        )
    return Sequence(match["subject"], match["toy"])


def full_camera_name(name: str, egocentric: bool) -> str:
    """The name of the videos' files: annotations leave "_mono10bit" out, calibrations "HMC_"."""
    if not egocentric:
        return name
    return f"{'' if name.startswith('HMC_') else 'HMC_'}{name}{'' if name.endswith('_mono10bit') else '_mono10bit'}"


def is_egocentric(name: str) -> bool:
    """Whether a full camera name is that of a view of the headset."""
    return name.startswith("HMC_")
