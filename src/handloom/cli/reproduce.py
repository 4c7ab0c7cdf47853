"""The papers' tables again: reproduce."""

from collections.abc import Callable
from functools import partial

import tyro

from handloom.cli.reproduce_assemblyhands import (
    ANNOTATION_TABLES,
    ASSEMBLYHANDS_TABLES,
    VERB_TABLES,
    reproduce_annotation,
    reproduce_assemblyhands,
    reproduce_verbs,
)
from handloom.cli.reproduce_htt import (
    GHTT_TABLES,
    HTT_TABLES,
    VIEW_TABLES,
    reproduce_ghtt,
    reproduce_ghtt_more,
    reproduce_ghtt_views,
    reproduce_htt,
)

_FAMILIES: tuple[tuple[dict[str, str], Callable[..., None]], ...] = (
    (HTT_TABLES, reproduce_htt),
    (VIEW_TABLES, reproduce_ghtt_views),
    (GHTT_TABLES, reproduce_ghtt),
    (ANNOTATION_TABLES, reproduce_annotation),
    (ASSEMBLYHANDS_TABLES, reproduce_assemblyhands),
    (VERB_TABLES, reproduce_verbs),
)
reproduce = tyro.extras.SubcommandApp()
for tables, run in _FAMILIES:
    for name, about in tables.items():
        reproduce.command(name=name, help=about)(partial(run, name))
reproduce.command(name="ghtt-more-data", help="P and A trained on more stores.")(reproduce_ghtt_more)
