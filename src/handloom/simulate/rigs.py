"""Camera rigs of the papers' captures: which cameras there are, where they stand, what their lenses do.

World frame: metres, z up, the table top is z = 0 with the middle of the work space at the origin; the person sits at
negative y and looks towards positive y.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.formats.assembly_names import EGO_CAMERAS, EXO_CAMERAS
from handloom.geometry import BrownConrady, Camera, OVFishEye62, Pinhole, rigid, rotation_from_vector
from handloom.simulate.taxonomy import ASSEMBLY, DESKTOP, FPHA, H2O, Taxonomy

WORK_SPACE = np.array([0.0, 0.0, 0.10])
"""What fixed cameras look at: the middle of the space in which the hands work."""


class Mount(StrEnum):
    """What a camera is fixed to."""

    WORLD = "world"
    HEAD = "head"


@dataclass(frozen=True, eq=False)
class RigCamera:
    """One camera of a rig.

    Attributes:
        name: as the data set calls it.
        camera: intrinsics at the full size.
        mount: what the camera is fixed to.
        pose: world_from_camera, or head_from_camera for a camera on the head.
        monochrome: one channel instead of three.
    """

    name: str
    camera: Camera
    mount: Mount
    pose: Float[np.ndarray, "4 4"]
    monochrome: bool = False


@dataclass(frozen=True, eq=False)
class Rig:
    """Cameras, frame rate and taxonomy of a capture.

    Attributes:
        name: as on the command line.
        cameras: all cameras.
        taxonomy: the actions that are recorded with it.
        frame_rate: frames per second.
        trimmed: one action per recording, instead of long recordings of many.
        default_subjects: as many as the data set has, or as it takes for every split to have one.
    """

    name: str
    cameras: tuple[RigCamera, ...] = field(repr=False)
    taxonomy: Taxonomy = field(repr=False)
    frame_rate: Fraction = Fraction(30)
    trimmed: bool = False
    default_subjects: int = 4


def rig(name: str) -> Rig:
    """The rig of a name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in RIGS:
        raise InputError(f"unknown rig {name!r}; there are {', '.join(RIGS)}")
    return RIGS[name]


