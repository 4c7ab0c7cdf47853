"""Which surface every pixel and every joint sees: the compiled loops, for any camera model.

Pixels are rays. A ray d through the camera meets the triangle a, b, c where d . (b x c), d . (c x a) and d . (a x b)
are all positive, and the reciprocal of the distance is linear in d (Olano & Greer, "Triangle scan conversion using 2D
homogeneous coordinates", 1997). So edges bend as the lens bends them, nothing needs clipping at a near plane, and
interpolation is exact, with one table of rays as the whole camera model. Triangles that are not small in the image skip
tiles by a test against the cone of the tile's rays. Single precision without contraction or reordering, so that the
same input gives the same bytes.
"""

from typing import no_type_check

import numpy as np
from numba import njit

TILE = 16
NOTHING = np.uint32(0xFFFFFFFF)
"""The index that stands where no triangle is seen."""
SMALL_PX = 24
"""Triangles up to this extent are drawn pixel by pixel, larger ones tile by tile."""
_BOXED_PX = 160
"""Triangles up to this extent have a box; larger ones may be anywhere."""
_BEND_PX = 0.05


@njit(cache=True, nogil=True)
@no_type_check
def find_fronts(points, faces, cone, edges, planes, ids, used):
    """Faces that show their front to rays of a cone, as `edges` (n, 9), `planes` (n, 3), `ids` (n,). Returns n.

    On the ray d, edges . d are the three corners' shares, over the distance; planes . d is 1 over the distance.
    `points` (V, 3) in the camera frame; `used` (V,) tells which of them are corners of these faces.
    """
    used[:] = False
    count = 0
    for face in range(np.uint64(faces.shape[0])):
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, az = points[i, 0], points[i, 1], points[i, 2]
        bx, by, bz = points[j, 0], points[j, 1], points[j, 2]
        cx, cy, cz = points[k, 0], points[k, 1], points[k, 2]
        # Edge functions of c x b, a x c, b x a: positive inside for triangles that show their front.
        e0x, e0y, e0z = cy * bz - cz * by, cz * bx - cx * bz, cx * by - cy * bx
        volume = ax * e0x + ay * e0y + az * e0z
        if not volume > 0:  # seen from behind, on edge, or not a number
            continue
        e1x, e1y, e1z = ay * cz - az * cy, az * cx - ax * cz, ax * cy - ay * cx
        e2x, e2y, e2z = by * az - bz * ay, bz * ax - bx * az, bx * ay - by * ax
        ux, uy, uz = bx - ax, by - ay, bz - az
        vx, vy, vz = cx - ax, cy - ay, cz - az
        edge, plane = edges[count], planes[count]
        edge[0], edge[1], edge[2] = e0x / volume, e0y / volume, e0z / volume
        edge[3], edge[4], edge[5] = e1x / volume, e1y / volume, e1z / volume
        edge[6], edge[7], edge[8] = e2x / volume, e2y / volume, e2z / volume
        plane[0] = (uz * vy - uy * vz) / volume
        plane[1] = (ux * vz - uz * vx) / volume
        plane[2] = (uy * vx - ux * vy) / volume
        if _misses(edge, plane, cone):
            continue
        used[i] = used[j] = used[k] = True
        ids[count] = face
        count += 1
    return count


