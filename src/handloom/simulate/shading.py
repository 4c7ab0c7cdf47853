"""What colour every pixel is: placing meshes before the camera, the lamp's shadow map, and the shading of what is seen.

Diffuse light of a lamp with a little wrap-around, light from above and below by the normal's height, and Blinn's
highlight (SIGGRAPH 1977) at every pixel; shadows by a depth map from the lamp (Williams 1978), filtered over nine
texels.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit

from handloom.simulate.raster import NOTHING
from handloom.simulate.texels import sample

SHADOW_SIZE = 128
_BIAS_M = np.float32(0.001)
_WRAP = 0.15
_STRAIGHT, _WRAPPED = np.float32(1 / (1 + _WRAP)), np.float32(_WRAP / (1 + _WRAP))
_FROM_BELOW = 0.45
_UPRIGHT, _LEVEL = np.float32((1 - _FROM_BELOW) / 2), np.float32((1 + _FROM_BELOW) / 2)
_ONE, _NEXT = np.uint32(1), np.uint64(1)  # unsigned, or every use as an index would be checked for its sign
_0, _HALF, _1, _2 = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)  # bare literals would be double
_TINY = np.float32(1e-12)
_ENCODED = 4096
_BRIGHTEST = np.uint32(_ENCODED - 1)
# Sums in any order, and multiplications by reciprocals; but infinities and what is not a number as ever.
_LOOSE = {"reassoc", "contract", "arcp", "nsz"}


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
    for k in range(3):
        m0, m1, m2 = lamp_from_camera[k, 0], lamp_from_camera[k, 1], lamp_from_camera[k, 2]
        least, most = np.inf, -np.inf
        for v in range(count):
            place = m0 * points[v, 0] + m1 * points[v, 1] + m2 * points[v, 2]
            seen[v, k] = place
            if math.isfinite(place):
                least, most = min(least, place), max(most, place)
        low[k], high[k] = least, most
    scale = (size - 6) / max(high[0] - low[0], high[1] - low[1], 1e-6)
    for k in range(2):
        lamp_from_camera[k] *= scale
        lamp_from_camera[k, 3] = 3 - low[k] * scale
        for v in range(count):
            seen[v, k] = seen[v, k] * scale + lamp_from_camera[k, 3]
    for f in range(np.uint64(faces.shape[0])):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = seen[i, 0], seen[i, 1], seen[j, 0], seen[j, 1], seen[k, 0], seen[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not 0 < area < np.inf:
            continue
        # Between 3 and size - 3 as all finite vertices; one that is not makes the area NaN or infinite.
        left, top = min(ax, bx, cx), min(ay, by, cy)
        x0, y0, x1, y1 = np.int32(left), np.int32(top), np.int32(max(ax, bx, cx)), np.int32(max(ay, by, cy))
        for y in range(y0 + 1 if y0 < top else y0, y1 + 1):
            for x in range(x0 + 1 if x0 < left else x0, x1 + 1):
                wa = (bx - x) * (cy - y) - (by - y) * (cx - x)
                wb = (cx - x) * (ay - y) - (cy - y) * (ax - x)
                wc = area - wa - wb
                if min(wa, wb, wc) >= 0:
                    depth = (wa * seen[i, 2] + wb * seen[j, 2] + wc * seen[k, 2]) / area
                    shadow[y, x] = min(shadow[y, x], depth)
    first[:] = np.inf
    for y in range(1, size - 2):
        for j in range(-1, 3):
            for x in range(1, size - 2):
                first[y, x] = min(first[y, x], shadow[y + j, x])
    for y in range(1, size - 2):
        left, middle = np.float32(np.inf), first[y, 1]
        for x in range(1, size - 2):
            here = min(left, middle, first[y, x + 1], first[y, x + 2])
            left, middle = middle, first[y, x + 1]
            first[y, x] = here


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_LOOSE)
@no_type_check
def find_lit(nearness, rays, lamp_from_camera, shadow, first, lit):
    """Into `lit` (H, W): the share of the lamp that reaches each pixel's surface, over 3 x 3 texels."""
    m = lamp_from_camera
    m00, m01, m02, m03 = m[0, 0], m[0, 1], m[0, 2], m[0, 3]
    m10, m11, m12, m13 = m[1, 0], m[1, 1], m[1, 2], m[1, 3]
    m20, m21, m22 = m[2, 0], m[2, 1], m[2, 2]
    last = np.float32(shadow.shape[0] - 3)
    for y in range(np.uint64(nearness.shape[0])):
        for x in range(np.uint64(nearness.shape[1])):
            dx, dy, dz, distance = rays[0, y, x], rays[1, y, x], rays[2, y, x], _1 / nearness[y, x]
            u = (m00 * dx + m01 * dy + m02 * dz) * distance + m03
            v = (m10 * dx + m11 * dy + m12 * dz) * distance + m13
            lit[y, x] = _1
            if (u >= _1) & (v >= _1) & (u < last) & (v < last):
                depth = (m20 * dx + m21 * dy + m22 * dz) * distance - _BIAS_M
                column, row = np.uint32(np.int32(u)), np.uint32(np.int32(v))
                if first[row, column] <= depth:
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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_LOOSE)
@no_type_check
def shade(
    seen, nearness, ids, edges, rays, faces, face_mesh, flat, normals, colours, uv, textures, texture_of,
    instance_of, shine_of, towards, up, lamp, ambient, lit, image, depth, instances,
):  # fmt: skip
    """Fill `image` (H, W, channels), `depth` (H, W) and `instances` (H, W) from what `raster.draw` found.

    Each row is taken in runs of pixels that see the same face. Where a face is `flat`, textured and does not shine,
    as most of a room is, all but the texture and the shadow is worked out once a run.
    """
    lamp_x, lamp_y, lamp_z = towards[0], towards[1], towards[2]
    up_x, up_y, up_z = up[0], up[1], up[2]
    lamp_r, lamp_g, lamp_b = lamp[0], lamp[1], lamp[2]
    around_r, around_g, around_b = ambient[0], ambient[1], ambient[2]
    height, width = np.uint64(seen.shape[0]), np.uint64(seen.shape[1])
    for y in range(height):
        end = np.uint64(0)
        while end < width:
            begin, index = end, seen[y, end]
            end += _NEXT
            while end < width and seen[y, end] == index:
                end += _NEXT
            if index == NOTHING:
                for x in range(begin, end):
                    depth[y, x] = _0
                    instances[y, x] = 0
                    for channel in range(image.shape[2]):
                        image[y, x, channel] = 0
                continue

            face = ids[index]
            mesh = face_mesh[face]
            instance, shine = instance_of[mesh], shine_of[mesh]
            e0, e1, e2 = edges[index, 0], edges[index, 1], edges[index, 2]
            e3, e4, e5 = edges[index, 3], edges[index, 4], edges[index, 5]
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay, az = normals[a, 0], normals[a, 1], normals[a, 2]
            ar, ag, ab = colours[a, 0], colours[a, 1], colours[a, 2]
            rows, columns = texture_of[mesh, 1], texture_of[mesh, 2]
            if rows > 0:
                uc, vc = uv[c, 0], uv[c, 1]
                ua, va, ub, vb = uv[a, 0] - uc, uv[a, 1] - vc, uv[b, 0] - uc, uv[b, 1] - vc
            if rows > 0 and flat[face] and shine == _0:
                ux, uy, uz = e0 * ua + e3 * ub, e1 * ua + e4 * ub, e2 * ua + e5 * ub
                vx, vy, vz = e0 * va + e3 * vb, e1 * va + e4 * vb, e2 * va + e5 * vb
                facing = max(_facing(ax * lamp_x + ay * lamp_y + az * lamp_z), _0)
                above = _above(ax * up_x + ay * up_y + az * up_z)
                dark_r, dark_g, dark_b = ar * around_r * above, ag * around_g * above, ab * around_b * above
                lamp_face_r, lamp_face_g, lamp_face_b = ar * lamp_r * facing, ag * lamp_g * facing, ab * lamp_b * facing
                for x in range(begin, end):
                    dx, dy, dz = rays[0, y, x], rays[1, y, x], rays[2, y, x]
                    distance = _1 / nearness[y, x]
                    depth[y, x] = dz * distance
                    instances[y, x] = instance
                    u, v = (ux * dx + uy * dy + uz * dz) * distance + uc, (vx * dx + vy * dy + vz * dz) * distance + vc
                    red, green, blue = sample(textures, texture_of[mesh, 0], rows, columns, u, v)
                    light = lit[y, x]
                    red *= dark_r + light * lamp_face_r
                    green *= dark_g + light * lamp_face_g
                    blue *= dark_b + light * lamp_face_b
                    _write(image, y, x, red, green, blue)
                continue

            bx, by, bz = normals[b, 0], normals[b, 1], normals[b, 2]
            cx, cy, cz = normals[c, 0], normals[c, 1], normals[c, 2]
            br, bg, bb = colours[b, 0], colours[b, 1], colours[b, 2]
            cr, cg, cb = colours[c, 0], colours[c, 1], colours[c, 2]
            for x in range(begin, end):
                dx, dy, dz = rays[0, y, x], rays[1, y, x], rays[2, y, x]
                distance = _1 / nearness[y, x]
                depth[y, x] = dz * distance
                instances[y, x] = instance
                wa = (e0 * dx + e1 * dy + e2 * dz) * distance
                wb = (e3 * dx + e4 * dy + e5 * dz) * distance
                wc = _1 - wa - wb
                nx, ny, nz = wa * ax + wb * bx + wc * cx, wa * ay + wb * by + wc * cy, wa * az + wb * bz + wc * cz
                unit = _1 / math.sqrt(nx * nx + ny * ny + nz * nz + _TINY)
                along_lamp, along_ray = nx * lamp_x + ny * lamp_y + nz * lamp_z, nx * dx + ny * dy + nz * dz
                above = _above((nx * up_x + ny * up_y + nz * up_z) * unit)
                diffuse = max(_facing(along_lamp * unit), _0) * lit[y, x]
                # Halfway between lamp and eye is lamp - ray, whose squared length is 2 - 2 lamp . ray.
                half = max(along_lamp - along_ray, _0) * unit
                highlight = half * half / (_2 - _2 * (lamp_x * dx + lamp_y * dy + lamp_z * dz) + _TINY)
                highlight *= highlight
                highlight *= highlight
                highlight *= highlight
                highlight *= highlight * diffuse * shine
                red, green, blue = wa * ar + wb * br + wc * cr, wa * ag + wb * bg + wc * cg, wa * ab + wb * bb + wc * cb
                if rows > 0:
                    u, v = wa * ua + wb * ub + uc, wa * va + wb * vb + vc
                    r, g, b_ = sample(textures, texture_of[mesh, 0], rows, columns, u, v)
                    red, green, blue = red * r, green * g, blue * b_
                red = red * (lamp_r * diffuse + around_r * above) + lamp_r * highlight
                green = green * (lamp_g * diffuse + around_g * above) + lamp_g * highlight
                blue = blue * (lamp_b * diffuse + around_b * above) + lamp_b * highlight
                _write(image, y, x, red, green, blue)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _facing(cosine):
    """How much of the lamp a surface takes."""
    return cosine * _STRAIGHT + _WRAPPED


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _above(cosine):
    """How much of the light from around a surface takes."""
    return cosine * _UPRIGHT + _LEVEL


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _write(image, y, x, red, green, blue):
    if image.shape[2] == 1:
        image[y, x, 0] = _code(np.float32(0.2126) * red + np.float32(0.7152) * green + np.float32(0.0722) * blue)
    else:
        image[y, x, 0] = _code(red)
        image[y, x, 1] = _code(green)
        image[y, x, 2] = _code(blue)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def _code(level):
    place = level * np.float32(_ENCODED - 1) + _HALF
    place = place if place > _0 else _0  # also where it is not a number, as normals may not be
    return CODE[min(np.uint32(np.int32(place)), _BRIGHTEST)]  # by way of 32 bits with a sign, as in `texels.sample`
