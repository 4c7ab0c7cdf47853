"""Whole recordings into a LeRobot v3 data set (facts: docs/formats.md; huggingface/lerobot, release 0.6.1)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handloom.datasets.columns import read_columns, to_table
from handloom.datasets.labels import KINDS, UNLABELLED, Vocabulary, frame_labels, vocabulary
from handloom.datasets.layout import VIDEO, StoreLayout
from handloom.datasets.shard import ENCODER, FRAMES, GROUP, link, read_about
from handloom.datasets.statistics import column_statistics, picture_statistics
from handloom.formats.atomic import json_text, write_text
from handloom.formats.episode import Problem

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
INFO, TASKS, STATS = "meta/info.json", "meta/tasks.parquet", "meta/stats.json"
HANDLOOM, SHARDS = "meta/handloom.json", "meta/shards.json"
FORMAT = 2
"""Version of what Handloom adds to LeRobot's layout; 2: a size per camera."""
CHUNK = 1000
"""Files per folder. Every recording has a data file and video files of its own."""

_SEGMENT = pa.struct(
    [(name, pa.string()) for name in ("label", "verb", "noun")]
    + [(name, pa.int64()) for name in ("label_id", "verb_id", "noun_id", "segment_id", "start", "end")]
)

Abouts = Sequence[Mapping[str, Any]]


