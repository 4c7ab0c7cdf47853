"""Hands and camera as 3D objects of a viser server."""

import numpy as np
import viser
import viser.transforms
from jaxtyping import Bool, Float

from handloom.futures import Futures
from handloom.geometry import Camera
from handloom.skeleton import BONES, FINGERTIPS, HANDS, JOINT_COUNT, WRIST
from handloom.view.colours import BONE_RGB, HAND_RGB, JOINT_RGB, TRUTH_RGB

_PARENTS, _CHILDREN = np.array(BONES).T
_BONE_RADIUS_M, _JOINT_RADIUS_M, _WRIST_RADIUS_M = 0.0032, 0.0046, 0.0072
_TRUTH_SIZE = 0.6
_WIDEST_FRUSTUM_RAD = np.radians(140)
_SIDES = 12


class HandShapes:
    """Bones as cylinders, joints as spheres, a name at the wrist; missing ones shrink to nothing.

    The true hand is grey and thinner.
    """

    def __init__(self, server: viser.ViserServer, hand: int, truth: bool = False) -> None:
        name = f"truth/{HANDS[hand]}" if truth else HANDS[hand]
        size = _TRUTH_SIZE if truth else 1.0
        joint_rgb = [TRUTH_RGB] * JOINT_COUNT if truth else [HAND_RGB[hand], *JOINT_RGB[1:]]
        bone_rgb = [TRUTH_RGB] * len(BONES) if truth else BONE_RGB
        self.root = server.scene.add_frame(f"/{name}", show_axes=False)
        self._bone_radius = size * _BONE_RADIUS_M
        self._radii = np.full(JOINT_COUNT, size * _JOINT_RADIUS_M, np.float32)
        self._radii[WRIST] = size * _WRIST_RADIUS_M
        still = np.tile(np.array([1.0, 0, 0, 0], np.float32), (JOINT_COUNT, 1))
        nowhere = np.zeros((JOINT_COUNT, 3), np.float32)
        self._joints = server.scene.add_batched_meshes_simple(
            f"/{name}/joints",
            *_sphere(),
            batched_wxyzs=still,
            batched_positions=nowhere,
            batched_scales=np.zeros(JOINT_COUNT, np.float32),
            batched_colors=np.array(joint_rgb, np.uint8),
            lod="off",
        )
        self._bones = server.scene.add_batched_meshes_simple(
            f"/{name}/bones",
            *_cylinder(),
            batched_wxyzs=still[: len(BONES)],
            batched_positions=nowhere[: len(BONES)],
            batched_scales=nowhere[: len(BONES)],
            batched_colors=np.array(bone_rgb, np.uint8),
            lod="off",
        )
        self._label = server.scene.add_label(f"/{name}/label", name, anchor="top-center", visible=False)
        self._labelled = not truth

    def show(self, joints_m: Float[np.ndarray, "21 3"], valid: Bool[np.ndarray, "21"]) -> None:
        """Move to one frame's joints."""
        placed = np.where(valid[:, None], joints_m, 0).astype(np.float32)
        start, along = placed[_PARENTS], placed[_CHILDREN] - placed[_PARENTS]
        length = np.linalg.norm(along, axis=-1)
        drawn = valid[_PARENTS] & valid[_CHILDREN] & (length > 0)
        width = np.where(drawn, self._bone_radius, 0)
        self._joints.batched_positions = placed
        self._joints.batched_scales = np.where(valid, self._radii, 0).astype(np.float32)
        self._bones.batched_positions = start
        self._bones.batched_wxyzs = _from_z_axis(along, np.where(drawn, length, 1))
        self._bones.batched_scales = np.stack([width, width, np.where(drawn, length, 0)], -1).astype(np.float32)
        self._label.visible = self._labelled and bool(valid[WRIST])
        if valid[WRIST]:
            self._label.position = placed[WRIST] + np.array([0, 0.012, 0], np.float32)


