"""`handloom info`: what is in a video, a result, a store or a calibration, as rows of a table."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np

from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.formats.cameras import has_image_size, read_camera, read_cameras
from handloom.formats.result import HANDS_FILE, RUN_FILE, read_run, read_track
from handloom.geometry import Camera
from handloom.hands import HandTrack
from handloom.metrics.labels import object_shares
from handloom.metrics.track import summarise
from handloom.rows import Rows
from handloom.skeleton import HANDS
from handloom.tracking.summary_rows import label_rows, truth_rows
from handloom.video import open_source

INFO_FILE = Path("meta/info.json")
UNKNOWN_SIZE = 1 << 14
CALIBRATIONS = {".json", ".yaml", ".yml", ".xml", ".txt", ".dat"}


def describe(path: Path) -> tuple[str, Rows]:
    """Title and rows for whatever lies at `path`.

    Raises:
        InputError, CalibrationError: nothing that Handloom knows.
    """
    if path.suffix == ".parquet" or (path / HANDS_FILE).is_file():
        return _result(path)
    if (path / INFO_FILE).is_file():
        return _store(path)
    if path.suffix.lower() in CALIBRATIONS:
        return _calibration(path)
    return _video(path)


def _result(path: Path) -> tuple[str, Rows]:
    track = read_track(path)
    rows = track_rows(track)
    if (path / RUN_FILE).is_file():
        run = read_run(path)
        rows += [
            ("input", str(run.get("input", {}).get("path"))),
            ("estimator", f"{run.get('estimator')}, handloom {run.get('handloom')}"),
            ("smoothing", str(run.get("smoothing"))),
            ("partial", "yes: interrupted or cut off" if run.get("partial") else "no"),
            ("unreadable frames", str(run.get("counts", {}).get("skipped"))),
        ]
        if run.get("truth"):
            rows += [("truth", str(run["truth"].get("source"))), *truth_rows(run["truth"])]
    return f"Result {path}", rows


def track_rows(track: HandTrack) -> Rows:
    """The headline numbers of a record."""
    duration = track.times_s[-1] - track.times_s[0] if len(track) else 0.0
    rows = [("frames", f"{len(track)} in {duration:.2f} s")]
    if len(track):
        rows.append(("frames with a hand", f"{int(track.any_hand.sum())}"))
    for side, hand in zip(HANDS, summarise(track)):
        if not hand.frames:
            rows.append((f"{side} hand", "not seen"))
            continue
        rows += [
            (
                f"{side} hand",
                f"{hand.frames} frames ({100 * hand.coverage:.1f} %), longest gap {hand.longest_gap_s:.2f} s",
            ),
            ("  wrist to middle knuckle", f"{1000 * hand.hand_size_m:.1f} mm"),
            ("  palm-bone length spread", f"{100 * hand.palm_spread:.1f} %"),
            (
                "  wrist speed",
                f"{hand.speed_m_s:.3f} m/s median, {hand.speed_95_m_s:.3f} m/s 95th percentile",
            ),
            ("  jitter", f"{hand.jitter_m_s3:.1f} m/s³, high-pass {hand.high_pass_px:.2f} px"),
        ]
    rows += label_rows(
        [share._asdict() for share in object_shares(track)], [asdict(action) for action in track.actions]
    )
    if track.camera is not None:
        rows += [("camera", str(track.camera_source)), *_camera(track.camera)]
    rows += [("space", track.frame), ("scale", str(track.scale_source))]
    return rows


def _store(path: Path) -> tuple[str, Rows]:
    store = Store(path)
    splits = Counter(str(recording.split) for recording in store.recordings)
    frames = sum(recording.length for recording in store.recordings)
    return f"Store {path}", [
        ("data set", store.layout.dataset),
        ("recordings", f"{len(store.recordings)}: " + ", ".join(f"{count} {name}" for name, count in splits.items())),
        ("subjects", str(len({recording.subject for recording in store.recordings}))),
        ("frames", f"{frames} at {store.layout.fps} frames/s ({frames / store.layout.fps:.1f} s)"),
        ("cameras", ", ".join(camera.name for camera in store.layout.cameras)),
        ("pictures", store.layout.sizes),
        ("objects", ", ".join(store.layout.object_names) or "none"),
        ("labelled segments", str(sum(len(recording.segments) for recording in store.recordings))),
    ]


def _calibration(path: Path) -> tuple[str, Rows]:
    rows: Rows = []
    if not has_image_size(path):
        # These files give no image size; any size shows the rest.
        camera = read_camera(path, (UNKNOWN_SIZE, UNKNOWN_SIZE))
        return f"Calibration {path}", [
            row for row in _camera(camera) if row[0].strip() not in ("size", "field of view")
        ]
    for name, camera in read_cameras(path).items():
        rows += [(name, "")] if name else []
        rows += _camera(camera)
    return f"Calibration {path}", rows


def _camera(camera: Camera) -> Rows:
    values = asdict(camera)
    size = f"{values.pop('width')} x {values.pop('height')} px"
    rows = [("  model", type(camera).__name__), ("  size", size)]
    if np.isfinite(camera.horizontal_fov_deg):
        rows.append(("  field of view", f"{camera.horizontal_fov_deg:.1f} degrees across"))
    return rows + [(f"  {name}", str(value)) for name, value in values.items()]


def _video(path: Path) -> tuple[str, Rows]:
    with open_source(path) as source:
        info = source.info
        if info.frame_count is None:
            raise InputError(f"{path} is a live source; only recordings can be described")
        return f"Video {path}", [
            (
                "size",
                f"{info.width} x {info.height} px"
                + (f", turned by {info.rotation_deg} degrees" if info.rotation_deg else ""),
            ),
            ("frames", f"{info.frame_count} in {info.duration_s:.2f} s"),
            (
                "frame rate",
                f"{info.frame_rate:.3f} frames/s" + (", varying" if info.variable_frame_rate else ""),
            ),
            ("codec", f"{info.codec}, {info.pixel_format}" + (", with sound" if info.audio else "")),
            *[("problem", problem.reason) for problem in source.problems],
        ]
