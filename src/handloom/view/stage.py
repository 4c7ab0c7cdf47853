"""What surrounds the hands in the 3D viewer: the ground, the light, where the viewer stands."""

import numpy as np
import viser
from jaxtyping import Float

from handloom.hands import HandTrack

GROUND_BELOW_M = 0.05
_CAMERA_UP, _CAMERA_AHEAD = np.array([0.0, -1, 0]), np.array([0.0, 0, 1])
_LOOKS_DOWN = 0.5
_GRID_PLANES = ("yz", "xz", "xy")
"""Perpendicular to each axis."""


def directions(track: HandTrack) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Up and ahead, each along an axis of the record's frame.

    In camera space those of the camera. A world does not say which way is up: where its cameras are known, they are
    upright on the whole and look level or down at the hands (20 degrees up to 70 down), and the axes nearest to that
    are taken; else those of a camera.
    """
    if track.frame != "world" or track.world_from_camera is None:
        return _CAMERA_UP, _CAMERA_AHEAD
    turns = track.world_from_camera[np.isfinite(track.world_from_camera).all((1, 2)), :3, :3]
    if not len(turns):
        return _CAMERA_UP, _CAMERA_AHEAD
    mean = turns.mean(0)
    up = _axis(mean @ (_CAMERA_UP - _LOOKS_DOWN * _CAMERA_AHEAD))
    return up, _axis((mean @ _CAMERA_AHEAD) * (up == 0))


def set_stage(
    server: viser.ViserServer,
    points: Float[np.ndarray, "points 3"],
    up: Float[np.ndarray, "3"],
    ahead: Float[np.ndarray, "3"],
) -> None:
    """Axes at the origin; a grid with 5 cm cells below all points; the viewer behind and above."""
    low, high = np.percentile(points, [2, 98], axis=0)
    scene, centre, size = server.scene, (low + high) / 2, float(np.linalg.norm(high - low))
    ground = float((points @ up).min()) - GROUND_BELOW_M
    scene.set_up_direction(tuple(up))
    scene.configure_environment_map(environment_intensity=0.4)  # the default washes the finger colours out
    scene.world_axes.visible = True
    scene.world_axes.axes_length, scene.world_axes.axes_radius = 0.08, 0.0015
    scene.world_axes.origin_radius = 0.003
    scene.add_grid(
        "/grid",
        width=2.0,
        height=2.0,
        plane=_GRID_PLANES[int(np.abs(up).argmax())],  # type: ignore[arg-type]
        cell_size=0.05,
        section_size=0.25,
        cell_color=(214, 216, 222),
        section_color=(176, 180, 190),
        position=tuple(centre + (ground - centre @ up) * up),
    )
    right = np.cross(ahead, up)
    stands = centre + (right + 0.8 * up - 1.6 * ahead) * max(size, 0.25)
    server.initial_camera.up = tuple(up)
    server.initial_camera.look_at = tuple(centre)
    server.initial_camera.position = tuple(stands)
    server.initial_camera.fov = float(np.radians(50))


def _axis(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """The signed axis nearest to a vector."""
    largest = int(np.abs(vector).argmax())
    return np.asarray(np.eye(3)[largest] * (np.sign(vector[largest]) or 1.0))
