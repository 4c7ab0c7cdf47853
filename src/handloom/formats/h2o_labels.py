"""H2O's `action_labels/action_{train,val,test}.txt`: labelled segments of the recordings, in and out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from handloom.errors import InputError
from handloom.formats.atomic import write_text
from handloom.formats.dataset_files import Faults, whole_number
from handloom.formats.episode import SPLITS, Episode, LabelledSegment
from handloom.formats.h2o_classes import ACTIONS
from handloom.formats.text_files import read_text

LABELS = "action_label"
_COLUMNS = ("id", "path", "start_act", "end_act", "start_frame", "end_frame")


@dataclass(frozen=True)
class LabelLine:
    """One line: frames `first` ... `last`, both included. `label` is None in the public test file."""

    place: str
    segment_id: int
    recording: str
    label: int | None
    first: int
    last: int


def read_labels(root: Path, faults: Faults) -> dict[str, list[LabelLine]]:
    """The lines of all three files, by recording.

    The public test file has no labels. The private one that the reference implementation needs has them in a column
    appended at the end, without changing the header; both are read.

    Raises:
        InputError: no file at all; or the first bad line.
    """
    folder = root / "action_labels"
    files = [path for split in SPLITS if (path := folder / f"action_{split}.txt").is_file()]
    if not files:
        raise InputError(
            f"{folder}: no action_train.txt, action_val.txt or action_test.txt; copy the folder action_labels of "
            "github.com/taeinkwon/h2odataset to this place"
        )
    lines: dict[str, list[LabelLine]] = {}
    for path in files:
        for line in _read_file(path, faults):
            lines.setdefault(line.recording, []).append(line)
    return lines


def segment(line: LabelLine, frame_ids: Int[np.ndarray, "T"]) -> LabelledSegment:
    """The segment in an episode with these frames.

    Raises:
        InputError: its first or last frame is not among them.
    """
    start, end = np.searchsorted(frame_ids, (line.first, line.last))
    for frame, index in ((line.first, start), (line.last, end)):
        if index >= len(frame_ids) or frame_ids[index] != frame:
            raise InputError(
                f"{line.place}: the segment covers frames {line.first} ... {line.last}, but {line.recording} has no "
                f"frame {frame} (it has {frame_ids[0]} ... {frame_ids[-1]}); is the download complete?"
            )
    verb, noun = (None, None) if line.label is None else ACTIONS[line.label - 1]
    label = None if line.label is None else f"{verb} {noun}"
    return LabelledSegment(label, verb, noun, line.label, int(start), int(end) + 1, line.segment_id)


def write_labels(root: Path, episodes: Iterable[Episode]) -> None:
    """The three files as published: without labels where no segment of a split has one. Raises OutputError."""
    (root / "action_labels").mkdir(parents=True, exist_ok=True)
    of_split: dict[str, list[tuple[Episode, LabelledSegment]]] = {}
    for episode in episodes:
        of_split.setdefault(episode.split or "", []).extend((episode, item) for item in episode.segments)
    for split, items in of_split.items():
        labelled = any(item.label_id is not None for _, item in items)
        header = [*_COLUMNS[:2], LABELS, *_COLUMNS[2:]] if labelled else _COLUMNS
        lines = [" ".join(header)]
        for number, (episode, item) in enumerate(items, 1):
            ids = episode.frame_ids
            identity = number if item.segment_id is None else item.segment_id
            label = [item.label_id] if labelled else []
            span = (ids[item.start], ids[item.end - 1], ids[0], ids[-1])
            lines.append(" ".join(map(str, (identity, episode.name, *label, *span))))
        write_text(root / "action_labels" / f"action_{split}.txt", "\n".join(lines) + "\n")


def _read_file(path: Path, faults: Faults) -> list[LabelLine]:
    header, *rows = read_text(path).splitlines()
    columns = header.split()
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise InputError(f"{path}, line 1: the header lacks {', '.join(missing)}; found {header!r}")
    appended = [*columns, LABELS] if LABELS not in columns else []
    lines: dict[int, LabelLine] = {}
    for number, row in enumerate(rows, 2):
        place, words = f"{path}, line {number}", row.split()
        if not words:
            continue
        names = appended if len(words) == len(appended) else columns
        if len(words) != len(names):
            faults.add(place, f"expected {len(columns)} columns ({' '.join(columns)}), found {len(words)}")
            continue
        try:
            line = _line(place, dict(zip(names, words)))
        except InputError as failure:
            faults.add(place, str(failure).removeprefix(f"{place}: "))
            continue
        if line.segment_id in lines:
            faults.add(place, f"id {line.segment_id} is already that of {lines[line.segment_id].place}")
            continue
        lines[line.segment_id] = line
    return list(lines.values())


def _line(place: str, values: dict[str, str]) -> LabelLine:
    first, last = (whole_number(values[name], place, name) for name in ("start_act", "end_act"))
    label = whole_number(values[LABELS], place, LABELS) if LABELS in values else None
    if label is not None and not 1 <= label <= len(ACTIONS):
        raise InputError(f"{place}: {LABELS} must lie in 1 ... {len(ACTIONS)}, found {label}")
    if last < first:
        raise InputError(f"{place}: end_act {last} lies before start_act {first}")
    return LabelLine(place, whole_number(values["id"], place, "id"), values["path"], label, first, last)
