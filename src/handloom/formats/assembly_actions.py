"""Assembly101's fine-grained actions: `train.csv`, `validation.csv`, `test.csv` at 30 frames per second, in and out."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int

from handloom.errors import InputError, OutputError
from handloom.formats.assembly_names import ACTION_RATE, EXO_CAMERAS, ID_RATE, is_egocentric, parse_sequence
from handloom.formats.atomic import write_text
from handloom.formats.dataset_files import Faults, whole_number
from handloom.formats.episode import Episode, LabelledSegment
from handloom.formats.text_files import read_text

FOLDER = "fine-grained-annotations"
FILES = {"train": "train.csv", "val": "validation.csv", "test": "test.csv"}

_SPAN = ("id", "video", "start_frame", "end_frame")
_LABEL = ("action_id", "verb_id", "noun_id", "action_cls", "verb_cls", "noun_cls")
_TOY = ("toy_id", "toy_name", "is_shared", "is_RGB")
_IDS_PER_FRAME = ID_RATE // ACTION_RATE


@dataclass(frozen=True)
class Action:
    """A row: frames `first` ... `last` - 1 in 60 Hz ids."""

    place: str
    first: int
    last: int
    segment: LabelledSegment


@dataclass
class Recording:
    """The rows of one recording."""

    split: str
    toy_name: str = ""
    actions: list[Action] = field(default_factory=list)

    @property
    def facts(self) -> tuple[object, ...]:
        """All that it says, but not in which lines."""
        return self.split, self.toy_name, [(item.first, item.last, item.segment) for item in self.actions]


def read_actions(folder: Path, faults: Faults) -> dict[str, Recording]:
    """The actions of every recording, each once, whatever number of views repeats it.

    Older files name the recording alone and have 13 columns, newer ones name recording/view.mp4 and have more; columns
    are found by the header. Rows without labels are those of the challenge's test file.

    Raises:
        InputError: no file at all; or the first bad row.
    """
    recordings: dict[str, Recording] = {}
    files = {split: folder / name for split, name in FILES.items() if (folder / name).is_file()}
    if not files:
        raise InputError(f"{folder}: no {', '.join(FILES.values())}; download them with Assembly101's annotations")
    for split, path in files.items():
        _read_file(path, split, recordings, faults)
    for recording in recordings.values():
        recording.actions.sort(key=lambda action: (action.first, action.last))
    return recordings


def segments_of(
    recording: Recording, frame_ids: Int[np.ndarray, "T"], faults: Faults, excerpt: bool = False
) -> list[LabelledSegment]:
    """The actions as segments of an episode with these frames.

    Actions before or after all of them are faults, unless the episode is an `excerpt` of the recording.
    """
    segments = []
    for action in recording.actions:
        start, end = (int(index) for index in np.searchsorted(frame_ids, (action.first, action.last)))
        if action.last <= frame_ids[0] or action.first > frame_ids[-1]:
            if not excerpt:
                span = f"{action.first // _IDS_PER_FRAME} ... {action.last // _IDS_PER_FRAME - 1}"
                known = f"{frame_ids[0] // _IDS_PER_FRAME} ... {frame_ids[-1] // _IDS_PER_FRAME}"
                faults.add(action.place, f"frames {span}, but the recording has {known} (30 per second)")
            continue
        if start == end:
            faults.add(action.place, "no labelled frame lies in this action")
            continue
        values = vars(action.segment) | {"start": start, "end": end}
        segments.append(LabelledSegment(**values))
    return segments


def write_actions(folder: Path, episodes: Iterable[Episode]) -> None:
    """The three tables in their newest form: one row per action and view.

    Raises:
        OutputError: an action that does not begin and end with a frame of 30 Hz, or a file cannot be written.
    """
    of_split: dict[str | None, list[Episode]] = {split: [] for split in (*FILES, None)}
    for episode in episodes:
        of_split[episode.split].append(episode)
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in FILES.items():
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow((*_SPAN, *_LABEL, *_TOY))
        table.writerows(_rows(of_split[split]))
        write_text(folder / name, text.getvalue())


def _rows(episodes: Sequence[Episode]) -> Iterator[tuple[object, ...]]:
    known = {item.segment_id for episode in episodes for item in episode.segments}
    unused = itertools.count(max((identity for identity in known if identity is not None), default=-1) + 1)
    for episode in episodes:
        toy = (parse_sequence(episode.name, episode.name).toy, episode.scene, 0)
        views = [stream.name for stream in episode.streams] or [EXO_CAMERAS[0]]
        for view, item in itertools.product(views, episode.segments):
            # The first view carries the segment's own id, the repetitions for other views new ones.
            own = view == views[0] and item.segment_id is not None
            identity = item.segment_id if own else next(unused)
            label = (item.label_id, item.verb_id, item.noun_id, item.label, item.verb, item.noun)
            video = f"{episode.name}/{view}.mp4"
            yield (identity, video, *_action_frames(episode, item), *label, *toy, int(not is_egocentric(view)))


def _action_frames(episode: Episode, item: LabelledSegment) -> tuple[int, int]:
    """First and end frame at 30 Hz."""
    first = int(episode.frame_ids[item.start])
    end = int(episode.frame_ids[item.end - 1] + ID_RATE / episode.frame_rate)
    if first % _IDS_PER_FRAME or end % _IDS_PER_FRAME:
        raise OutputError(
            f"episode {episode.name!r}: the action {item.label!r} covers the 60 Hz frames {first} ... {end - 1}, but "
            "the tables count at 30 Hz: let it begin and end at even numbers"
        )
    return first // _IDS_PER_FRAME, end // _IDS_PER_FRAME


def _read_file(path: Path, split: str, recordings: dict[str, Recording], faults: Faults) -> None:
    table = csv.DictReader(io.StringIO(read_text(path)), restkey="too many")
    columns = table.fieldnames or []
    if missing := [name for name in _SPAN if name not in columns]:
        raise InputError(f"{path}, line 1: the header lacks {', '.join(missing)}; found {', '.join(columns)}")
    seen: set[tuple[object, ...]] = set()
    ids: dict[str, int] = {}
    for values in table:
        number = table.line_num
        place = f"{path}, line {number}"
        if "too many" in values or None in values.values():
            faults.add(place, f"expected {len(columns)} columns ({', '.join(columns)})")
            continue
        if values["id"] in ids:
            faults.add(place, f"id {values['id']} is already that of line {ids[values['id']]}")
            continue
        ids[values["id"]] = number
        try:
            name, action = _action(place, values)
        except InputError as failure:
            faults.add(place, str(failure).removeprefix(f"{place}: "))
            continue
        recording = recordings.setdefault(name, Recording(split, values.get("toy_name") or ""))
        if recording.split != split:
            faults.add(place, f"{name} is in {FILES[recording.split]}, too; a recording belongs to one split")
            continue
        key = (name, action.first, action.last, action.segment.label_id)
        if key not in seen:
            seen.add(key)
            recording.actions.append(action)


def _action(place: str, values: dict[str, str]) -> tuple[str, Action]:
    name, _, _ = values["video"].partition("/")
    parse_sequence(name, place)
    first, last = (whole_number(values[column], place, column) for column in ("start_frame", "end_frame"))
    if last <= first:
        raise InputError(f"{place}: end_frame {last} does not lie behind start_frame {first}")
    ids = [_label_id(place, values, column) for column in _LABEL[:3]]
    label, verb, noun = (values.get(column) or None for column in _LABEL[3:])
    identity = whole_number(values["id"], place, "id")
    segment = LabelledSegment(label, verb, noun, ids[0], first, last, identity, ids[1], ids[2])
    return name, Action(place, first * _IDS_PER_FRAME, last * _IDS_PER_FRAME, segment)


def _label_id(place: str, values: dict[str, str], column: str) -> int | None:
    return whole_number(values[column], place, column) if values.get(column) else None
