"""Which camera to use, and how sure it is."""

from dataclasses import asdict, dataclass
from typing import Any

from handloom.formats.cameras import read_camera
from handloom.geometry import Camera, Pinhole
from handloom.hands import CameraSource
from handloom.tracking.options import TrackOptions

GUESSED_FOV_DEG = 60.0
"""Across the longer side of the picture: about what laptops and phones have."""


@dataclass(frozen=True)
class CameraChoice:
    """A camera, where it comes from, and a sentence for people."""

    camera: Camera
    source: CameraSource
    note: str

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "source": str(self.source),
            "model": type(self.camera).__name__,
            **asdict(self.camera),
            "note": self.note,
        }


def choose_camera(options: TrackOptions, width: int, height: int) -> CameraChoice:
    """The calibration if one is given, else the field of view, else a guess that says so.

    Raises:
        CalibrationError: the file is malformed or does not belong to pictures of this size.
    """
    if options.camera is not None:
        camera = read_camera(options.camera, (width, height), name=options.camera_name, rescale=options.rescale_camera)
        return CameraChoice(camera, CameraSource.CALIBRATED, f"calibration file {options.camera}")
    if options.fov is not None:
        camera = Pinhole.from_fov(width, height, options.fov)
        note = f"pinhole from a horizontal field of view of {options.fov:g} degrees; lens distortion ignored"
        return CameraChoice(camera, CameraSource.FIELD_OF_VIEW, note)
    focal = Pinhole.from_fov(max(width, height), 1, GUESSED_FOV_DEG).fx
    guess = Pinhole(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return CameraChoice(guess, CameraSource.GUESSED, f"guessed: {GUESSED_FOV_DEG:g} degrees across the longer side")
