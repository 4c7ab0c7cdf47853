"""What a health check says."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from handloom.datasets.columns import Columns
from handloom.datasets.store import Store, StoredRecording


class State(StrEnum):
    """How good an item is, from best to worst."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Verdict(NamedTuple):
    """The state of one item of the whole store."""

    item: str
    state: State
    message: str


class Finding(NamedTuple):
    """Something wrong, or worth knowing, in one recording."""

    state: State
    message: str


RecordingCheck = Callable[[Store, StoredRecording, Columns], list[Finding]]


def merged(item: str, findings: list[Finding], good: str) -> Verdict:
    """One verdict out of all findings of an item: the worst state, its first message, and how many there are."""
    for state in (State.FAIL, State.WARN):
        messages = [finding.message for finding in findings if finding.state is state]
        if messages:
            more = f" (and {len(messages) - 1} more such findings)" if len(messages) > 1 else ""
            return Verdict(item, state, messages[0] + more)
    return Verdict(item, State.OK, good)