@njit(cache=True, nogil=True)
@no_type_check
def find_boxes(count, pixels, faces, width, height, bending, edges, planes, ids, boxes):
    """Where in the image the `count` faces are, `boxes` (n, 4); those outside are dropped. Returns how many are left.

    `pixels` (V, 2), NaN outside the camera's domain. A box is x0, x1, y0, y1 in pixels, widened by `bending` times the
    square of the extent, since the lens may bend the edges; x0 is NaN where the triangle is too large for one.
    """
    kept = 0
    for index in range(count):
        face = ids[index]
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        x0, x1 = min(pixels[i, 0], pixels[j, 0], pixels[k, 0]), max(pixels[i, 0], pixels[j, 0], pixels[k, 0])
        y0, y1 = min(pixels[i, 1], pixels[j, 1], pixels[k, 1]), max(pixels[i, 1], pixels[j, 1], pixels[k, 1])
        known = pixels[i, 0] == pixels[i, 0] and pixels[j, 0] == pixels[j, 0] and pixels[k, 0] == pixels[k, 0]
        extent = max(x1 - x0, y1 - y0)
        boxed = known and extent <= _BOXED_PX
        bend = _BEND_PX + extent * extent * bending
        x0, x1, y0, y1 = x0 - bend, x1 + bend, y0 - bend, y1 + bend
        if boxed and (x1 < -0.5 or y1 < -0.5 or x0 > width - 0.5 or y0 > height - 0.5):
            continue
        if kept < index:
            ids[kept] = face
            for n in range(9):
                edges[kept, n] = edges[index, n]
            for n in range(3):
                planes[kept, n] = planes[index, n]
        boxes[kept, 0] = x0 if boxed else np.nan
        boxes[kept, 1], boxes[kept, 2], boxes[kept, 3] = x1, y0, y1
        kept += 1
    return kept


