"""Health of the files: schema, numbering, times, gaps, videos."""

from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq

from handloom.datasets.columns import Columns
from handloom.datasets.layout import VIDEO, Size
from handloom.datasets.origin import read_origin
from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.verdicts import Finding, State
from handloom.errors import InputError
from handloom.video.decode import open_video

RATE_TOLERANCE = 0.05
"""True and declared rate may differ by so much."""
GAP_FRAMES, LONGEST_GAP_S, MISSING_SHARE = 1.5, 0.5, 0.01
"""A gap is longer than so many frames; one this long, or so large a share of frames in gaps, is a failure."""


def check_tables(store: Store) -> list[Finding]:
    """Features, totals, and files that do not belong."""
    found = []
    declared, expected = store.features, store.layout.features()
    for name in sorted(declared.keys() ^ expected.keys()):
        found.append(f"feature {name!r} is {'not declared' if name in expected else 'declared but unknown'}")
    for name in sorted(declared.keys() & expected.keys()):
        for key in ("dtype", "shape"):
            if declared[name].get(key) != expected[name][key]:
                found.append(f"feature {name!r}: {key} {declared[name].get(key)}, expected {expected[name][key]}")
    frames = sum(recording.length for recording in store.recordings)
    tasks = len(store.words["action"]) + 1
    totals = {"total_episodes": len(store), "total_frames": frames, "total_tasks": tasks, "fps": store.layout.fps}
    for name, value in totals.items():
        if store.info.get(name) != value:
            found.append(f"info.json says {name} {store.info.get(name)}, but it is {value}")
    known = {recording.data for recording in store.recordings}
    for path in sorted((store.root / "data").glob("*/*.parquet")):
        if path not in known:
            found.append(f"{path.relative_to(store.root)} belongs to no recording; LeRobot would load it as extra rows")
    found += _task_faults(store, tasks)
    try:
        read_origin(store.root, [recording.name for recording in store.recordings])
    except InputError as failure:
        found.append(str(failure))
    return [Finding(State.FAIL, message) for message in found]


def check_rows(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Row numbers and label numbers."""
    begin = sum(other.length for other in store.recordings[: recording.index])
    rows = np.arange(recording.length)
    expected = {"frame_index": rows, "index": begin + rows, "episode_index": np.full(recording.length, recording.index)}
    found = [
        f"{recording.name}: column {name!r} is {columns[name][bad[0]]} in row {bad[0]}, expected {values[bad[0]]}"
        for name, values in expected.items()
        if len(bad := np.flatnonzero(columns[name] != values))
    ]
    limits = {f"label.{kind}": len(labels) for kind, labels in store.words.items()}
    if store.layout.object_names:
        limits["object.label"] = len(store.layout.object_names)
    for name, count in limits.items():
        if ((columns[name] < -1) | (columns[name] >= count)).any():
            found.append(f"{recording.name}: {name} has numbers outside -1 ... {count - 1}")
    if (columns["task_index"] != columns["label.action"] + 1).any():
        found.append(f"{recording.name}: task_index and label.action contradict each other")
    return [Finding(State.FAIL, message) for message in found]


def check_times(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """The grid of the store, and the true capture times against it."""
    fps = store.layout.fps
    grid = (columns["frame_index"] / fps).astype(np.float32)
    off = np.abs(columns["timestamp"] - grid) >= 1e-4
    if off.any():
        row = int(np.argmax(off))
        return [
            _fail(f"{recording.name}: timestamp {columns['timestamp'][row]:.4f} s in frame {row}, not frame / {fps}")
        ]
    steps = np.diff(columns["time_us"])
    if (steps <= 0).any():
        return [
            _fail(f"{recording.name}: capture times go back or stand still after frame {int(np.argmax(steps <= 0))}")
        ]
    if len(steps):
        rate = 1e6 / float(np.median(steps))
        if abs(rate / fps - 1) > RATE_TOLERANCE:
            return [_fail(f"{recording.name}: captured at {rate:.2f} frames/s, but stored as {fps}")]
    return []


def check_gaps(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Capture times that lie too far apart."""
    steps = np.diff(columns["time_us"]) * store.layout.fps / 1e6
    gaps = steps > GAP_FRAMES
    if not gaps.any():
        return []
    lost, longest = int(np.rint(steps[gaps] - 1).sum()), float(steps.max()) / store.layout.fps
    bad = longest > LONGEST_GAP_S or lost > MISSING_SHARE * recording.length
    message = f"{recording.name}: about {lost} frames missing in {int(gaps.sum())} gaps, the longest {longest:.2f} s"
    return [Finding(State.FAIL if bad else State.WARN, f"{message}, the first after frame {int(np.argmax(gaps))}")]


def check_videos(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Every video there, of the right size, rate and number of pictures."""
    found = []
    for key in store.layout.video_keys:
        name = key.removeprefix(VIDEO)
        path, first = recording.videos[name]
        fault = _video_fault(path, first, recording.length, store.layout.camera(name).size, store.layout.fps)
        if fault:
            found.append(_fail(f"{recording.name}, {path.relative_to(store.root)}: {fault}"))
            continue
        black = ~columns[f"camera.{name}.pictured"]
        if black.any():
            state = State.FAIL if black.all() else State.WARN
            found.append(Finding(state, f"{recording.name}, camera {name}: {int(black.sum())} frames without picture"))
    return found


def _video_fault(path: Path, first: int, length: int, size: Size, fps: int) -> str | None:
    if not path.is_file():
        return "is missing"
    try:
        container, stream = open_video(path)
    except InputError as failure:
        return str(failure)
    with container:
        if (stream.width, stream.height) != size:
            return f"pictures of {stream.width} x {stream.height}, expected {size[0]} x {size[1]}"
        try:
            base = stream.time_base or 0
            times = sorted(packet.pts * base for packet in container.demux(stream) if packet.pts is not None)
        except (av.FFmpegError, OSError) as failure:
            return f"is damaged: {failure}"
    if len(times) < first + length:
        return f"{len(times)} pictures, but {length} frames from {first} on"
    if any(time * fps != number for number, time in enumerate(times)):
        return f"the pictures do not stand at whole multiples of 1/{fps} s"
    return None


def _task_faults(store: Store, tasks: int) -> list[str]:
    path = store.root / "meta" / "tasks.parquet"
    try:
        table = pq.read_table(path, partitioning=None)
        rows = dict(zip(table["task_index"].to_pylist(), table["task"].to_pylist()))
    except (OSError, KeyError, ValueError) as failure:
        return [f"{path} cannot be read: {failure}"]
    names = [label.name for label in store.words["action"]]
    if list(rows) != list(range(tasks)) or list(rows.values())[1:] != names:
        return [f"{path}: the tasks are not the actions of meta/handloom.json in their order"]
    return []


def _fail(message: str) -> Finding:
    return Finding(State.FAIL, message)