def write_store(
    root: Path,
    layout: StoreLayout,
    shards: Sequence[Path],
    left_out: Sequence[Problem],
    prepared_with: Mapping[str, Any],
    made_of: Mapping[str, Any],
) -> int:
    """Put whole shards together to a store in the new folder `root`; the shards stay as they are.

    Args:
        root: must not exist; whoever calls renames it when it is finished.
        layout: of all shards.
        shards: folders that `write_shard` made, in the order of the recordings.
        left_out: everything that is not in the store.
        prepared_with: settings, to be found again in meta/handloom.json.
        made_of: what tells whether the source has changed, to be found again in meta/shards.json.

    Returns:
        Number of frames.

    Raises:
        InputError: labels of two recordings contradict each other.
    """
    abouts = [read_about(shard) for shard in shards]
    words = vocabulary(abouts)
    features = layout.features()
    begin = np.concatenate([[0], np.cumsum([about["length"] for about in abouts])]).astype(int).tolist()
    (root / EPISODES_PATH).parent.mkdir(parents=True)
    for number, (shard, about) in enumerate(zip(shards, abouts)):
        numbers = _shard_columns(shard, layout) | _numbering(number, begin[number], about, words)
        path = root / DATA_PATH.format(**_place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {name: numbers[name] for name in features if name in numbers}
        # One row group per recording, as LeRobot itself writes since 0.6.0.
        pq.write_table(to_table(stored, features), path, row_group_size=max(1, about["length"]))
        for key in layout.video_keys:
            video = root / VIDEO_PATH.format(video_key=key, **_place(number))
            video.parent.mkdir(parents=True, exist_ok=True)
            link(shard / f"{key.removeprefix(VIDEO)}.mp4", video)
    tasks = [UNLABELLED, *(label.name for label in words["action"])]
    _write_tasks(root / TASKS, tasks)
    _write_episodes(root / EPISODES_PATH, layout, abouts, begin)
    write_text(root / STATS, json_text(_stats(root, layout, abouts)))
    about_store = {
        "version": FORMAT,
        "layout": layout.as_json(),
        **{f"{kind}s": [label._asdict() for label in words[kind]] for kind in KINDS},
        "recordings": len(abouts),
        "frames": begin[-1],
        "left_out": [list(problem) for problem in left_out],
        "prepared_with": prepared_with,
        "conventions": _CONVENTIONS,
    }
    write_text(root / HANDLOOM, json_text(about_store, indent=1))
    write_text(root / SHARDS, json_text({**made_of, "shards": abouts}))
    write_text(root / INFO, json_text(_info(layout, begin[-1], len(abouts), len(tasks)), indent=1))
    write_text(root / "README.md", _card(layout, len(abouts), begin[-1]))
    return int(begin[-1])


_CONVENTIONS = (
    "SI units; world frame of the data set; camera frame x right, y down, z forward; pixel centres at integers; "
    "hand 0 left, 1 right; 21 joints: wrist, then thumb to little finger, base to tip. Masked numbers are 0. Camera "
    "models per recording: column cameras of meta/episodes. Segments, ends exclusive, overlaps kept: column segments."
)


def _place(episode: int) -> dict[str, int]:
    return {"chunk_index": episode // CHUNK, "file_index": episode % CHUNK}


def _shard_columns(shard: Path, layout: StoreLayout) -> dict[str, np.ndarray]:
    path, features = shard / FRAMES, layout.features()
    names = pq.read_schema(path).names
    return read_columns(path, features, names)


def _numbering(number: int, begin: int, about: Mapping[str, Any], words: Vocabulary) -> dict[str, np.ndarray]:
    length = about["length"]
    labels = frame_labels(about["segments"], length, words)
    return {
        "episode_index": np.full(length, number),
        "index": begin + np.arange(length),
        "task_index": labels["action"] + 1,
        **{f"label.{kind}": rows for kind, rows in labels.items()},
    }


def _write_tasks(path: Path, tasks: list[str]) -> None:
    """LeRobot looks texts up by row, and takes the text from what pandas calls the index."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
            for name, (kind, stored) in kinds.items()
        ],
        "creator": {"library": "pyarrow", "version": "0"},
        "pandas_version": "2.0.0",
    }
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def _write_episodes(path: Path, layout: StoreLayout, abouts: Abouts, begin: list[int]) -> None:
    count = len(abouts)
    chunks = pa.array([_place(number)["chunk_index"] for number in range(count)], pa.int64())
    files = pa.array([_place(number)["file_index"] for number in range(count)], pa.int64())
    lengths = [about["length"] for about in abouts]
    columns: dict[str, pa.Array] = {
        "episode_index": pa.array(range(count), pa.int64()),
        "tasks": pa.array([_tasks_of(about) for about in abouts], pa.list_(pa.string())),
        "length": pa.array(lengths, pa.int64()),
        "data/chunk_index": chunks,
        "data/file_index": files,
        "dataset_from_index": pa.array(begin[:-1], pa.int64()),
        "dataset_to_index": pa.array(begin[1:], pa.int64()),
    }
    for key in layout.video_keys:
        columns |= {
            f"videos/{key}/chunk_index": chunks,
            f"videos/{key}/file_index": files,
            f"videos/{key}/from_timestamp": pa.array([0.0] * count, pa.float64()),
            f"videos/{key}/to_timestamp": pa.array([length / layout.fps for length in lengths], pa.float64()),
        }
    columns["meta/episodes/chunk_index"] = columns["meta/episodes/file_index"] = pa.array([0] * count, pa.int64())
    for name in ("name", "subject", "split", "scene"):
        columns[name] = pa.array([about[name] or "" for about in abouts], pa.string())
    columns["cameras"] = pa.array([json_text(about["cameras"]) for about in abouts], pa.string())
    segments = [[_without_nulls(segment) for segment in about["segments"]] for about in abouts]
    columns["segments"] = pa.array(segments, pa.list_(_SEGMENT))
    pq.write_table(pa.table(columns), path)


def _tasks_of(about: Mapping[str, Any]) -> list[str]:
    covered = np.zeros(about["length"], bool)
    for segment in about["segments"]:
        if segment["label"] is not None:
            covered[segment["start"] : segment["end"]] = True
    labels = sorted({segment["label"] for segment in about["segments"] if segment["label"] is not None})
    return labels if covered.all() else [UNLABELLED, *labels]


def _without_nulls(segment: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {field.name: field.type for field in _SEGMENT}
    return {
        name: ("" if pa.types.is_string(kind) else -1) if segment[name] is None else segment[name]
        for name, kind in kinds.items()
    }


def _stats(root: Path, layout: StoreLayout, abouts: Abouts) -> dict[str, Any]:
    """Column by column, so that one column of the whole store is in memory at a time."""
    features = layout.features()
    stats: dict[str, Any] = {}
    paths = [root / DATA_PATH.format(**_place(number)) for number in range(len(abouts))]
    for name, feature in features.items():
        if feature["dtype"] != "video":
            stats[name] = column_statistics(np.concatenate([read_columns(p, features, [name])[name] for p in paths]))
    for key in layout.video_keys:
        name = key.removeprefix(VIDEO)
        histogram = sum(np.array(about["histograms"][name]) for about in abouts)
        stats[key] = picture_statistics(np.asarray(histogram), sum(about["sampled"][name] for about in abouts))
    return stats


def _info(layout: StoreLayout, frames: int, episodes: int, tasks: int) -> dict[str, Any]:
    features = layout.features()
    for camera in layout.pictured:
        features[VIDEO + camera.name]["info"] = {
            "video.height": camera.height,
            "video.width": camera.width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.fps": layout.fps,
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
            "video.g": GROUP,
            "video.crf": int(ENCODER["crf"]),
        }
    return {
        "codebase_version": "v3.0",
        "robot_type": None,
        "fps": layout.fps,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if layout.video_keys else None,
        "splits": {"train": f"0:{episodes}"},
        "features": features,
    }


def _card(layout: StoreLayout, episodes: int, frames: int) -> str:
    videos = "One MP4 per recording and camera." if layout.pictures else "Poses alone: no videos."
    return (
        "---\ntags: [LeRobot]\ntask_categories: [robotics]\n"
        "configs:\n- config_name: default\n  data_files: data/*/*.parquet\n---\n"
        f"# {layout.dataset}\n\nA LeRobot v3.0 data set of {episodes} recordings, {frames} frames at "
        f"{layout.fps} frames/s, written by Handloom. {videos}\n\n{_CONVENTIONS}\n"
    )
