"""Rooms that differ by seed: a table with things standing about, walls with posters and shelves, a seated person.

World: z up, table top at z = 0, the person at negative y. The space above the middle of the table, where the hands
work, is left free.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom.simulate.mesh import Light, Mesh
from handloom.simulate.objects import make_object
from handloom.simulate.patterns import books, bricks, cloth, label, plaster, poster, random_colour, wood
from handloom.simulate.props import PROPS
from handloom.simulate.shapes import Colour, box, shift

_FREE_X_M, _FREE_Y_M = 0.36, (-0.25, 0.30)
_TABLE_TEXEL_M, _WALL_TEXEL_M = 0.0035, 0.012
_CLUTTER = (
    "book",
    "cocoa",
    "milk",
    "mug",
    "soda can",
    "spray",
    "chips",
    "juice",
    "calculator",
    "lotion",
    "tube",
    "gear",
)
_WOODS: tuple[Colour, ...] = ((176, 126, 80), (132, 88, 54), (206, 170, 126), (96, 66, 46), (190, 182, 172))
_WALLS: tuple[Colour, ...] = ((214, 206, 190), (186, 198, 206), (200, 186, 160), (168, 182, 160), (226, 222, 216))


def make_background(seed: int) -> tuple[tuple[Mesh, ...], Light]:
    """A room and its light; every seed gives another one. The last mesh is the trunk of the person."""
    rng = np.random.default_rng((seed, 0x700A))
    light = Light(
        towards=(float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.3, 0.6)), 1.0),
        lamp=_tint(rng, rng.uniform(0.55, 0.75)),
        ambient=_tint(rng, rng.uniform(0.34, 0.5)),
    )
    half_x, half_y, middle_y = rng.uniform(0.7, 0.95), rng.uniform(0.42, 0.55), rng.uniform(0.12, 0.2)
    table = np.array([half_x, half_y, middle_y])
    clutter, footprints = _clutter(table, rng)
    meshes = [_table(table, footprints, light, rng), *clutter, *_walls(rng), _person(rng)]
    return tuple(meshes), light


def _clutter(table: Float[np.ndarray, "3"], rng: np.random.Generator) -> tuple[list[Mesh], np.ndarray]:
    """Things on the table around the free space, and the circles (x, y, radius, height) that they stand on."""
    meshes: list[Mesh] = []
    circles = np.zeros((0, 4))
    for _ in range(60):
        if len(meshes) == 11:
            break
        thing = PROPS[str(rng.choice(_CLUTTER))]
        size = np.array(thing.size_m)
        if rng.random() < 0.35:  # a plain parcel instead
            size = rng.uniform((0.05, 0.05, 0.03), (0.2, 0.16, 0.18))
            print_ = label(
                (60, 80), random_colour(rng), str(rng.choice(("PARTS", "TEA", "FRAGILE", "No 7", "OATS"))), rng
            )
            mesh = box((float(size[0]), float(size[1]), float(size[2])), (255, 255, 255), 0.002, print_)
        else:
            mesh = make_object(thing, 0)
        radius = float(np.hypot(*size[:2]) / 2)
        x = rng.uniform(-1, 1) * (table[0] - radius)
        y = table[2] + rng.uniform(-1, 1) * (table[1] - radius)
        free = abs(x) - radius < _FREE_X_M and _FREE_Y_M[0] < y + radius and y - radius < _FREE_Y_M[1]
        if free or (np.hypot(circles[:, 0] - x, circles[:, 1] - y) < circles[:, 2] + radius).any():
            continue
        turn = rng.uniform(0, 2 * np.pi)
        pose = np.eye(4)
        pose[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        pose[:3, 3] = x, y, size[2] / 2
        meshes.append(mesh.moved(pose))
        circles = np.concatenate([circles, [[x, y, radius, size[2]]]])
    return meshes, circles


def _table(table: Float[np.ndarray, "3"], circles: np.ndarray, light: Light, rng: np.random.Generator) -> Mesh:
    """The table top with the shadows of what stands on it painted in."""
    size = (int(2 * table[1] / _TABLE_TEXEL_M), int(2 * table[0] / _TABLE_TEXEL_M))
    colour = _WOODS[int(rng.integers(len(_WOODS)))]
    top = wood(size, colour, rng) if rng.random() < 0.6 else cloth(size, random_colour(rng, 70), rng)
    shade = np.zeros(size, np.float32)
    away = -np.array(light.towards[:2]) / light.towards[2]
    for x, y, radius, height in circles:
        for share in np.linspace(0, 1, 6):
            place = (np.array([x, y - table[2]]) + share * height * away) * (1, -1) + table[:2]
            centre = tuple(int(c) for c in place / _TABLE_TEXEL_M)
            cv2.circle(shade, centre, int(0.8 * radius / _TABLE_TEXEL_M), 0.45, -1)
    shade = cv2.GaussianBlur(shade, (0, 0), 0.014 / _TABLE_TEXEL_M)
    painted = _darkened(top, shade)
    x, y, z = table[0], table[1], 0.0
    corners = np.array([[-x, table[2] - y, z], [x, table[2] - y, z], [x, table[2] + y, z], [-x, table[2] + y, z]])
    return _quad(corners, painted)


def _walls(rng: np.random.Generator) -> list[Mesh]:
    """Four walls, floor and ceiling, seen from inside, with prints and shelves drawn on the walls."""
    west, east, south, north = (
        -rng.uniform(1.3, 2.4),
        rng.uniform(1.3, 2.4),
        -rng.uniform(1.2, 2.0),
        rng.uniform(1.2, 2.2),
    )
    floor, ceiling = -0.74, 1.75
    colour = _WALLS[int(rng.integers(len(_WALLS)))]
    corners = np.array([[west, south], [east, south], [east, north], [west, north]])
    meshes = []
    for k in range(4):
        a, b = corners[(k + 1) % 4], corners[k]
        length = float(np.linalg.norm(b - a))
        size = (int((ceiling - floor) / _WALL_TEXEL_M), int(length / _WALL_TEXEL_M))
        paint = bricks(size, (160, 92, 70), rng) if rng.random() < 0.2 else plaster(size, colour, rng)
        paint = paint.copy()
        for _ in range(int(rng.integers(2, 6))):
            _hang(paint, rng)
        paint[-7:] = (92, 74, 58)
        edge = [[*a, floor], [*b, floor], [*b, ceiling], [*a, ceiling]]
        meshes.append(_quad(np.array(edge), paint))
    ground = [[west, south, floor], [east, south, floor], [east, north, floor], [west, north, floor]]
    meshes.append(_quad(np.array(ground), wood((300, 340), _WOODS[int(rng.integers(len(_WOODS)))], rng, planks=16)))
    roof = [[west, north, ceiling], [east, north, ceiling], [east, south, ceiling], [west, south, ceiling]]
    meshes.append(_quad(np.array(roof), plaster((64, 64), (236, 234, 230), rng)))
    return meshes


def _hang(paint: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> None:
    """A framed print or a shelf of books somewhere on a wall."""
    h, w, _ = paint.shape
    shelf = rng.random() < 0.5
    high, wide = int(h * rng.uniform(0.14, 0.34)), int(w * rng.uniform(0.15, 0.4))
    y, x = int(rng.integers(4, max(5, int(0.75 * h) - high))), int(rng.integers(3, w - wide - 3))
    paint[y - 2 : y + high + 2, x - 2 : x + wide + 2] = rng.integers(20, 110, 3)
    paint[y : y + high, x : x + wide] = books((high, wide), rng) if shelf else poster((high, wide), rng)


def _person(rng: np.random.Generator) -> Mesh:
    """The trunk of the person, in a chair at the table."""
    colour = random_colour(rng, 30, 220)
    shirt = cloth((160, 160), colour, rng)
    trunk = box((0.4, 0.23, 0.7), (255, 255, 255), 0.1, shirt, shine=0.0)
    return trunk.moved(shift(0, -0.54, -0.06))


def _quad(corners: Float[np.ndarray, "4 3"], texture: UInt8[np.ndarray, "h w 3"]) -> Mesh:
    """A rectangle seen from where its corners run counter-clockwise; the texture's last row is at the first edge."""
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    white = np.full((4, 3), 255, np.uint8)
    return Mesh(corners.astype(np.float32), faces, white, uv=uv, texture=np.ascontiguousarray(texture), shine=0.0)


def _darkened(picture: UInt8[np.ndarray, "h w 3"], shade: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    return np.asarray(picture * (1 - shade[..., None]), dtype=np.uint8)


def _tint(rng: np.random.Generator, level: float) -> tuple[float, float, float]:
    """White light of a level, somewhat warm or cold."""
    warm = float(rng.uniform(-0.06, 0.06))
    return float(level) * (1 + warm), float(level), float(level) * (1 - warm)
