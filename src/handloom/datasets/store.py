"""Read the native store: what is in it, the numbers of a recording, and a recording as an `Episode`."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handloom.datasets.columns import Columns, read_columns
from handloom.datasets.labels import KINDS, NamedLabel, Vocabulary
from handloom.datasets.layout import (
    BOXES,
    PICTURED,
    POSE_KNOWN,
    REPROJECTION,
    VIDEO,
    VIEWS,
    VISIBLE,
    WORLD_FROM_CAMERA,
    StoreLayout,
    camera_feature,
    layout_from_json,
)
from handloom.datasets.store_write import EPISODES_PATH, HANDLOOM, INFO
from handloom.errors import InputError
from handloom.formats.cameras import camera_from_dict
from handloom.formats.episode import CameraStream, Episode, Evidence, LabelledSegment, VideoSpan
from handloom.formats.text_files import parse_json, read_text
from handloom.geometry import Camera
from handloom.hands import HandTrack, ScaleSource


@dataclass(frozen=True, eq=False)
class StoredRecording:
    """What the episode table says of one recording.

    Attributes:
        index: its number in the store.
        name, subject, split, scene: as in `Episode`; split is None where the data set puts it into none.
        length: number of frames.
        data: file of its numbers.
        videos: file and first frame in it, by camera.
        cameras: intrinsics for the stored pictures, by name.
        segments: labelled stretches.
    """

    index: int
    name: str
    subject: str
    split: str | None
    scene: str
    length: int
    data: Path
    videos: dict[str, tuple[Path, int]]
    cameras: dict[str, Camera]
    segments: tuple[LabelledSegment, ...]


class Store:
    """A store on disk. Opening it reads its tables; numbers and pictures are read when asked for.

    Attributes:
        root: its folder.
        info: the whole of meta/info.json.
        layout: rate, size, cameras, objects.
        words: names of actions, verbs and nouns; the rows that the columns label.action ... refer to.
        recordings: in order.

    Raises:
        InputError: no store, not whole, or damaged; names the file.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if not (self.root / INFO).is_file():
            raise InputError(f"{root} holds no {INFO}; give the folder that `handloom prepare` wrote")
        if not (self.root / HANDLOOM).is_file():
            raise InputError(f"{root} is a LeRobot data set without {HANDLOOM}: it holds no hands that Handloom knows")
        self.info = _json(self.root / INFO)
        about = _json(self.root / HANDLOOM)
        version = str(self.info.get("codebase_version"))
        if version.removeprefix("v").split(".")[0] != "3":
            raise InputError(f"{self.root / INFO}: a LeRobot data set of version {version}; only 3 is read")
        if not isinstance(self.info.get("features"), dict) or not isinstance(about.get("layout"), dict):
            raise InputError(f"{root}: no features in {INFO} or no layout in {HANDLOOM}; prepare it again")
        self.layout: StoreLayout = layout_from_json(about["layout"], str(self.root / HANDLOOM))
        try:
            self.words: Vocabulary = {kind: [NamedLabel(**item) for item in about[f"{kind}s"]] for kind in KINDS}
        except (KeyError, TypeError) as failure:
            raise InputError(f"{self.root / HANDLOOM}: the names of labels are damaged ({failure!r})") from None
        self.features: dict[str, Any] = self.info["features"]
        self.recordings: tuple[StoredRecording, ...] = _recordings(self.root, self.info, self.layout)

    @property
    def simulated(self) -> bool:
        """Whether it was made by `handloom simulate`."""
        return (self.root / "simulation.json").exists()

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.recordings)

    def columns(self, index: int, names: list[str] | None = None) -> Columns:
        """The numbers of a recording, all or some of them, one row per frame.

        Raises:
            InputError: no such recording, or its file is missing, damaged, or has another number of rows.
        """
        recording = self._recording(index)
        columns = read_columns(recording.data, self.features, names)
        if wrong := next((name for name, array in columns.items() if len(array) != recording.length), None):
            raise InputError(
                f"{recording.data}: {len(columns[wrong])} rows, but the episode table says {recording.length} frames"
            )
        return columns

    def episode(self, index: int) -> Episode:
        """A recording as the reader of its data set gave it, with pictures and cameras of the stored size.

        Times are rounded to microseconds, coordinates to float32. Per-view validity that the data set did not give
        is whether the joint projects into the picture.

        Raises:
            InputError, RecordError: as `columns`, or the numbers form no valid recording.
        """
        recording, layout = self._recording(index), self.layout
        columns = self.columns(index)
        valid = columns["hand.valid"]
        times = columns["time_us"] / 1e6
        hands = HandTrack(
            times_s=times,
            joints_m=columns["hand.joints"],
            valid=valid,
            confidence=columns["hand.confidence"],
            keypoints_px=np.full((*valid.shape, 2), np.nan),
            frame="world",
            scale_source=ScaleSource.MEASURED,
        )
        objects = bool(layout.object_names)
        return Episode(
            dataset=layout.dataset,
            name=recording.name,
            subject=recording.subject,
            split=recording.split,
            frame_ids=columns["frame_id"],
            frame_rate=Fraction(layout.fps),
            hands=hands,
            streams=tuple(self._stream(recording, columns, camera.name) for camera in layout.cameras),
            segments=recording.segments,
            object_names=layout.object_names,
            object_poses=_masked(columns["object.poses"], columns["object.known"]) if objects else None,
            object_labels=columns["object.label"] if objects else None,
            scene=recording.scene,
            evidence=_evidence(columns) if layout.evidence else None,
        )

    def _recording(self, index: int) -> StoredRecording:
        if not 0 <= index < len(self):
            raise InputError(f"{self.root} has recordings 0 ... {len(self) - 1}, not {index}")
        return self.recordings[index]

    def _stream(self, recording: StoredRecording, columns: Columns, name: str) -> CameraStream:
        camera = self.layout.camera(name)
        boxes = columns[camera_feature(name, BOXES)]
        pictures = None
        if self.layout.pictures:
            path, first = recording.videos[name]
            pictured = columns[camera_feature(name, PICTURED)]
            pictures = VideoSpan(path, np.where(pictured, first + np.arange(recording.length), -1))
        return CameraStream(
            name=name,
            camera=recording.cameras[name],
            world_from_camera=_masked(
                columns[camera_feature(name, WORLD_FROM_CAMERA)], columns[camera_feature(name, POSE_KNOWN)]
            ),
            pictures=pictures,
            monochrome=camera.monochrome,
            boxes_px=_masked(boxes, np.asarray(boxes.any(-1))),
            visible=columns[camera_feature(name, VISIBLE)],
        )


