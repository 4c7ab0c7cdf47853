"""Surfaces and scenes: what the renderer draws.

A scene is put together once per recording. What moves is placed anew for every frame: a rigid mesh by its pose, a skin
by its vertices, and a mesh that is not there by None.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from handloom.errors import InputError

BACKGROUND, LEFT_HAND, RIGHT_HAND, FIRST_OBJECT = 0, 1, 2, 10
"""Instance numbers, as they stand in the masks. A forearm belongs to its hand; objects count from `FIRST_OBJECT`."""

_LARGEST_UV = 10_000

Placement = Float[np.ndarray, "4 4"] | Float[np.ndarray, "_ 3"] | None
"""Where a mesh is in one frame: `world_from_mesh`, or its vertices in the world, or None if it is not there."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh and its look. Only front sides are seen: (b - a) x (c - a) points out of the body.

    Normals are smooth across shared vertices; a sharp edge needs a vertex for each of its sides.

    Attributes:
        vertices: metres, in the mesh's own frame.
        faces: vertex indices.
        colours: sRGB of every vertex; where there is a texture, the two are multiplied.
        instance: number in the masks, 0 ... 255.
        uv: texture coordinates; (0, 0) is the texture's first corner, (1, 1) its last, and it repeats beyond.
        texture: sRGB picture.
        shine: strength of the highlight, 0 (cloth) ... 1 (metal).

    Raises:
        InputError: arrays that do not belong together, a face without its vertex, a number that is not finite.
    """

    vertices: Float32[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    colours: UInt8[np.ndarray, "V 3"]
    instance: int = BACKGROUND
    uv: Float32[np.ndarray, "V 2"] | None = None
    texture: UInt8[np.ndarray, "h w 3"] | None = None
    shine: float = 0.1

    def __post_init__(self) -> None:
        count = len(self.vertices)
        if not np.isfinite(self.vertices).all():
            raise InputError(f"vertex {int(np.argmin(np.isfinite(self.vertices).all(1)))} of a mesh is not finite")
        if self.faces.size and not 0 <= self.faces.min() <= self.faces.max() < count:
            raise InputError(
                f"faces of a mesh with {count} vertices must hold 0 ... {count - 1}, "
                f"found {self.faces.min()} ... {self.faces.max()}"
            )
        if len(self.colours) != count:
            raise InputError(f"a mesh with {count} vertices needs as many colours, found {len(self.colours)}")
        if (self.uv is None) != (self.texture is None):
            raise InputError("a mesh has a texture and uv, or neither")
        if self.uv is not None and len(self.uv) != count:
            raise InputError(f"a mesh with {count} vertices needs as many uv, found {len(self.uv)}")
        if self.uv is not None and not (np.abs(self.uv) < _LARGEST_UV).all():
            raise InputError(f"texture coordinates of a mesh must be numbers between -{_LARGEST_UV} and {_LARGEST_UV}")
        if not 0 <= self.instance <= 255:
            raise InputError(f"instance numbers are 0 ... 255, found {self.instance}")

    @cached_property
    def normals(self) -> Float32[np.ndarray, "V 3"]:
        """Unit normals at the vertices, averaged over the faces around them by area."""
        corners = self.vertices[self.faces].astype(np.float64)
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = np.zeros(self.vertices.shape)
        np.add.at(total, self.faces, area[:, None])
        length = np.linalg.norm(total, axis=-1, keepdims=True)
        return np.asarray(total / np.where(length > 0, length, 1), dtype=np.float32)

    def moved(self, a_from_mesh: Float[np.ndarray, "4 4"]) -> "Mesh":
        """The mesh with its vertices in another frame."""
        vertices = self.vertices @ a_from_mesh[:3, :3].T + a_from_mesh[:3, 3]
        return replace(self, vertices=np.asarray(vertices, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Light:
    """A distant lamp with soft shadows, and light from all around.

    Attributes:
        towards: direction to the lamp in the world; of any length.
        lamp: linear RGB of the lamp.
        ambient: linear RGB of what comes from above; from below comes less.
    """

    towards: tuple[float, float, float] = (0.35, 0.25, 0.9)
    lamp: tuple[float, float, float] = (0.68, 0.66, 0.62)
    ambient: tuple[float, float, float] = (0.40, 0.42, 0.45)

    def __post_init__(self) -> None:
        if not np.isfinite(self.towards).all() or np.linalg.norm(self.towards) == 0:
            raise InputError(f"a light needs a finite direction that is not zero, found {self.towards}")


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that a recording shows. World: metres, z up, the table top is z = 0.

    Attributes:
        background: meshes in the world frame that never move and cast no shadow but what is in their colours.
        moving: meshes that are placed for every frame; they cast shadows.
        light: the light.
    """

    background: tuple[Mesh, ...] = ()
    moving: tuple[Mesh, ...] = ()
    light: Light = Light()

    def check(self, placements: Sequence[Placement]) -> None:
        """Raise InputError unless there is one placement for every moving mesh, of a shape that fits it."""
        if len(placements) != len(self.moving):
            raise InputError(f"{len(self.moving)} moving meshes need as many placements, found {len(placements)}")
        for i, (mesh, placement) in enumerate(zip(self.moving, placements)):
            if placement is not None and placement.shape not in ((4, 4), mesh.vertices.shape):
                raise InputError(
                    f"placement {i} must be a (4, 4) pose or vertices {mesh.vertices.shape}, found {placement.shape}"
                )


def joined(meshes: Sequence[Mesh], instance: int) -> Mesh:
    """Several meshes without textures as one rigid mesh.

    Raises:
        InputError: no mesh, or one has a texture.
    """
    if not meshes or any(mesh.texture is not None for mesh in meshes):
        raise InputError("only one or more meshes without textures can be joined")
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts)]).astype(np.int32),
        np.concatenate([mesh.colours for mesh in meshes]),
        instance,
        shine=meshes[0].shine,
    )