def camera_poses(camera: RigCamera, world_from_head: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 4 4"]:
    """`world_from_camera` of every frame: constant for a fixed camera, moving with the head for the others."""
    if camera.mount is Mount.HEAD:
        return np.asarray(world_from_head @ camera.pose)
    return np.broadcast_to(camera.pose, world_from_head.shape).copy()


def looking_at(
    position: Float[np.ndarray, "*batch 3"], target: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "*batch 4 4"]:
    """`world_from_camera` of upright cameras at `position` that look at `target`; not straight up or down."""
    forward = target - position
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    rotation = np.stack([right, np.cross(forward, right), forward], axis=-1)
    return np.asarray(rigid(rotation, np.array(position, dtype=np.float64)))


def _around(
    count: int, radius: float, height: float, start_deg: float, sweep_deg: float
) -> list[Float[np.ndarray, "3"]]:
    """Positions on an arc around the work space; 90 degrees is opposite the person."""
    angles = np.radians(start_deg + sweep_deg * np.linspace(0, 1, count))
    return [np.array([radius * np.cos(angle), radius * np.sin(angle), height]) for angle in angles]


def _fixed(
    name: str, camera: Camera, position: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"] = WORK_SPACE
) -> RigCamera:
    return RigCamera(name, camera, Mount.WORLD, looking_at(position, target))


def _h2o() -> Rig:
    # Azure Kinects at 1280 x 720; the head camera's values are those of the data set.
    lens = Pinhole(1280, 720, 636.6593, 636.2520, 635.2839, 366.8740)
    shift = ((612.1, 637.4, 364.2), (609.3, 641.8, 368.9), (614.7, 633.5, 361.0), (607.9, 644.2, 370.3))
    positions = _around(4, 0.60, 0.45, 20, 140)
    fixed = [
        _fixed(f"cam{i}", replace(lens, fx=f, fy=f, cx=cx, cy=cy), position + np.array([0, 0, 0.08 * (i % 2)]))
        for i, ((f, cx, cy), position) in enumerate(zip(shift, positions))
    ]
    head = RigCamera("cam4", lens, Mount.HEAD, _on_head((0, -0.06, 0.02), pitch_deg=0))
    return Rig("h2o", (*fixed, head), H2O)


def _fpha() -> Rig:
    lens = Pinhole(1920, 1080, 1395.749023, 1395.749268, 935.732544, 540.681030)
    head = RigCamera("color", lens, Mount.HEAD, _on_head((0.08, 0.02, -0.02), pitch_deg=0))
    return Rig("fpha", (head,), FPHA, trimmed=True, default_subjects=6)


def _assembly() -> Rig:
    rng = np.random.default_rng(101)  # only makes the eight lenses unequal
    places = [*_around(5, 0.85, 0.62, 8, 164), *_around(3, 0.45, 0.95, 40, 100)]
    fixed = []
    for name, place in zip(EXO_CAMERAS, places):
        focal = rng.uniform(1193, 1249)
        cx, cy = (np.array([959.5, 539.5]) + rng.normal(0, 9, 2)).tolist()
        distortion = tuple((np.array([0.082, -0.21, 2e-4, -4e-4, 0.11]) * rng.uniform(0.8, 1.2, 5)).tolist())
        lens = BrownConrady(1920, 1080, focal, focal, cx, cy, distortion)
        fixed.append(_fixed(name, lens, place + rng.normal(0, 0.02, 3)))
    headset = []
    # (right, down, forward) on the head, yaw to the right and pitch down in degrees.
    corners = ((0.075, -0.035, 18, -4), (-0.075, -0.035, -18, -4), (0.065, 0.03, 14, 22), (-0.065, 0.03, -14, 22))
    for name, (x, y, yaw, pitch) in zip((names[1] for names in EGO_CAMERAS), corners):
        focal = rng.uniform(191, 193)
        cx, cy = (np.array([317.5, 239.5]) + rng.normal(0, 3, 2)).tolist()
        bends = np.array((0.021, -0.013, 3.1e-3, -4e-4, 3e-4, -2e-4, 2e-5, -5e-7)) * rng.uniform(0.9, 1.1, 8)
        lens_62 = OVFishEye62(636, 480, focal, focal, cx, cy, tuple(bends.tolist()))
        pose = _on_head((x, y, 0.08), pitch_deg=pitch, yaw_deg=yaw)
        headset.append(RigCamera(name, lens_62, Mount.HEAD, pose, monochrome=True))
    return Rig("assembly", (*fixed, *headset), ASSEMBLY, default_subjects=5)


def _desktop() -> Rig:
    places = [*_around(5, 0.95, 0.30, -20, 220), *_around(4, 0.70, 0.75, 15, 150), *_around(3, 0.35, 1.15, 60, 240)]
    cameras = [
        _fixed(f"view{i:02d}", Pinhole.from_fov(1280, 1024, 58 + 1.5 * (i % 4)), place)
        for i, place in enumerate(places)
    ]
    return Rig("desktop", tuple(cameras), DESKTOP, default_subjects=3)


def _on_head(position: tuple[float, float, float], pitch_deg: float, yaw_deg: float = 0) -> Float[np.ndarray, "4 4"]:
    """`head_from_camera`: both frames x right, y down, z forward; pitch is downwards, yaw to the right."""
    yaw = rotation_from_vector(np.radians([0.0, yaw_deg, 0.0]))
    pitch = rotation_from_vector(np.radians([-pitch_deg, 0.0, 0.0]))
    return np.asarray(rigid(yaw @ pitch, np.array(position, dtype=np.float64)))


RIGS = {made.name: made for made in (_h2o(), _fpha(), _assembly(), _desktop())}
