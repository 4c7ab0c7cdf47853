"""What the pages share: joints and pictures as text inside a page, numbers as words, the shell around it all."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from math import isfinite
from string import Template
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom import __version__

_MISSING = -32768
_JPEG_QUALITY = 82


def shell(
    title: str,
    brand: str,
    subtitle: str,
    cards: str,
    body: str,
    data: Mapping[str, Any],
    scripts: Sequence[str],
    version: str = __version__,
) -> str:
    """A whole page that loads nothing. `cards` (of `card_list`) and `body` are HTML; all else is escaped here."""
    asset = files("handloom.view").joinpath
    return Template(asset("page.html").read_text("utf-8")).substitute(
        title=escape(title),
        brand=escape(brand),
        subtitle=escape(subtitle),
        cards=cards,
        body=body,
        version=escape(f"Handloom {version}".strip()),
        data=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        css="".join(asset(name).read_text("utf-8") for name in ("report.css", "page.css")),
        js="".join(asset(name).read_text("utf-8") for name in ("canvas.js", *scripts)),
    )


def card_list(cards: Sequence[tuple[str, str, str]]) -> str:
    """Headline numbers: name, value, a word more."""
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in cards
    )


def figure(name: str, title: str, keys: Sequence[tuple[str, str]], height: int = 260) -> str:
    """The frame of a chart that lines.js draws from the page's data; keys are name and colour of each line."""
    legend = " ".join(
        f'<span class="key" style="--c:{colour}">{escape(key)} <output></output></span>' for key, colour in keys
    )
    return (
        f'<figure class="chart" data-lines="{escape(name)}"><figcaption>{escape(title)}<span>{legend}</span>'
        f'</figcaption><div class="area"><canvas style="height:{height}px"></canvas></div></figure>'
    )


def plain(values: Any) -> list[Any]:
    """A list for JSON; what is not finite becomes null."""
    return [value if isfinite(value) else None for value in np.asarray(values, np.float64).tolist()]


def pack(values: np.ndarray, kind: type[np.generic]) -> str:
    """An array as base64 of its little-endian bytes."""
    little_endian = np.dtype(kind).newbyteorder("<")
    return base64.b64encode(np.ascontiguousarray(values).astype(little_endian).tobytes()).decode()


def pack_joints(joints_m: Float[np.ndarray, "poses hands 21 3"]) -> dict[str, Any]:
    """What skeleton.js reads: joints as 16-bit steps around their middle, and the box that holds most of them."""
    joints = joints_m.astype(np.float64)
    known = joints[np.isfinite(joints).all(-1)]
    if not known.size:
        known = np.zeros((1, 3))
    centre = (known.max(0) + known.min(0)) / 2
    unit = max(float(np.abs(known - centre).max()), 1e-6) / 32767
    steps = np.where(np.isfinite(joints), np.rint((np.nan_to_num(joints) - centre) / unit), _MISSING)
    low, high = np.percentile(known, [1, 99], axis=0)
    return {
        "joints": pack(steps, np.int16),
        "unit_m": unit,
        "centre_m": centre.tolist(),
        "low_m": low.tolist(),
        "high_m": high.tolist(),
    }


def jpeg(image: UInt8[np.ndarray, "H W 3"], width: int) -> str:
    """An RGB picture as a data URL, at most that wide."""
    found_height, found_width = image.shape[:2]
    if found_width > width:
        size = (width, max(1, round(found_height * width / found_width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def number(value: float, unit: str) -> str:
    """Three significant digits and the unit, or a dash."""
    return f"{value:.3g} {unit}" if isfinite(value) else "–"


def percent(value: float, digits: int = 0) -> str:
    """A share as a percentage, or a dash."""
    return f"{100 * value:.{digits}f} %" if isfinite(value) else "–"
