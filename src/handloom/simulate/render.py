"""The renderer: a scene through a camera, as a picture with its depth, its instance masks and what joints it shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from handloom.errors import InputError
from handloom.geometry import Camera, Pinhole, apply_rigid, invert_rigid
from handloom.simulate import raster, shading, shutter, texels
from handloom.simulate.mesh import Mesh, Placement, Scene

SKIN_ALLOWANCE = 1.5
"""A ray that meets a joint at a slant goes through more of its own flesh than the joint's radius: by 1 / sin(slant),
here 42 degrees. Deeper inside, the joint is hidden by its own hand."""
_SKIN_TOLERANCE_M = 0.001


@dataclass(frozen=True, eq=False)
class Joints:
    """Points inside of bodies, whose visibility is asked for.

    Attributes:
        points_m: in the world. A NaN is never visible.
        instances: the body that each is in.
        radii_m: how far each lies below its skin.
    """

    points_m: Float[np.ndarray, "J 3"]
    instances: Int[np.ndarray, "J"]
    radii_m: Float[np.ndarray, "J"]


@dataclass(frozen=True, eq=False)
class Picture:
    """One rendered frame.

    Attributes:
        image: sRGB, or luminance in sRGB code with one channel.
        depth_m: the camera frame's z of what each pixel shows; 0 where it shows nothing.
        instances: instance numbers; `mesh.BACKGROUND` where there is nothing.
        inside: which joints fall into the image.
        visible: which of those can be seen; see `Renderer.render`.
    """

    image: UInt8[np.ndarray, "H W channels"]
    depth_m: Float32[np.ndarray, "H W"]
    instances: UInt8[np.ndarray, "H W"]
    inside: Bool[np.ndarray, "J"]
    visible: Bool[np.ndarray, "J"]


_NO_JOINTS = Joints(np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0))


class Renderer:
    """Draws one scene through one camera, frame after frame. Not to be shared between threads."""

    def __init__(self, scene: Scene, camera: Camera, monochrome: bool = False) -> None:
        self.scene, self.camera = scene, camera
        self._rays, self._cones, self._cone = _view(camera)
        # An arc of this length on a circle of one focal length bulges by half as much.
        self._bending = 0.0 if isinstance(camera, Pinhole) else 1 / (4 * min(camera.fx, camera.fy))
        self._pack((*scene.moving, *scene.background))
        size, count = (camera.height, camera.width), len(self._faces)
        self._edges, self._planes = np.empty((count, 9), np.float32), np.empty((count, 3), np.float32)
        self._boxes, self._ids = np.empty((count, 4), np.float32), np.empty(count, np.uint32)
        self._points, self._normals = np.empty((len(self._uv), 3)), np.empty((len(self._uv), 3), np.float32)
        self._pixels, self._used = np.empty((len(self._uv), 2)), np.empty(len(self._uv), bool)
        self._before, self._unused = np.empty_like(self._points), np.empty_like(self._normals)
        self._lit = np.empty(size, np.float32)
        self._nearness, self._seen = np.empty(size, np.float32), np.empty(size, np.uint32)
        self._shadow, self._first_shadow = np.empty((2, shading.SHADOW_SIZE, shading.SHADOW_SIZE), np.float32)
        self._channels = 1 if monochrome else 3

    def render(
        self,
        world_from_camera: Float[np.ndarray, "4 4"],
        placements: Sequence[Placement] = (),
        joints: Joints = _NO_JOINTS,
    ) -> Picture:
        """Draw one frame.

        A joint is visible if it is inside the image and the ray from the camera to it meets, before the joint, no
        front of another instance, and its own instance not earlier than `SKIN_ALLOWANCE` times the joint's radius
        before it (plus 1 mm). This is computed on the triangles, not on pixels.

        Args:
            world_from_camera: pose of the camera.
            placements: one per moving mesh of the scene. Vertices that are not finite leave holes.
            joints: points whose visibility is asked for.

        Raises:
            InputError: placements that do not fit the scene, or a pose that is not finite.
        """
        self.scene.check(placements)
        if not np.isfinite(world_from_camera).all():
            raise InputError("the pose of a camera to render from must be finite")
        camera_from_world = invert_rigid(world_from_camera.astype(np.float64))
        self._place(camera_from_world, placements, self._points, self._normals)
        count = self._project()
        self._draw(count)
        image, depth, instances = self._shade(camera_from_world)
        inside, visible = self._look_for(joints, camera_from_world, count)
        return Picture(image, depth, instances, inside, visible)

    def _pack(self, meshes: Sequence[Mesh]) -> None:
        """All meshes as one, with tables of their looks."""
        counts = [len(mesh.vertices) for mesh in meshes]
        self._starts = np.cumsum([0, *counts])
        empty, still = np.zeros((0, 3), np.float32), self.scene.background
        self._background = (
            np.concatenate([empty, *(mesh.vertices for mesh in still)]),
            np.concatenate([empty, *(mesh.normals for mesh in still)]),
        )
        faces = [mesh.faces + start for mesh, start in zip(meshes, self._starts)]
        self._faces = np.concatenate([np.zeros((0, 3), np.int32), *faces]).astype(np.uint32)
        self._moving_faces = self._faces[: sum(len(mesh.faces) for mesh in self.scene.moving)]
        self._face_mesh = np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes]).astype(np.uint32)
        self._instance_of = np.array([mesh.instance for mesh in meshes], np.uint8)
        self._face_instance = self._instance_of[self._face_mesh]
        self._shine_of = np.array([mesh.shine for mesh in meshes], np.float32)
        self._colours = np.concatenate(
            [np.zeros((0, 3), np.float32), *(shading.LINEAR[mesh.colours] for mesh in meshes)]
        )
        self._uv = np.concatenate(
            [np.zeros((0, 2), np.float32)]
            + [np.zeros((n, 2), np.float32) if m.uv is None else _unsigned(m.uv) for m, n in zip(meshes, counts)]
        )
        corners = self._colours[self._faces]
        self._flat = (corners == corners[:, :1]).all((1, 2))
        self._flat[: len(self._moving_faces)] = False
        bends = np.concatenate([np.zeros((0, 3)), *(m.normals for m in meshes)])[self._faces]
        self._flat &= (bends == bends[:, :1]).all((1, 2))
        self._textures, self._texture_of = texels.packed([mesh.texture for mesh in meshes], shading.LINEAR)

    def moves_px(
        self, world_from_camera: Float[np.ndarray, "4 4"], placements: Sequence[Placement]
    ) -> Float32[np.ndarray, "rows columns 2"]:
        """How far what the latest picture shows has come in the image since camera and scene were placed so.

        Returns:
            Pixels to the right and down, for every `shutter.STEP`-th row and column; 0 where nothing is seen.
        """
        self._place(invert_rigid(world_from_camera.astype(np.float64)), placements, self._before, self._unused)
        moves = np.empty((*(-(-side // shutter.STEP) for side in self._seen.shape), 2), np.float32)
        shutter.find_moves(
            self._nearness, self._seen, self._ids, self._edges, self._rays, self._faces, self._before, moves
        )
        return moves

    def _place(
        self,
        camera_from_world: Float[np.ndarray, "4 4"],
        placements: Sequence[Placement],
        points: Float[np.ndarray, "V 3"],
        normals: Float32[np.ndarray, "V 3"],
    ) -> None:
        """Everything into the camera frame; what is not there as NaN, which is never drawn."""
        for k, (mesh, placement) in enumerate(zip(self.scene.moving, placements)):
            here = slice(self._starts[k], self._starts[k + 1])
            if placement is None:
                points[here] = np.nan
            elif placement.shape == (4, 4):
                camera_from_mesh = camera_from_world @ placement
                shading.place(camera_from_mesh, mesh.vertices, mesh.normals, points[here], normals[here])
            else:
                vertices = np.asarray(placement, dtype=np.float64)
                shading.place_skin(camera_from_world, vertices, mesh.faces, points[here], normals[here])
        still = self._starts[len(self.scene.moving)]
        shading.place(camera_from_world, *self._background, points[still:], normals[still:])

    def _project(self) -> int:
        """How many faces may be in the image; fills the tables about them."""
        count = raster.find_fronts(
            self._points, self._faces, self._cone, self._edges, self._planes, self._ids, self._used
        )
        corners = np.flatnonzero(self._used)
        # Coordinate after coordinate in memory, or NumPy would work in strides of two and three numbers.
        self._pixels[corners], _ = self.camera.project(np.asfortranarray(self._points.take(corners, 0)))
        count = raster.find_boxes(
            count, self._pixels, self._faces, self.camera.width, self.camera.height, self._bending, self._edges,
            self._planes, self._ids, self._boxes,
        )  # fmt: skip
        return int(count)

    def _draw(self, count: int) -> None:
        self._nearness[:] = 0
        self._seen[:] = raster.NOTHING
        raster.draw(count, self._edges, self._planes, self._boxes, self._rays, self._cones, self._nearness, self._seen)

    def _shade(
        self, camera_from_world: Float[np.ndarray, "4 4"]
    ) -> tuple[UInt8[np.ndarray, "H W channels"], Float32[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]:
        light, rotation = self.scene.light, camera_from_world[:3, :3]
        towards = rotation @ (np.array(light.towards) / np.linalg.norm(light.towards))
        lamp_from_camera = np.zeros((3, 4))
        lamp_from_camera[:, :3] = _looking_along(-towards)
        shading.cast_shadow(
            self._points[: self._starts[len(self.scene.moving)]], self._moving_faces, lamp_from_camera, self._shadow,
            self._first_shadow,
        )  # fmt: skip
        shading.find_lit(
            self._nearness, self._rays, lamp_from_camera.astype(np.float32), self._shadow, self._first_shadow, self._lit
        )
        height, width = self._nearness.shape
        image = np.empty((height, width, self._channels), np.uint8)
        depth, instances = np.empty((height, width), np.float32), np.empty((height, width), np.uint8)
        single = [np.asarray(v, np.float32) for v in (towards, rotation[:, 2], light.lamp, light.ambient)]
        shading.shade(
            self._seen, self._nearness, self._ids, self._edges, self._rays, self._faces, self._face_mesh, self._flat,
            self._normals, self._colours, self._uv, self._textures, self._texture_of, self._instance_of, self._shine_of,
            *single, self._lit, image, depth, instances,
        )  # fmt: skip
        return image, depth, instances

    def _look_for(
        self, joints: Joints, camera_from_world: Float[np.ndarray, "4 4"], count: int
    ) -> tuple[Bool[np.ndarray, "J"], Bool[np.ndarray, "J"]]:
        points = apply_rigid(camera_from_world, joints.points_m.astype(np.float64))
        pixels, valid = self.camera.project(points)
        size = (self.camera.width, self.camera.height)
        inside = valid & ((pixels >= -0.5) & (pixels < np.array(size) - 0.5)).all(-1)
        distance = np.linalg.norm(points[inside], axis=-1)
        hits = np.empty((len(distance), 2))
        raster.nearest_hits(
            count, self._edges, self._planes, self._boxes, self._ids, self._face_instance,
            points[inside] / distance[:, None], pixels[inside], joints.instances[inside], *size, hits,
        )  # fmt: skip
        own, other = (1 / np.where(hits > 0, hits, 1e-9)).T
        allowance = SKIN_ALLOWANCE * joints.radii_m[inside] + _SKIN_TOLERANCE_M
        visible = inside.copy()
        visible[inside] = (own >= distance - allowance) & (other >= distance)
        return inside, visible


def _view(
    camera: Camera,
) -> tuple[Float32[np.ndarray, "3 H W"], Float32[np.ndarray, "r c 4"], Float32[np.ndarray, "4"]]:
    """The rays of all pixels, the cone of every tile of them, and the cone of them all."""
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    rays, valid = camera.unproject(np.stack([columns, rows], -1))
    rays = np.where(valid[..., None], rays, 0.0)
    tile = raster.TILE
    cones = np.array(
        [
            [_cone(rays[y : y + tile, x : x + tile].reshape(-1, 3)) for x in range(0, camera.width, tile)]
            for y in range(0, camera.height, tile)
        ]
    )
    single = np.ascontiguousarray(rays.transpose(2, 0, 1), dtype=np.float32)
    # A joint may lie half a pixel beyond the outermost rays.
    whole = _cone(rays.reshape(-1, 3)) + np.array([0, 0, 0, 2 / min(camera.fx, camera.fy)])
    return single, cones.astype(np.float32), whole.astype(np.float32)


def _cone(rays: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "4"]:
    """Axis and sine of the half angle of a cone around unit rays; sine 1, which holds everything, from 90 degrees."""
    known = rays[np.any(rays != 0, -1)]
    axis = known.sum(0)
    length = np.linalg.norm(axis)
    if length < 1e-6:
        return np.array([0, 0, 1, 2.0])
    cosine = float((known @ axis).min() / length)
    return np.array([*(axis / length), np.sqrt(max(0, 1 - cosine**2)) + 1e-4 if cosine > 0 else 2.0])


def _unsigned(uv: Float32[np.ndarray, "V 2"]) -> Float32[np.ndarray, "V 2"]:
    """The same places of a texture that repeats, without negative ones."""
    return np.asarray(uv - np.floor(uv.min(0, initial=0)), dtype=np.float32)


def _looking_along(direction: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """A right-handed rotation whose third row is a given unit vector."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])
