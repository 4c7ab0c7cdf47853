"""The page of verb classifiers: how often each verb occurs, and what is called what."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Int

from handloom.formats.atomic import write_text
from handloom.view.evaluation_actions import class_bars, confusion_matrix
from handloom.view.page import card_list, percent, shell


def write_verbs(
    path: Path, counts: Mapping[str, Int[np.ndarray, "verbs verbs"]], verbs: tuple[str, ...], where: str
) -> None:
    """Write the page; it needs no network.

    Args:
        path: the page.
        counts: confusion matrix (true, said) of each classifier, by its name.
        verbs: their names.
        where: what was measured on.

    Raises:
        OutputError: the page cannot be written.
    """
    cards = [
        (name, percent(float(np.trace(matrix) / max(matrix.sum(), 1)), 1), f"of {matrix.sum()} segments")
        for name, matrix in counts.items()
    ]
    sections = [f"<section><h2>Segments of each verb</h2>{_distribution(next(iter(counts.values())), verbs)}</section>"]
    for name, matrix in counts.items():
        confusion = confusion_matrix(matrix, verbs, "segment", "verb")
        sections.append(
            f'<section><h2>{escape(name)}</h2><div class="grid"><div>{confusion}</div>'
            f"<div>{class_bars(matrix, verbs)}</div></div></section>"
        )
    page = shell(
        title="Verbs from hand poses",
        brand="Handloom evaluation",
        subtitle=f"measured on {where}",
        cards=card_list(cards),
        body="".join(sections),
        data={},
        scripts=(),
    )
    write_text(path, page)


def _distribution(counts: Int[np.ndarray, "verbs verbs"], verbs: tuple[str, ...]) -> str:
    segments = counts.sum(1)
    rows = "".join(
        f'<div><span title="{escape(verb)}">{escape(verb)}</span><div class="bar" style="--c:var(--accent)">'
        f'<i style="width:{100 * count / max(segments.max(), 1):.1f}%"></i></div><b>{count}</b></div>'
        for verb, count in zip(verbs, segments.tolist())
    )
    return f'<div class="classes">{rows}</div>'
