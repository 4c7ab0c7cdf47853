"""Numbers of HTT's paper (Wen et al., CVPR 2023), to stand beside measured ones. They hold for real video only."""

from collections.abc import Mapping
from dataclasses import dataclass

from handloom.metrics.pose import FPHA_RANGES, H2O_RANGES, Ranges


@dataclass(frozen=True)
class Published:
    """Where from, and values: (hand, space) to MEPE in mm and AUC, and the accuracy of actions."""

    source: str
    pose: Mapping[tuple[str, str], tuple[float, float]]
    action_accuracy: float


_HTT = {
    FPHA_RANGES: Published(
        "HTT on FPHA (Tables 1 and 4)",
        {("right", "camera"): (15.81, 0.810), ("right", "root-aligned"): (12.13, 0.763)},
        0.9409,
    ),
    H2O_RANGES: Published(
        "HTT on H2O test (Tables 2, 3 and 4)",
        {
            ("left", "camera"): (35.02, 0.614),
            ("right", "camera"): (35.63, 0.604),
            ("left", "root-aligned"): (16.59, 0.674),
            ("right", "root-aligned"): (17.91, 0.648),
        },
        0.8636,
    ),
}


def published(ranges: Ranges) -> Published | None:
    """The paper's numbers over the same ranges, if it has any; other ranges cannot be compared."""
    return _HTT.get(ranges)
