"""The page of a hand detector's evaluation: a table of the cameras, and pictures with what was found and is true."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom.formats.atomic import write_text
from handloom.metrics.boxes import JudgedPicture
from handloom.skeleton import HANDS
from handloom.view.colours import HAND_RGB, RGB, TRUTH_RGB
from handloom.view.page import card_list, jpeg, percent, shell

WIDTH_PX = 360


class BoxShot(NamedTuple):
    """A picture to show, what was found in it, and words."""

    picture: UInt8[np.ndarray, "h w 3"]
    judged: JudgedPicture
    caption: str


def write_box_evaluation(path: Path, scores: Mapping[str, Any], shots: Sequence[BoxShot], title: str) -> None:
    """Write the page. Raises OutputError.

    Args:
        path: the page.
        scores: what `evaluation.hand_detector` wrote into scores.json.
        shots: pictures to show.
        title: what was evaluated.
    """
    total, least = scores["all"], scores["least_score"]
    cards = [
        ("average precision", _share(total["ap"]), "overlap of 0.5; left and right apart"),
        ("hands found", _share(total["recall"]), f"by boxes with a score of {least}"),
        ("sides right", _share(total["side_accuracy"]), "of those that are found"),
        ("hands", f"{total['hands']:,}", f"in {total['pictures']:,} pictures"),
    ]
    note = (
        "A hand is found by a box that overlaps its own by half (intersection over union). Hands that are hidden or "
        f"cut off may be found or not. Measured on {scores['data']}."
    )
    body = (
        f"<section><h2>Cameras</h2>{_table(scores)}<p class='measured'>{escape(note)}</p></section>"
        "<section><h2>Pictures</h2><p class='note'>Evenly chosen. True boxes are grey, those that were found are blue "
        f"for left and orange for right hands.</p><div class='shots'>"
        f"{''.join(_figure(shot, least) for shot in shots)}</div></section>"
    )
    page = shell(title, "Handloom evaluation", f"measured on {scores['data']}", card_list(cards), body, {}, ())
    write_text(path, page)


def _table(scores: Mapping[str, Any]) -> str:
    heads = ("", "AP", "found", "sides right", "overlap of those found", "false boxes a picture", "hands", "pictures")
    lines = [f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>"]
    for name, values in {**scores["cameras"], "all": scores["all"]}.items():
        cells = [_share(values[key]) for key in ("ap", "recall", "side_accuracy", "overlap")]
        false = values["false_per_picture"]
        cells += ["" if false is None else f"{false:.2f}", f"{values['hands']:,}", f"{values['pictures']:,}"]
        lines.append(f"<tr><th>{escape(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _share(value: float | None) -> str:
    return "" if value is None else percent(value, 1)


def _figure(shot: BoxShot, least: float) -> str:
    scale = WIDTH_PX / shot.picture.shape[1]
    image = cv2.resize(shot.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    seen = shot.judged
    for box in seen.true_px[np.isfinite(seen.true_px[:, 0])]:
        _draw(image, box, scale, TRUTH_RGB, 2)
    for box, score, right in zip(seen.boxes_px, seen.scores, seen.right):
        if score >= least:
            _draw(image, box, scale, HAND_RGB[int(right)], 1)
            place = (round(float(box[0]) * scale), round(float(box[1]) * scale) - 3)
            words = f"{HANDS[int(right)][0]} {score:.2f}"
            cv2.putText(image, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, HAND_RGB[int(right)], 1, cv2.LINE_AA)
    words = escape(shot.caption)
    return f"<figure><img src='{jpeg(image, WIDTH_PX)}' alt=''><figcaption>{words}</figcaption></figure>"


def _draw(image: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, "4"], scale: float, rgb: RGB, width: int) -> None:
    x0, y0, x1, y1 = np.rint((box + 0.5) * scale - 0.5).astype(int).tolist()
    cv2.rectangle(image, (x0, y0), (x1, y1), rgb, width, cv2.LINE_AA)
