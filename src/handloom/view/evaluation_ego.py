"""The page of SVEgoNet's evaluation: a table of errors, and crops with what was said and what is true."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.formats.atomic import write_text
from handloom.skeleton import BONES
from handloom.view.colours import TRUTH_RGB
from handloom.view.overlay import draw_hands
from handloom.view.page import card_list, jpeg, shell

SIDE_PX = 240
PUBLISHED_MM = 21.92
"""SVEgoNet's MPJPE, trained and evaluated on all of AssemblyHands (Table 4)."""


class Shot(NamedTuple):
    """A crop to show: picture, hand, keypoints that were said, true ones and which of them exist, and words."""

    picture: UInt8[np.ndarray, "S S"]
    hand: int
    said_px: Float[np.ndarray, "21 2"]
    true_px: Float[np.ndarray, "21 2"]
    valid: Bool[np.ndarray, "21"]
    caption: str


def write_ego_evaluation(path: Path, scores: Mapping[str, Any], shots: Sequence[Shot], title: str) -> None:
    """Write the page. Raises OutputError.

    Args:
        path: the page.
        scores: what `evaluation.svegonet` wrote into scores.json.
        shots: crops to show.
        title: what was evaluated.
    """
    official, own = scores["official"], scores["own_depth"]
    best = min(official.values(), key=lambda values: values["mpjpe_mm"])
    cards = [
        ("MPJPE, single view", f"{official['single']['mpjpe_mm']:.2f} mm", "wrist-relative, official way"),
        ("best of four ways", f"{best['mpjpe_mm']:.2f} mm", "mirror images, all views"),
        ("hands named right", f"{100 * scores['hand_identity']['accuracy']:.1f} %", "left, right or both"),
        ("hands", f"{scores['hands']:,}", "in single views"),
    ]
    note = (
        "MPJPE: back-projected with the true depth of the wrist, then counted from the wrist; the mean of each joint, "
        "then of the 42 means, of which those of the two wrists are 0. Without them it is 42/40 as large. From the "
        "hand's size: the depth is where a hand of this shape has the bones of the training's hands; nothing of the "
        f"truth goes in. The paper's SVEgoNet has {PUBLISHED_MM} mm on AssemblyHands' real video; where ours are of "
        "other data, they stand beside it and do not reproduce it."
    )
    body = (
        f"<section><h2>Errors</h2>{_table(official, own)}<p class='measured'>{escape(note)} "
        f"Measured on {escape(scores['data'])}.</p></section>"
        f"<section><h2>Each camera, single views</h2>{_cameras(scores['cameras'])}</section>"
        "<section><h2>Crops</h2><p class='note'>From the worst to the best. Said in the colours of the fingers, true "
        f"in grey.</p><div class='shots'>{''.join(map(_figure, shots))}</div></section>"
    )
    page = shell(title, "Handloom evaluation", f"measured on {scores['data']}", card_list(cards), body, {}, ())
    write_text(path, page)


def _table(official: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    heads = (
        "",
        "MPJPE, mm",
        "without wrists, mm",
        "AUC, 0 to 50 mm",
        "MPJPE from the hand's size, mm",
        "wrist off, mm",
    )
    lines = [f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>"]
    for way, values in official.items():
        cells = [
            f"{values['mpjpe_mm']:.2f}",
            f"{values['mpjpe_without_wrists_mm']:.2f}",
            f"{values['pck_auc']:.3f}",
            f"{own[way]['mpjpe_mm']:.2f}",
            f"{own[way]['wrist_mm']:.1f}",
        ]
        lines.append(f"<tr><th>{escape(way)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _cameras(cameras: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{values['mpjpe_mm']:.2f}</td><td>{values['pck_auc']:.3f}</td>"
        f"<td>{values['hands']:,}</td></tr>"
        for name, values in cameras.items()
    )
    return f"<table><tr><th></th><th>MPJPE, mm</th><th>AUC</th><th>hands</th></tr>{rows}</table>"


def _figure(shot: Shot) -> str:
    scale = SIDE_PX / len(shot.picture)
    image = cv2.cvtColor(cv2.resize(shot.picture, (SIDE_PX, SIDE_PX)), cv2.COLOR_GRAY2RGB)
    true, said = ((points + 0.5) * scale - 0.5 for points in (shot.true_px, shot.said_px))
    for parent, child in BONES:
        if shot.valid[parent] and shot.valid[child]:
            start, end = (np.rint(true[joint]).astype(int).tolist() for joint in (parent, child))
            cv2.line(image, start, end, TRUTH_RGB, 2, cv2.LINE_AA)
    points, there = np.zeros((2, 21, 2)), np.zeros((2, 21), bool)
    points[shot.hand], there[shot.hand] = said, True
    draw_hands(image, points, there, np.ones((2, 21)), labels=False)
    return f"<figure><img src='{jpeg(image, SIDE_PX)}' alt=''><figcaption>{escape(shot.caption)}</figcaption></figure>"
