"""The page of an image estimator's evaluation: errors camera by camera, and pictures with what was said and is true."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.formats.atomic import write_text
from handloom.skeleton import BONES, HANDS
from handloom.view.colours import TRUTH_RGB
from handloom.view.overlay import draw_hands
from handloom.view.page import card_list, jpeg, shell

WIDTH_PX = 360


class ViewShot(NamedTuple):
    """A picture to show, both hands' keypoints that were said (NaN for none) and true ones that exist, and words."""

    picture: UInt8[np.ndarray, "h w 3"]
    said_px: Float[np.ndarray, "2 21 2"]
    true_px: Float[np.ndarray, "2 21 2"]
    valid: Bool[np.ndarray, "2 21"]
    caption: str


def write_view_evaluation(path: Path, scores: Mapping[str, Any], shots: Sequence[ViewShot], title: str) -> None:
    """Write the page. Raises OutputError.

    Args:
        path: the page.
        scores: what `evaluation.ghtt_image` wrote into scores.json.
        shots: pictures to show.
        title: what was evaluated.
    """
    cameras = scores["cameras"]
    cards = [("cameras", str(len(cameras)), ", ".join(cameras))]
    for name, what in (("ra_mm", "MPJPE-RA"), ("pa_mm", "MPJPE-PA")):
        found = [values[hand][name] for values in cameras.values() for hand in HANDS if hand in values]
        known = [value for value in found if value is not None]
        mean = f"{sum(known) / len(known):.2f} mm" if known else "-"
        cards.append((what, mean, "mean over hands and cameras"))
    body = (
        f"<section><h2>Errors</h2>{_table(cameras)}<p class='measured'>{escape(scores['poses'])}. Objects: "
        f"{escape(scores['objects'])}. Measured on {escape(scores['data'])}.</p></section>"
        "<section><h2>Pictures</h2><p class='note'>Evenly chosen. Said in the colours of the fingers, true in grey."
        f"</p><div class='shots'>{''.join(map(_figure, shots))}</div></section>"
    )
    page = shell(title, "Handloom evaluation", f"measured on {scores['data']}", card_list(cards), body, {}, ())
    write_text(path, page)


def _table(cameras: Mapping[str, Any]) -> str:
    heads = ("", "", "MPJPE-RA, mm", "MPJPE-PA, mm", "in the camera, mm", "object: F", "object: E^PO")
    lines = [f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>"]
    for camera, values in cameras.items():
        objects = values["objects"]
        shares = [f"{100 * objects[name]:.1f} %" if objects["frames"] else "-" for name in ("f", "e_po")]
        for hand in HANDS:
            if hand in values:
                found = values[hand].values()
                cells = [*("-" if value is None else f"{value:.2f}" for value in found), *shares]
                line = "".join(f"<td>{cell}</td>" for cell in (hand, *cells))
                lines.append(f"<tr><th>{escape(camera)}</th>{line}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _figure(shot: ViewShot) -> str:
    height, width = shot.picture.shape[:2]
    scale = WIDTH_PX / width
    image = cv2.resize(shot.picture, (WIDTH_PX, round(height * scale)))
    said, true = ((points + 0.5) * scale - 0.5 for points in (shot.said_px, shot.true_px))
    for points, valid in zip(true, shot.valid):
        for parent, child in BONES:
            if valid[parent] and valid[child]:
                start, end = (np.rint(points[joint]).astype(int).tolist() for joint in (parent, child))
                cv2.line(image, start, end, TRUTH_RGB, 2, cv2.LINE_AA)
    draw_hands(image, said, np.isfinite(said).all(-1), np.ones((2, 21)), labels=False)
    return f"<figure><img src='{jpeg(image, WIDTH_PX)}' alt=''><figcaption>{escape(shot.caption)}</figcaption></figure>"
