"""What colour every pixel is: placing meshes before the camera, the lamp's shadow map, and the shading of what is seen.

Diffuse light of a lamp with a little wrap-around, light from above and below by the normal's height, and Blinn's
highlight (SIGGRAPH 1977) at every pixel; shadows by a depth map from the lamp (Williams 1978), filtered over nine
texels.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit

SHADOW_SIZE = 128
_BIAS_M = np.float32(0.001)
_WRAP = np.float32(0.15)
_FROM_BELOW = np.float32(0.45)
_NONE, _ONE = np.uint32(0), np.uint32(1)  # unsigned, or every use as an index would be checked for its sign
_0, _HALF, _1, _TINY = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-12)  # bare literals would be double
_ENCODED = 4096


# A texel is one integer of three fields of 21 bits, so that one multiplication weights all its channels: 11 bits of the
# root of linear light, and room for weights that sum to 32 x 32. Between float32 and 64-bit integers stand 32-bit ones,
# since processors have no unsigned 64-bit conversion.
_STEPS, _WHOLE = np.float32(32), np.uint64(32)
_RED, _GREEN, _FIELD = np.uint64(42), np.uint64(21), np.uint64(2**21 - 1)
_ROOT = np.float32(1 / (2047 * 1024))


def packed(picture: np.ndarray) -> np.ndarray:
    """An sRGB picture as texels, row after row."""
    root = np.round(2047 * np.sqrt(LINEAR[picture.reshape(-1, 3)])).astype(np.uint64)
    return np.asarray((root[:, 0] << _RED) | (root[:, 1] << _GREEN) | root[:, 2])


def _srgb() -> tuple[np.ndarray, np.ndarray]:
    """IEC 61966-2-1: linear light of the 256 codes, and the codes of 4096 levels of linear light."""
    code = np.arange(256) / 255
    decoded = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    level = np.arange(_ENCODED) / (_ENCODED - 1)
    encoded = np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)
    return decoded.astype(np.float32), np.round(255 * encoded).astype(np.uint8)


LINEAR, CODE = _srgb()
"""sRGB code to linear light 0 ... 1, and `_ENCODED` levels of linear light to sRGB code."""


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def place(a_from_mesh, vertices, normals, points, turned):
    """Vertices and normals of a rigid mesh in another frame, into `points` and `turned`."""
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        a, b, c = normals[v, 0], normals[v, 1], normals[v, 2]
        for k in range(3):
            m0, m1, m2 = a_from_mesh[k, 0], a_from_mesh[k, 1], a_from_mesh[k, 2]
            points[v, k] = m0 * x + m1 * y + m2 * z + a_from_mesh[k, 3]
            turned[v, k] = m0 * a + m1 * b + m2 * c


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def place_skin(a_from_world, vertices, faces, points, normals):
    """Vertices of a deformed mesh in another frame, and normals there, averaged by area."""
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for k in range(3):
            points[v, k] = a_from_world[k, 0] * x + a_from_world[k, 1] * y + a_from_world[k, 2] * z + a_from_world[k, 3]
    normals[:] = 0
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        vx, vy, vz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[v, 0], normals[v, 1], normals[v, 2] = x / length, y / length, z / length


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def cast_shadow(points, faces, lamp_from_camera, shadow, first):
    """Depth map of the sides that are turned away from the lamp, seen from it, and `lamp_from_camera` for it.

    `lamp_from_camera` (3, 4): a rotation on entry whose third axis points away from the lamp; on return its first two
    rows give texels of `shadow` (size, size), its third metres from the lamp. `first` (size, size) is the least depth
    of all the texels that `_filtered` asks there.
    """
    size = shadow.shape[0]
    shadow[:] = np.inf
    count = points.shape[0]
    seen = np.empty((count, 3))
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for v in range(count):
        for k in range(3):
            m = lamp_from_camera[k]
            place = m[0] * points[v, 0] + m[1] * points[v, 1] + m[2] * points[v, 2]
            seen[v, k] = place
            if math.isfinite(place):
                low[k], high[k] = min(low[k], place), max(high[k], place)
    scale = (size - 6) / max(high[0] - low[0], high[1] - low[1], 1e-6)
    for k in range(2):
        lamp_from_camera[k] *= scale
        lamp_from_camera[k, 3] = 3 - low[k] * scale
    for v in range(count):
        for k in range(2):
            seen[v, k] = seen[v, k] * scale + lamp_from_camera[k, 3]
    for f in range(faces.shape[0]):
        a, b, c = seen[faces[f, 0]], seen[faces[f, 1]], seen[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if not 0 < area < np.inf:
            continue
        # Between 3 and size - 3 as all finite vertices; one that is not makes the area NaN or infinite.
        x0, x1 = int(np.ceil(min(a[0], b[0], c[0]))), int(np.floor(max(a[0], b[0], c[0])))
        y0, y1 = int(np.ceil(min(a[1], b[1], c[1]))), int(np.floor(max(a[1], b[1], c[1])))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wa = (b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)
                wb = (c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)
                wc = area - wa - wb
                if wa >= 0 and wb >= 0 and wc >= 0:
                    depth = (wa * a[2] + wb * b[2] + wc * c[2]) / area
                    shadow[y, x] = min(shadow[y, x], depth)
    first[:] = np.inf
    for y in range(1, size - 2):
        for x in range(1, size - 2):
            for j in range(-1, 3):
                first[y, x] = min(first[y, x], shadow[y + j, x])
    for y in range(1, size - 2):
        left, middle = np.float32(np.inf), first[y, 1]
        for x in range(1, size - 2):
            here = min(left, middle, first[y, x + 1], first[y, x + 2])
            left, middle = middle, first[y, x + 1]
            first[y, x] = here


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def find_lit(nearness, rays, lamp_from_camera, shadow, first, lit):
    """Into `lit` (H, W): the share of the lamp that reaches each pixel's surface, over 3 x 3 texels."""
    m = lamp_from_camera
    last = np.float32(shadow.shape[0] - 3)
    for y in range(np.uint64(nearness.shape[0])):
        for x in range(np.uint64(nearness.shape[1])):
            near, dx, dy, dz = nearness[y, x], rays[0, y, x], rays[1, y, x], rays[2, y, x]
            u = (m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz) / near + m[0, 3]
            v = (m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz) / near + m[1, 3]
            lit[y, x] = _1
            if u >= _1 and v >= _1 and u < last and v < last:
                depth = (m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz) / near - _BIAS_M
                if first[np.uint32(v), np.uint32(u)] <= depth:
                    lit[y, x] = _filtered(shadow, u, v, depth)


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _filtered(shadow, u, v, depth):
    """Share of 3 x 3 texels around a place, bilinear at their rim, that are not before `depth`."""
    column, row = np.uint32(u), np.uint32(v)
    fu, fv = u - np.float32(column), v - np.float32(row)
    light = _0
    for j in range(4):
        k = row + np.uint32(j) - _ONE
        total = _0
        for i in range(4):
            if shadow[k, column + np.uint32(i) - _ONE] > depth:
                total += _1 - fu if i == 0 else fu if i == 3 else _1
        light += total * (_1 - fv if j == 0 else fv if j == 3 else _1)
    return light / np.float32(9)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _neighbours(coordinate, count):
    """Two neighbouring texels of a texture that repeats, and the share of the second."""
    whole = np.float32(np.int32(coordinate))  # much faster than floor
    share = coordinate - whole if coordinate >= whole else coordinate - whole + _1
    place = share * np.float32(count) + _HALF
    upper = min(np.uint32(place), count)
    share = place - np.float32(upper)
    return (count - _ONE if upper == 0 else upper - _ONE), (upper if upper < count else _NONE), share


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def shade(
    nearness, seen, ids, edges, rays, faces, face_mesh, flat, normals, colours, uv, textures, texture_of,
    instance_of, shine_of, towards, up, lamp, ambient, lit, image, depth, instances,
):  # fmt: skip
    """Fill `image` (H, W, channels), `depth` (H, W) and `instances` (H, W) from what `raster.draw` found.

    What is the same all over a face is worked out when a row comes to it, not at every pixel.
    """
    lamp_x, lamp_y, lamp_z = towards[0], towards[1], towards[2]
    up_x, up_y, up_z = up[0], up[1], up[2]
    lamp_r, lamp_g, lamp_b = lamp[0], lamp[1], lamp[2]
    none = np.uint32(0xFFFFFFFF)
    for y in range(np.uint64(nearness.shape[0])):
        index = none
        for x in range(np.uint64(nearness.shape[1])):
            near = nearness[y, x]
            if near == _0:
                for channel in range(image.shape[2]):
                    image[y, x, channel] = 0
                depth[y, x] = _0
                instances[y, x] = 0
                continue
            if seen[y, x] != index:
                index = seen[y, x]
                face = ids[index]
                mesh = face_mesh[face]
                instance, shine = instance_of[mesh], shine_of[mesh]
                e0, e1, e2 = edges[index, 0], edges[index, 1], edges[index, 2]
                e3, e4, e5 = edges[index, 3], edges[index, 4], edges[index, 5]
                a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                same = flat[face]
                nx, ny, nz = normals[a, 0], normals[a, 1], normals[a, 2]
                own_r, own_g, own_b = colours[a, 0], colours[a, 1], colours[a, 2]
                start, rows, columns = texture_of[mesh, 0], texture_of[mesh, 1], texture_of[mesh, 2]
                ua, va, ub, vb, uc, vc = uv[a, 0], uv[a, 1], uv[b, 0], uv[b, 1], uv[c, 0], uv[c, 1]
                facing = (nx * lamp_x + ny * lamp_y + nz * lamp_z + _WRAP) / (_1 + _WRAP)
                above = _FROM_BELOW + (_1 - _FROM_BELOW) * (_HALF + _HALF * (nx * up_x + ny * up_y + nz * up_z))
                around_r, around_g, around_b = ambient[0] * above, ambient[1] * above, ambient[2] * above
            dx, dy, dz = rays[0, y, x], rays[1, y, x], rays[2, y, x]
            distance = _1 / near
            depth[y, x] = dz * distance
            instances[y, x] = instance
            red, green, blue = own_r, own_g, own_b
            wa = (e0 * dx + e1 * dy + e2 * dz) * distance
            wb = (e3 * dx + e4 * dy + e5 * dz) * distance
            wc = _1 - wa - wb
            if not same:
                nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
                ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
                nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
                unit = _1 / math.sqrt(nx * nx + ny * ny + nz * nz + _TINY)
                nx, ny, nz = nx * unit, ny * unit, nz * unit
                red = wa * colours[a, 0] + wb * colours[b, 0] + wc * colours[c, 0]
                green = wa * colours[a, 1] + wb * colours[b, 1] + wc * colours[c, 1]
                blue = wa * colours[a, 2] + wb * colours[b, 2] + wc * colours[c, 2]
                facing = (nx * lamp_x + ny * lamp_y + nz * lamp_z + _WRAP) / (_1 + _WRAP)
                above = _FROM_BELOW + (_1 - _FROM_BELOW) * (_HALF + _HALF * (nx * up_x + ny * up_y + nz * up_z))
                around_r, around_g, around_b = ambient[0] * above, ambient[1] * above, ambient[2] * above

            diffuse, highlight = _0, _0
            if facing > _0:
                diffuse = facing * lit[y, x]
                if shine > _0:
                    hx, hy, hz = lamp_x - dx, lamp_y - dy, lamp_z - dz
                    towards_half = max(nx * hx + ny * hy + nz * hz, _0)
                    highlight = towards_half * towards_half / (hx * hx + hy * hy + hz * hz)
                    highlight *= highlight
                    highlight *= highlight
                    highlight *= highlight
                    highlight *= highlight * diffuse * shine

            if rows > 0:
                i0, i1, u = _neighbours(wa * ua + wb * ub + wc * uc, columns)
                j0, j1, v = _neighbours(wa * va + wb * vb + wc * vc, rows)
                fu, fv = np.uint64(np.int32(u * _STEPS)), np.uint64(np.int32(v * _STEPS))
                j0, j1 = start + j0 * columns, start + j1 * columns
                mixed = (_WHOLE - fv) * ((_WHOLE - fu) * textures[j0 + i0] + fu * textures[j0 + i1])
                mixed += fv * ((_WHOLE - fu) * textures[j1 + i0] + fu * textures[j1 + i1])
                root = np.float32(np.int32((mixed >> _RED) & _FIELD)) * _ROOT
                red *= root * root
                root = np.float32(np.int32((mixed >> _GREEN) & _FIELD)) * _ROOT
                green *= root * root
                root = np.float32(np.int32(mixed & _FIELD)) * _ROOT
                blue *= root * root

            red = red * (lamp_r * diffuse + around_r) + lamp_r * highlight
            green = green * (lamp_g * diffuse + around_g) + lamp_g * highlight
            blue = blue * (lamp_b * diffuse + around_b) + lamp_b * highlight
            if image.shape[2] == 1:
                image[y, x, 0] = _code(
                    np.float32(0.2126) * red + np.float32(0.7152) * green + np.float32(0.0722) * blue
                )
            else:
                image[y, x, 0] = _code(red)
                image[y, x, 1] = _code(green)
                image[y, x, 2] = _code(blue)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _code(level):
    if not level > _0:  # not a number, where normals are not
        return CODE[0]
    return CODE[np.uint32(min(level, _1) * np.float32(_ENCODED - 1) + _HALF)]
