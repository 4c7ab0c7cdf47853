"""Handloom turns video of hands into structured, metric data.

    import handloom

    track = handloom.track("clip.mp4", "out")   # both hands, every frame, metres
    track = handloom.load("out")                # the same record, later

Names are imported on first use, so that `import handloom` stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handloom.forecast.forecaster import Forecaster
    from handloom.forecast.recognise import Recogniser
    from handloom.forecast.refine import Refiner
    from handloom.formats.result import read_track as load
    from handloom.hands import HandTrack
    from handloom.tracking.pipeline import track

__version__ = "0.1.0"
__all__ = ["Forecaster", "HandTrack", "Recogniser", "Refiner", "load", "track"]

_HOMES = {
    "Forecaster": ("handloom.forecast.forecaster", "Forecaster"),
    "Recogniser": ("handloom.forecast.recognise", "Recogniser"),
    "Refiner": ("handloom.forecast.refine", "Refiner"),
    "HandTrack": ("handloom.hands", "HandTrack"),
    "load": ("handloom.formats.result", "read_track"),
    "track": ("handloom.tracking.pipeline", "track"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'handloom' has no attribute {name!r}")
    import importlib

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
