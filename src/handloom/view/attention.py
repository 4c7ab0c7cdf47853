"""Where a transformer looks: the action token over the frames of a clip, and the frames of a window at each other.

Figures 7 and 6 of HTT's paper, drawn as HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float, UInt8

from handloom.errors import RecordError
from handloom.view.page import jpeg

_FILM_WIDTH, _CELL, _THUMB = 200, 30, 46


@dataclass(frozen=True, eq=False)
class ActionAttention:
    """Attention of the action token to the T frames of a clip.

    Attributes:
        title: what is seen: the video, its action.
        weights: of the last layer or the mean over layers, heads averaged; not negative.
        pictures: (frame, RGB picture) of frames spread over the clip, in order.
    """

    title: str
    weights: Float[np.ndarray, "T"]
    pictures: Sequence[tuple[int, UInt8[np.ndarray, "H W 3"]]] = ()

    def __post_init__(self) -> None:
        _check(self.title, self.weights)
        if bad := [frame for frame, _ in self.pictures if not 0 <= frame < len(self.weights)]:
            raise RecordError(f"attention {self.title!r}: picture of frame {bad[0]}, but there are {len(self.weights)}")


@dataclass(frozen=True, eq=False)
class WindowAttention:
    """Attention inside a window: row i says how much frame i looks at each; with no picture or one per frame."""

    title: str
    weights: Float[np.ndarray, "t t"]
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]] = ()

    def __post_init__(self) -> None:
        _check(self.title, self.weights)
        if self.weights.ndim != 2 or self.weights.shape[0] != self.weights.shape[1]:
            raise RecordError(f"attention {self.title!r} must be a square, found {self.weights.shape}")
        if self.pictures and len(self.pictures) != len(self.weights):
            raise RecordError(
                f"attention {self.title!r}: expected {len(self.weights)} pictures, one per frame, "
                f"found {len(self.pictures)}"
            )


def action_attention(shown: ActionAttention) -> str:
    """A strip of pictures above a bar per frame."""
    count, peak = len(shown.weights), float(shown.weights.max())
    heights = shown.weights / peak if peak else shown.weights
    bars = "".join(
        f'<rect x="{i}" y="{1 - height:.4f}" width="0.86" height="{height:.4f}">'
        f"<title>frame {i}: {weight:.4f}</title></rect>"
        for i, (weight, height) in enumerate(zip(shown.weights, heights))
    )
    return (
        f'<figure class="attention"><figcaption>{escape(shown.title)}</figcaption>{_film(shown)}'
        f'<svg class="weights" viewBox="0 0 {count} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="attention to each frame">{bars}</svg>'
        f'<div class="scale"><span>frame 0</span><span>greatest weight {peak:.3f}, evenly spread {1 / count:.3f}</span>'
        f"<span>frame {count - 1}</span></div></figure>"
    )


def window_attention(shown: WindowAttention) -> str:
    """A square of cells, looking frame down, frame looked at across."""
    count, peak = len(shown.weights), float(shown.weights.max()) or 1.0
    left, top = (_THUMB + 6, 30) if shown.pictures else (26, 30)
    cells = [
        f'<rect class="weight" x="{left + _CELL * j}" y="{top + _CELL * i}" width="{_CELL}" height="{_CELL}" '
        f'opacity="{shown.weights[i, j] / peak:.3f}"><title>frame {i} to {j}: {shown.weights[i, j]:.4f}</title></rect>'
        for i in range(count)
        for j in range(count)
    ]
    for i in range(count):
        middle = _CELL * (i + 0.5)
        cells.append(f'<text class="axis" x="{left + middle}" y="{top - 6}" text-anchor="middle">{i}</text>')
        if shown.pictures:
            cells.append(
                f'<image x="0" y="{top + _CELL * i + 1}" width="{_THUMB}" height="{_CELL - 2}" '
                f'preserveAspectRatio="xMidYMid slice" href="{jpeg(shown.pictures[i], 2 * _THUMB)}"/>'
            )
        else:
            cells.append(f'<text class="axis" x="{left - 6}" y="{top + middle + 4}" text-anchor="end">{i}</text>')
    side = _CELL * count
    return (
        f'<figure class="attention"><figcaption>{escape(shown.title)}</figcaption><div class="scroll">'
        f'<svg class="confusion window" width="{left + side + 1}" height="{top + side + 1}" role="img" '
        f'aria-label="attention between the frames of a window">'
        f'<text class="axis" x="{left}" y="11">looks at frame (greatest {peak:.3f}, even {1 / count:.3f})</text>'
        f'{"".join(cells)}<rect class="grid-line" x="{left}" y="{top}" width="{side}" height="{side}"/></svg>'
        "</div></figure>"
    )


def _film(shown: ActionAttention) -> str:
    if not shown.pictures:
        return ""
    count, (height, width) = len(shown.pictures), shown.pictures[0][1].shape[:2]
    pictures = "".join(
        f'<img alt="frame {frame}" title="frame {frame}" style="left:{100 * i / count:.3f}%;width:{100 / count:.3f}%" '
        f'src="{jpeg(image, _FILM_WIDTH)}">'
        for i, (frame, image) in enumerate(shown.pictures)
    )
    return f'<div class="film" style="padding-top:{100 * height / width / count:.3f}%">{pictures}</div>'


def _check(title: str, weights: np.ndarray) -> None:
    if not weights.size or not np.isfinite(weights).all() or weights.min() < 0:
        raise RecordError(f"attention {title!r} must hold finite weights, none negative, for at least one frame")
