"""What moves while the shutter is open: how far every pixel's surface goes in the image, and the blur that it leaves.

One rendering is smeared along its own motion (after McGuire et al., "A reconstruction filter for plausible motion
blur", I3D 2012), instead of averaging many: what moves runs over what stands behind it, and what stands still stays
sharp. Averages are of light.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, UInt8
from numba import njit

from handloom.simulate.shading import CODE, LINEAR

STEP = 2
"""Motion is known for one of so many rows and columns."""
_TILE = 8
_LONGEST_PX = 24.0
"""A longer smear would leave gaps between its samples, and is cut."""
_SHARP_PX = 0.35
"""Motion below this is not seen."""
_0, _HALF, _1 = np.float32(0), np.float32(0.5), np.float32(1)
_LEVELS = np.float32(len(CODE) - 1)


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def find_moves(nearness, seen, ids, edges, rays, faces, before, moves):
    """Into `moves` (rows, columns, 2): pixels that the surface seen at every `STEP`-th pixel has come since then.

    `before` (V, 3) are the vertices at that time, in the camera frame of that time; the rest as in `shading.shade`.
    The change of direction is divided by what one pixel changes, so the lens needs no formula; it is small.
    """
    height, width = nearness.shape
    for row in range(moves.shape[0]):
        y = row * STEP
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for column in range(moves.shape[1]):
            x = column * STEP
            moves[row, column, 0] = moves[row, column, 1] = _0
            near = nearness[y, x]
            if near == _0:
                continue
            index = seen[y, x]
            face = ids[index]
            dx, dy, dz = rays[0, y, x], rays[1, y, x], rays[2, y, x]
            wa = (edges[index, 0] * dx + edges[index, 1] * dy + edges[index, 2] * dz) / near
            wb = (edges[index, 3] * dx + edges[index, 4] * dy + edges[index, 5] * dz) / near
            wc = _1 - wa - wb
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            px = wa * before[a, 0] + wb * before[b, 0] + wc * before[c, 0]
            py = wa * before[a, 1] + wb * before[b, 1] + wc * before[c, 1]
            pz = wa * before[a, 2] + wb * before[b, 2] + wc * before[c, 2]
            length = np.sqrt(px * px + py * py + pz * pz)
            if not length > 0:
                continue
            px, py, pz = dx - px / length, dy - py / length, dz - pz / length
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            for axis in range(2):
                if axis == 0:
                    y0, x0, y1, x1, count = y, left, y, right, np.float32(right - left)
                else:
                    y0, x0, y1, x1, count = above, x, below, x, np.float32(below - above)
                sx, sy, sz = (
                    (rays[0, y1, x1] - rays[0, y0, x0]) / count,
                    (rays[1, y1, x1] - rays[1, y0, x0]) / count,
                    (rays[2, y1, x1] - rays[2, y0, x0]) / count,
                )
                moved = (px * sx + py * sy + pz * sz) / (sx * sx + sy * sy + sz * sz)
                if abs(moved) < 1e4:  # at the rim of the lens a neighbour may have no ray
                    moves[row, column, axis] = moved


def smeared(
    image: UInt8[np.ndarray, "H W channels"],
    depth_m: Float32[np.ndarray, "H W"],
    moves_px: Float32[np.ndarray, "rows columns 2"],
) -> UInt8[np.ndarray, "H W channels"]:
    """A picture whose surfaces move by so many pixels while the shutter is open; it shows the middle of that time.

    Args:
        image, depth_m: as rendered; depth 0 is infinitely far.
        moves_px: for every `STEP`-th row and column.
    """
    result = image.copy()
    _smear(image, depth_m, moves_px, result)
    return result


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _smear(image, depth, moves, result):
    height, width, channels = image.shape
    rows, columns = (height + _TILE - 1) // _TILE, (width + _TILE - 1) // _TILE
    fastest, speed = np.zeros((rows, columns, 2), np.float32), np.zeros((rows, columns), np.float32)
    for row in range(moves.shape[0]):
        for column in range(moves.shape[1]):
            mx, my = moves[row, column, 0], moves[row, column, 1]
            j, i = row * STEP // _TILE, column * STEP // _TILE
            if mx * mx + my * my > speed[j, i]:
                speed[j, i] = mx * mx + my * my
                fastest[j, i, 0], fastest[j, i, 1] = mx, my
    light = np.empty(channels, np.float32)
    for j in range(rows):
        for i in range(columns):
            square, mx, my = _0, _0, _0
            for v in range(max(j - 1, 0), min(j + 2, rows)):
                for u in range(max(i - 1, 0), min(i + 2, columns)):
                    if speed[v, u] > square:
                        square, mx, my = speed[v, u], fastest[v, u, 0], fastest[v, u, 1]
            length = np.sqrt(square)
            if length < _SHARP_PX:
                continue
            if length > _LONGEST_PX:
                mx, my, length = mx * _LONGEST_PX / length, my * _LONGEST_PX / length, np.float32(_LONGEST_PX)
            samples = 2 * int(length * _HALF + _1) + 1
            for y in range(j * _TILE, min(j * _TILE + _TILE, height)):
                for x in range(i * _TILE, min(i * _TILE + _TILE, width)):
                    own = _reach(moves, y, x)
                    here = depth[y, x] if depth[y, x] > _0 else np.float32(np.inf)
                    light[:] = _0
                    for k in range(samples):
                        share = (np.float32(k) + _HALF) / np.float32(samples) - _HALF
                        sx, sy = np.float32(x) + share * mx, np.float32(y) + share * my
                        cx, cy = int(np.floor(sx + _HALF)), int(np.floor(sy + _HALF))
                        cx, cy = min(max(cx, 0), width - 1), min(max(cy, 0), height - 1)
                        there = depth[cy, cx] if depth[cy, cx] > _0 else np.float32(np.inf)
                        # What is in front decides whether the two places are seen at one pixel.
                        reach = _reach(moves, cy, cx) if there < here else own
                        if abs(share) * length > reach + _HALF:
                            cx, cy = x, y
                            sx, sy = np.float32(x), np.float32(y)
                        for c in range(channels):
                            light[c] += _between(image, sx, sy, c, width, height)
                    for c in range(channels):
                        result[y, x, c] = CODE[np.int32(light[c] / np.float32(samples) * _LEVELS + _HALF)]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _reach(moves, y, x):
    """Half the way that a pixel's surface goes."""
    mx, my = moves[y // STEP, x // STEP, 0], moves[y // STEP, x // STEP, 1]
    return _HALF * np.sqrt(mx * mx + my * my)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _between(image, x, y, channel, width, height):
    """Light at a place between four pixels."""
    x, y = min(max(x, _0), np.float32(width - 1)), min(max(y, _0), np.float32(height - 1))
    i, j = int(x), int(y)
    k, m = min(i + 1, width - 1), min(j + 1, height - 1)
    fx, fy = x - np.float32(i), y - np.float32(j)
    top = (_1 - fx) * LINEAR[image[j, i, channel]] + fx * LINEAR[image[j, k, channel]]
    low = (_1 - fx) * LINEAR[image[m, i, channel]] + fx * LINEAR[image[m, k, channel]]
    return (_1 - fy) * top + fy * low
