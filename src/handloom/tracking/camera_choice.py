"""Which camera to use, and how sure it is."""

from dataclasses import asdict, dataclass
from typing import Any

from handloom.formats.cameras import camera_for_size, read_camera
from handloom.geometry import Camera, Pinhole
from handloom.hands import CameraSource
from handloom.tracking.options import TrackOptions
from handloom.tracking.truth import camera_of_video, is_store

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


def choose_camera(options: TrackOptions, width: int, height: int, source: str | int) -> CameraChoice:
    """The calibration if one is given, else the field of view, else a guess that says so.

    Args:
        options: of the run.
        width, height: of the pictures.
        source: the video; a store that is given as calibration is asked for the camera that took it.

    Raises:
        CalibrationError: the file is malformed or does not belong to pictures of this size.
        InputError: the store does not have this video.
    """
    if options.camera is not None and is_store(options.camera):
        camera = camera_of_video(options.camera, options.camera_name, source)
        camera = camera_for_size(str(options.camera), camera, (width, height), options.rescale_camera)
        return CameraChoice(camera, CameraSource.CALIBRATED, f"camera of the store {options.camera}")
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