def _evidence(columns: Columns) -> Evidence:
    views = columns[VIEWS]
    return Evidence(views, np.where(views > 0, columns[REPROJECTION], np.nan))


def _masked(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.where(known.reshape(known.shape + (1,) * (values.ndim - known.ndim)), values, np.nan)


def _json(path: Path) -> dict[str, Any]:
    return parse_json(path, read_text(path))


def _recordings(root: Path, info: dict[str, Any], layout: StoreLayout) -> tuple[StoredRecording, ...]:
    folder = root / Path(EPISODES_PATH).parent.parent
    paths = sorted(folder.glob("*/*.parquet"))
    if not paths:
        raise InputError(f"{folder} holds no table of the recordings; the store is not whole: prepare it again")
    rows: list[dict[str, Any]] = []
    for path in paths:
        try:
            rows += pq.read_table(path, partitioning=None).to_pylist()
        except (pa.ArrowException, OSError) as failure:
            raise InputError(f"{path} is damaged or not a Parquet file: {failure}") from None
    place = str(folder)
    try:
        rows.sort(key=lambda row: row["episode_index"])
        return tuple(_recording_of(root, info, layout, row) for row in rows)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as failure:
        raise InputError(f"{place}: the table of the recordings is damaged ({failure!r}); prepare it again") from None


def _recording_of(root: Path, info: dict[str, Any], layout: StoreLayout, row: dict[str, Any]) -> StoredRecording:
    videos = {}
    for key in layout.video_keys:
        place = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
        path = root / info["video_path"].format(video_key=key, **place)
        first = round(row[f"videos/{key}/from_timestamp"] * layout.fps)
        videos[key.removeprefix(VIDEO)] = path, first
    cameras = json.loads(row["cameras"])
    where = f"{root / EPISODES_PATH}, recording {row['name']!r}"
    return StoredRecording(
        index=row["episode_index"],
        name=row["name"],
        subject=row["subject"],
        split=row["split"] or None,
        scene=row["scene"],
        length=row["length"],
        data=root / info["data_path"].format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]),
        videos=videos,
        cameras={name: camera_from_dict(values, f"{where}, camera {name!r}") for name, values in cameras.items()},
        segments=tuple(LabelledSegment(**_with_nulls(segment)) for segment in row["segments"]),
    )


def _with_nulls(segment: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value in ("", -1) else value for name, value in segment.items()}