@njit(cache=True, nogil=True)
@no_type_check
def draw(count, edges, planes, boxes, rays, cones, nearness, seen):
    """Draw triangles into `nearness` (H, W), 1 / distance, and `seen` (H, W), their index among the `count`.

    `rays` (3, H, W) unit vectors, 0 where the camera has none; `cones` (rows, columns, 4) of the tiles.
    """
    height, width = nearness.shape
    rows, columns = cones.shape[0], cones.shape[1]
    for index in range(count):
        edge, plane = edges[index], planes[index]
        x0, x1, y0, y1 = 0, width, 0, height
        if boxes[index, 0] == boxes[index, 0]:
            x0, x1 = max(0, int(np.ceil(boxes[index, 0]))), min(width, int(np.floor(boxes[index, 1])) + 1)
            y0, y1 = max(0, int(np.ceil(boxes[index, 2]))), min(height, int(np.floor(boxes[index, 3])) + 1)
        if x1 - x0 <= SMALL_PX and y1 - y0 <= SMALL_PX:
            _fill(index, edge, plane, x0, x1, y0, y1, rays, nearness, seen)
            continue
        for row in range(y0 // TILE, min(rows, (y1 - 1) // TILE + 1)):
            for column in range(x0 // TILE, min(columns, (x1 - 1) // TILE + 1)):
                if _misses(edge, plane, cones[row, column]):
                    continue
                left, top = max(x0, column * TILE), max(y0, row * TILE)
                right, bottom = min(x1, column * TILE + TILE), min(y1, row * TILE + TILE)
                if _covers(edge, cones[row, column]):
                    _fill_all(index, plane, left, right, top, bottom, rays, nearness, seen)
                else:
                    _fill(index, edge, plane, left, right, top, bottom, rays, nearness, seen)


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _fill(index, edge, plane, x0, x1, y0, y1, rays, nearness, seen):
    """The pixels of a rectangle that see a triangle before all others so far."""
    e0, e1, e2, e3, e4, e5, e6, e7, e8 = (
        edge[0], edge[1], edge[2], edge[3], edge[4], edge[5], edge[6], edge[7], edge[8]
    )  # fmt: skip
    p0, p1, p2 = plane[0], plane[1], plane[2]
    for y in range(np.uint64(y0), np.uint64(y1)):  # unsigned, or every use as an index would be checked for its sign
        for x in range(np.uint64(x0), np.uint64(x1)):
            dx, dy, dz = rays[0, y, x], rays[1, y, x], rays[2, y, x]
            near = p0 * dx + p1 * dy + p2 * dz
            if near > nearness[y, x] and (
                (e0 * dx + e1 * dy + e2 * dz >= 0)
                & (e3 * dx + e4 * dy + e5 * dz >= 0)
                & (e6 * dx + e7 * dy + e8 * dz >= 0)
            ):
                nearness[y, x] = near
                seen[y, x] = index


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _fill_all(index, plane, x0, x1, y0, y1, rays, nearness, seen):
    """The same where the triangle covers the whole rectangle."""
    p0, p1, p2 = plane[0], plane[1], plane[2]
    for y in range(np.uint64(y0), np.uint64(y1)):
        for x in range(np.uint64(x0), np.uint64(x1)):
            # Without a branch, so that several pixels are done at once.
            near = p0 * rays[0, y, x] + p1 * rays[1, y, x] + p2 * rays[2, y, x]
            before = nearness[y, x]
            nearness[y, x] = near if near > before else before
            seen[y, x] = index if near > before else seen[y, x]


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def _misses(edge, plane, cone):
    """Whether no ray of a cone (axis, sine of its half angle) can meet the triangle."""
    x, y, z, sine = cone[0], cone[1], cone[2], cone[3]
    for k in range(0, 9, 3):
        a, b, c = edge[k], edge[k + 1], edge[k + 2]
        if a * x + b * y + c * z < -sine * np.sqrt(a * a + b * b + c * c):
            return True
    a, b, c = plane[0], plane[1], plane[2]
    return a * x + b * y + c * z < -sine * np.sqrt(a * a + b * b + c * c)


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def _covers(edge, cone):
    """Whether all rays of a cone are on the inner side of all edges."""
    x, y, z, sine = cone[0], cone[1], cone[2], cone[3]
    for k in range(0, 9, 3):
        a, b, c = edge[k], edge[k + 1], edge[k + 2]
        if not a * x + b * y + c * z > sine * np.sqrt(a * a + b * b + c * c):
            return False
    return True


@njit(cache=True, nogil=True)
@no_type_check
def nearest_hits(count, edges, planes, boxes, ids, face_instance, rays, pixels, own, width, height, hits):
    """`hits` (J, 2): largest 1 / distance at which the rays (J, 3) meet their own instance, and any other one.

    `pixels` (J, 2) where the rays meet the image; `own` (J,) instances.
    """
    hits[:] = 0
    rows, columns = height // TILE + 1, width // TILE + 1
    first, following = np.full((rows, columns), -1), np.full(rays.shape[0], -1)  # joints of every tile, as lists
    for joint in range(rays.shape[0]):
        column, row = int((pixels[joint, 0] + 0.5) / TILE), int((pixels[joint, 1] + 0.5) / TILE)
        following[joint], first[row, column] = first[row, column], joint
    for index in range(count):
        box = boxes[index]
        if box[0] == box[0]:
            x0, x1 = max(0, int((box[0] + 0.5) / TILE)), min(columns - 1, int((box[1] + 0.5) / TILE))
            y0, y1 = max(0, int((box[2] + 0.5) / TILE)), min(rows - 1, int((box[3] + 0.5) / TILE))
            for row in range(y0, y1 + 1):
                for column in range(x0, x1 + 1):
                    joint = first[row, column]
                    while joint >= 0:
                        x, y = pixels[joint, 0], pixels[joint, 1]
                        if (x >= box[0]) & (x <= box[1]) & (y >= box[2]) & (y <= box[3]):
                            which = 0 if face_instance[ids[index]] == own[joint] else 1
                            near = _meet(edges[index], planes[index], rays[joint])
                            hits[joint, which] = max(hits[joint, which], near)
                        joint = following[joint]
        else:
            for joint in range(rays.shape[0]):
                which = 0 if face_instance[ids[index]] == own[joint] else 1
                hits[joint, which] = max(hits[joint, which], _meet(edges[index], planes[index], rays[joint]))


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def _meet(edge, plane, ray):
    """1 / distance at which a ray meets a triangle; 0 if it does not."""
    for k in range(0, 9, 3):
        if edge[k] * ray[0] + edge[k + 1] * ray[1] + edge[k + 2] * ray[2] < 0:
            return 0.0
    return plane[0] * ray[0] + plane[1] * ray[1] + plane[2] * ray[2]
