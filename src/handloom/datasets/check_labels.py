"""Health of labels and splits."""

from collections import Counter, defaultdict

from handloom.datasets.store import Store
from handloom.datasets.verdicts import Finding, State

LOPSIDED, DOMINANT, FEWEST = 20, 0.9, 10
"""Most over least frequent class; share of the largest class; segments below which nothing is said of balance."""
SUBJECTS_IN_BOTH = {"fpha": "its official split is by repetition, not by subject"}


def check_balance(store: Store) -> list[Finding]:
    """How often each action occurs, and whether what is tested can have been learnt.

    An action that is tested but not trained is a warning: the store may be a part of a data set, or a small simulation,
    and every label may be right. It fails only where hardly anything but one action is left to learn.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for recording in store.recordings:
        for segment in recording.segments:
            if segment.label is not None:
                counts[recording.split or "none"][segment.label] += 1
    found = []
    total = sum(counts.values(), Counter[str]())
    if len(total) > 1 and total.total() >= FEWEST:
        (most, often), (least, seldom) = total.most_common()[0], total.most_common()[-1]
        if often > DOMINANT * total.total():
            found.append(
                Finding(State.FAIL, f"{often} of {total.total()} segments are {most!r}; nothing else can be learnt")
            )
        elif often > LOPSIDED * seldom:
            found.append(Finding(State.WARN, f"{most!r} occurs {often} times, {least!r} {seldom} times"))
    if "train" in counts:
        for split in ("val", "test"):
            if unseen := sorted(counts[split].keys() - counts["train"].keys()):
                more = f" and {len(unseen) - 5} more" if len(unseen) > 5 else ""
                message = f"{split} has actions that training has not: {', '.join(unseen[:5])}{more}"
                found.append(Finding(State.WARN, message))
    return found


def check_leakage(store: Store) -> list[Finding]:
    """Nobody is in training and in test."""
    recordings: dict[tuple[str | None, str], str] = {}
    for recording in store.recordings:
        recordings.setdefault((recording.split, recording.subject), recording.name)
    found = []
    subjects = sorted({recording.subject for recording in store.recordings})
    for held_out, state in (("test", State.FAIL), ("val", State.WARN)):
        both = [name for name in subjects if {("train", name), (held_out, name)} <= recordings.keys()]
        if not both:
            continue
        train, other = recordings["train", both[0]], recordings[held_out, both[0]]
        message = f"{both[0]} is in train ({train}) and in {held_out} ({other})"
        if excuse := SUBJECTS_IN_BOTH.get(store.layout.dataset):
            state, message = State.WARN, f"{message}; {excuse}"
        found.append(Finding(state, message + (f"; so are {len(both) - 1} other subjects" if len(both) > 1 else "")))
    return found
