"""Drawn surfaces: wood, cloth, plaster, bricks, printed labels, posters and covers, as sRGB pictures.

They are about as fine as the pictures in which they are seen (1 to 4 mm a texel), so that they need no filtering.
"""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Colour = tuple[int, int, int]
Picture = UInt8[np.ndarray, "h w 3"]


def noise(shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Smooth noise of about unit size: random numbers on a coarse grid, interpolated by cubics."""
    coarse = rng.standard_normal((max(cells[0], 2), max(cells[1], 2))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float64)


def random_colour(rng: np.random.Generator, low: int = 40, high: int = 235) -> Colour:
    """Any colour between two brightnesses."""
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def wood(shape: tuple[int, int], colour: Colour, rng: np.random.Generator, planks: int = 4) -> Picture:
    """Boards along the rows, with growth rings."""
    h, w = shape
    light = np.zeros(shape)
    edges = [h * k // planks for k in range(planks + 1)]
    for top, bottom in pairwise(edges):
        size = (bottom - top, w)
        y = np.linspace(-1, 1, size[0])[:, None] + 0.5 * noise(size, (3, 6), rng)
        rings = np.sin(rng.uniform(7, 14) * y + 1.2 * noise(size, (4, 5), rng) + rng.uniform(0, 6))
        fibres = noise(size, (size[0], max(w // 24, 2)), rng)
        light[top:bottom] = rng.normal(0, 0.05) + 0.075 * rings + 0.045 * fibres
        light[top : top + 1] -= 0.25
    return _shade(colour, light)


def cloth(shape: tuple[int, int], colour: Colour, rng: np.random.Generator) -> Picture:
    """Woven cloth with checks or stripes in a second colour."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    period = int(rng.integers(14, 40))
    stripes = ((x // period) % 2 + ((y // period) % 2 if rng.random() < 0.6 else 0)) / 2
    other = np.array([float(c) for c in rng.integers(60, 250, 3)])
    base = np.array(colour) + stripes[..., None] * rng.uniform(0.25, 0.8) * (other - np.array(colour))
    weave = 0.05 * (((x + y) % 2) - 0.5) + 0.06 * noise(shape, (h // 12, w // 12), rng)
    return _codes(base * (1 + weave[..., None]))


def plaster(shape: tuple[int, int], colour: Colour, rng: np.random.Generator) -> Picture:
    """A painted wall: nearly even, a little dirty."""
    h, w = shape
    light = 0.035 * noise(shape, (4, 6), rng) + 0.02 * noise(shape, (h // 4, w // 4), rng)
    return _shade(colour, light)


def bricks(shape: tuple[int, int], colour: Colour, rng: np.random.Generator) -> Picture:
    """Courses of bricks with mortar, 8 by 20 texels each."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    course = y // 8
    column = (x + 10 * (course % 2)) // 20
    tone = rng.normal(0, 0.1, (h // 8 + 2, w // 20 + 3))[course, column]
    picture = _shade(colour, tone + 0.05 * noise(shape, (h // 3, w // 3), rng)).copy()
    picture[(y % 8 == 0) | ((x + 10 * (course % 2)) % 20 == 0)] = (186, 180, 172)
    return picture


def label(
    shape: tuple[int, int], colour: Colour, text: str, rng: np.random.Generator, repeats: int = 1, bare: float = 0.0
) -> Picture:
    """Print for a package: bands, a badge, the name in large letters, lines of small print; the upper part bare."""
    full, w = shape
    wide, h = w // repeats, round((1 - bare) * full)
    ink = _contrast(colour)
    accent = random_colour(rng, 30)
    panel = np.empty((h, wide, 3), np.uint8)
    panel[:] = colour
    band = int(h * rng.uniform(0.10, 0.2))
    panel[h - band :] = accent
    panel[int(0.06 * h) : int(0.06 * h) + max(1, h // 40)] = accent
    centre = (wide // 2, int(h * 0.62))
    cv2.circle(panel, centre, int(0.22 * min(h, wide)), accent, -1, cv2.LINE_AA)
    cv2.circle(panel, centre, int(0.13 * min(h, wide)), tuple(int(0.5 * (a + b)) for a, b in zip(accent, colour)), -1)
    _write(panel, text.upper(), (0.08 * wide, 0.14 * h, 0.92 * wide, 0.36 * h), ink)
    for k in range(3):
        line = int(h * (0.84 - 0.045 * k)) - band // 2
        length = int(wide * rng.uniform(0.4, 0.7))
        panel[line : line + max(1, h // 90), int(0.12 * wide) : int(0.12 * wide) + length] = ink
    picture = cv2.copyMakeBorder(np.tile(panel, (1, repeats, 1)), 0, 0, 0, w - repeats * wide, cv2.BORDER_REPLICATE)
    picture = cv2.copyMakeBorder(picture, full - h, 0, 0, 0, cv2.BORDER_CONSTANT, value=tuple(map(int, colour)))
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), 0))


def poster(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A print for the wall: a gradient with discs, bars and hills."""
    h, w = shape
    top, bottom = rng.integers(40, 255, (2, 3))
    picture = (top + np.linspace(0, 1, h)[:, None, None] * (bottom - top) + np.zeros((h, w, 3))).astype(np.uint8)
    for _ in range(int(rng.integers(3, 9))):
        colour = random_colour(rng, 0, 255)
        centre = (int(rng.integers(0, w)), int(rng.integers(0, h)))
        if rng.random() < 0.5:
            cv2.circle(picture, centre, int(rng.uniform(0.05, 0.3) * min(h, w)), colour, -1, cv2.LINE_AA)
        else:
            corner = (centre[0] + int(rng.integers(5, w)), centre[1] + int(rng.integers(3, max(4, h // 6))))
            cv2.rectangle(picture, centre, corner, colour, -1)
    x = np.linspace(0, rng.uniform(4, 12), w)
    hills = (h * (0.78 + 0.08 * np.sin(x + rng.uniform(0, 6)))).astype(int)
    picture[np.arange(h)[:, None] > hills] = rng.integers(20, 200, 3)
    return np.ascontiguousarray(picture)


def books(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A shelf seen from the front: backs of books."""
    h, w = shape
    picture = np.full((h, w, 3), 40, np.uint8)
    x = 0
    while x < w:
        wide = int(rng.integers(3, 9))
        high = int(h * rng.uniform(0.65, 0.97))
        picture[h - high :, x : x + wide - 1] = rng.integers(30, 230, 3)
        picture[h - high + h // 8 : h - high + h // 8 + 2, x : x + wide - 1] = rng.integers(120, 255, 3)
        x += wide
    return picture


def _write(panel: np.ndarray, text: str, place: tuple[float, float, float, float], ink: Colour) -> None:
    """Text as large as fits into x0, y0, x1, y1, in the middle of it."""
    x0, y0, x1, y1 = place
    font, thick = cv2.FONT_HERSHEY_DUPLEX, 1
    (wide, high), _ = cv2.getTextSize(text, font, 1, thick)
    scale = min((x1 - x0) / wide, (y1 - y0) / high)
    corner = (int((x0 + x1 - scale * wide) / 2), int((y0 + y1 + scale * high) / 2))
    cv2.putText(panel, text, corner, font, scale, ink, max(1, round(2 * scale)), cv2.LINE_AA)


def _contrast(colour: Colour) -> Colour:
    return (28, 28, 34) if float(np.dot(colour, (0.3, 0.59, 0.11))) > 120 else (244, 240, 230)


def _shade(colour: Colour, light: np.ndarray) -> Picture:
    return _codes(np.array(colour) * (1 + light[..., None]))


def _codes(values: np.ndarray) -> Picture:
    return np.asarray(np.clip(np.round(values), 0, 255), dtype=np.uint8)