class CameraShape:
    """The camera's frustum at its true field of view, with the video frame on its far end."""

    def __init__(self, server: viser.ViserServer, camera: Camera, distance_m: float) -> None:
        self._tangent_y = np.tan(min(2 * np.arctan(camera.height / camera.fy / 2), _WIDEST_FRUSTUM_RAD) / 2)
        self._aspect = (camera.width / camera.fx) / (camera.height / camera.fy)
        self.frustum = server.scene.add_camera_frustum(
            "/camera",
            fov=float(2 * np.arctan(self._tangent_y)),
            aspect=float(self._aspect),
            scale=self._scale(distance_m),
            thickness=0.0008,
            color=(90, 96, 110),
            format="jpeg",
            jpeg_quality=80,
            cast_shadow=False,
        )

    def set_distance(self, distance_m: float) -> None:
        """Put the image plane this far before the camera."""
        self.frustum.scale = self._scale(distance_m)

    def move(self, world_from_camera: Float[np.ndarray, "4 4"]) -> None:
        """Take a pose; an unknown one (NaN) hides the camera."""
        self.frustum.visible = bool(np.isfinite(world_from_camera).all())
        if self.frustum.visible:
            self.frustum.wxyz = viser.transforms.SO3.from_matrix(world_from_camera[:3, :3]).wxyz
            self.frustum.position = world_from_camera[:3, 3]

    def _scale(self, distance_m: float) -> float:
        # viser divides the pyramid (tan x, tan y, 1) by the cube root of a third of its product.
        return float(distance_m * np.cbrt(self._tangent_y**2 * self._aspect / 3))


def _from_z_axis(along: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Unit quaternions (w, x, y, z) of the shortest turns from the z axis to the given directions."""
    x, y, z = (along / length[:, None]).T
    turns = np.stack([1 + z, -y, x, np.zeros_like(x)], -1)
    turns[1 + z < 1e-6] = [0, 1, 0, 0]
    unit: np.ndarray = turns / np.linalg.norm(turns, axis=-1, keepdims=True)
    return unit.astype(np.float32)


def _cylinder() -> tuple[np.ndarray, np.ndarray]:
    """Open tube of radius 1 from z = 0 to z = 1; spheres close it."""
    angle = np.arange(_SIDES) * 2 * np.pi / _SIDES
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    vertices = np.concatenate([np.c_[ring, np.zeros(_SIDES)], np.c_[ring, np.ones(_SIDES)]])
    a = np.arange(_SIDES)
    b = (a + 1) % _SIDES
    faces = np.concatenate([np.stack([a, b, b + _SIDES], -1), np.stack([a, b + _SIDES, a + _SIDES], -1)])
    return vertices.astype(np.float32), faces.astype(np.uint32)


def _sphere() -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere of latitude rings."""
    rings = 8
    polar, angle = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.arange(_SIDES) * 2 * np.pi / _SIDES, indexing="ij")
    vertices = np.stack([np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle), np.cos(polar)], -1).reshape(
        -1, 3
    )
    ring, side = np.meshgrid(np.arange(rings), np.arange(_SIDES), indexing="ij")
    a, b = ring * _SIDES + side, ring * _SIDES + (side + 1) % _SIDES
    c, d = a + _SIDES, b + _SIDES
    faces = np.concatenate([np.stack([a, c, d], -1).reshape(-1, 3), np.stack([a, d, b], -1).reshape(-1, 3)])
    return vertices.astype(np.float32), faces.astype(np.uint32)


def add_futures(server: viser.ViserServer, futures: Futures) -> None:
    """Paths of wrists and fingertips through all futures, and the mean's last hands; a box to hide them."""
    root = server.scene.add_frame("/futures", show_axes=False)
    for hand, name in enumerate(HANDS):
        if not futures.valid[hand, WRIST]:
            continue
        for joint in (WRIST, *FINGERTIPS):
            if not futures.valid[hand, joint]:
                continue
            paths = futures.joints_m[:, :, hand, joint]
            lines = np.stack([paths[:, :-1], paths[:, 1:]], 2).reshape(-1, 2, 3).astype(np.float32)
            colour = HAND_RGB[hand] if joint == WRIST else JOINT_RGB[joint]
            width = 2.0 if joint == WRIST else 1.0
            server.scene.add_line_segments(f"/futures/{name}/{joint}", lines, colors=colour, line_width=width)
        both = futures.valid[hand, _PARENTS] & futures.valid[hand, _CHILDREN]
        last = futures.joints_m[0, -1, hand]
        bones = np.stack([last[_PARENTS[both]], last[_CHILDREN[both]]], 1).astype(np.float32)
        colours = np.repeat(np.array(BONE_RGB, np.uint8)[both, None], 2, 1)
        server.scene.add_line_segments(f"/futures/{name}/mean", bones, colors=colours, line_width=4.0)
    box = server.gui.add_checkbox("Futures", initial_value=True)
    box.on_update(lambda event: setattr(root, "visible", event.target.value))
