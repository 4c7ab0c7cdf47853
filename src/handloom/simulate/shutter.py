"""What moves while the shutter is open: how far every pixel's surface goes in the image, and the blur that it leaves.

One rendering is smeared along its own motion (after McGuire et al., "A reconstruction filter for plausible motion
blur", I3D 2012), instead of averaging many: what moves runs over what stands behind it, and what stands still stays
sharp. Averages are of light.
"""

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, UInt8
from numba import njit

from handloom.simulate.shading import CODE, LINEAR

STEP = 2
"""Motion is known for one of so many rows and columns."""
_TILE = 8
_LOST_PX = 1e4
_LONGEST_PX = 24.0
"""A longer smear would leave gaps between its samples, and is cut."""
_SHARP_PX = 0.7
"""Motion below this is not seen: the lens blurs as much."""
_SHIFT = np.uint64(1)
"""By so many bits: the division by `STEP`."""
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
            # What one pixel to the right, and one down, changes the direction by; then both as they fit best.
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            share = _1 / np.float32(right - left)
            ax, ay, az = (
                share * (rays[0, y, right] - rays[0, y, left]),
                share * (rays[1, y, right] - rays[1, y, left]),
                share * (rays[2, y, right] - rays[2, y, left]),
            )
            share = _1 / np.float32(below - above)
            bx, by, bz = (
                share * (rays[0, below, x] - rays[0, above, x]),
                share * (rays[1, below, x] - rays[1, above, x]),
                share * (rays[2, below, x] - rays[2, above, x]),
            )
            aa, ab, bb = ax * ax + ay * ay + az * az, ax * bx + ay * by + az * bz, bx * bx + by * by + bz * bz
            pa, pb = px * ax + py * ay + pz * az, px * bx + py * by + pz * bz
            area = aa * bb - ab * ab
            to_right, down = (bb * pa - ab * pb) / area, (aa * pb - ab * pa) / area
            if abs(to_right) < _LOST_PX and abs(down) < _LOST_PX:  # at the rim of a lens a neighbour may have no ray
                moves[row, column, 0], moves[row, column, 1] = to_right, down


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
    right, low = np.float32(width - 1), np.float32(height - 1)
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
            samples = 2 * int(length * _HALF + _HALF) + 1
            mx, my, length = mx / np.float32(samples), my / np.float32(samples), length / np.float32(samples)
            for y in range(np.uint64(j * _TILE), np.uint64(min(j * _TILE + _TILE, height))):
                for x in range(np.uint64(i * _TILE), np.uint64(min(i * _TILE + _TILE, width))):
                    own = _reach(moves, y, x)
                    here = depth[y, x] if depth[y, x] > _0 else np.float32(np.inf)
                    light[:] = _0
                    for k in range(samples):
                        step = np.float32(k - samples // 2)
                        u, v = np.float32(np.int32(x)) + step * mx, np.float32(np.int32(y)) + step * my
                        u, v = (
                            np.uint64(np.uint32(min(max(u, _0), right) + _HALF)),
                            np.uint64(np.uint32(min(max(v, _0), low) + _HALF)),
                        )
                        # What is in front decides whether the two places are seen at one pixel.
                        reach = _reach(moves, v, u) if _0 < depth[v, u] < here else own
                        if abs(step) * length > reach + _HALF:
                            u, v = x, y
                        for c in range(channels):
                            light[c] += LINEAR[image[v, u, c]]
                    for c in range(channels):
                        result[y, x, c] = CODE[np.uint32(light[c] / np.float32(samples) * _LEVELS + _HALF)]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _reach(moves, y, x):
    """Half the way that a pixel's surface goes."""
    mx, my = moves[y >> _SHIFT, x >> _SHIFT, 0], moves[y >> _SHIFT, x >> _SHIFT, 1]
    return _HALF * math.sqrt(mx * mx + my * my)
