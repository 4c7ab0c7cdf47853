"""`handloom refine`, `recognise` and `forecast`: from one result folder to another."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handloom.errors import InputError
from handloom.estimators.camera_motion import estimate_camera_motion
from handloom.estimators.htt_network import Device
from handloom.forecast.against import forecast_rows
from handloom.forecast.forecaster import SPREAD, Forecaster, Way
from handloom.forecast.place import Pages, Place, video_of
from handloom.forecast.recognise import ClipScores, Recogniser
from handloom.forecast.refine import Refiner
from handloom.formats.atomic import replacing
from handloom.formats.futures import FUTURES_FILE, write_futures
from handloom.formats.tracks import read_any_track
from handloom.futures import Futures
from handloom.geometry import invert_rigid, vector_from_rotation
from handloom.hands import HandTrack
from handloom.metrics.track import jitter
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.video import FrameLookup, Recording, open_source
from handloom.view.fan import draw_fan

SCORES, FAN = "actions.parquet", "fan.png"
ESTIMATED = "estimated from the video"
RATE = 30.0


def refine(
    place: Place, weights: Path | None, device: Device, pages: Pages, progress: Progress = silent
) -> tuple[str, Rows]:
    """Write the refined track with its pages; title and rows for the terminal. Raises InputError, OutputError."""
    track = read_any_track(place.result)
    refiner = Refiner.from_pretrained(weights, device)
    with pages.watch.stage("refine"):
        refined = refiner.refine(track)
    notes = rate_notes(track)
    filled = int((refined.valid & ~track.valid).sum())
    moved = np.linalg.norm(refined.joints_m - track.joints_m, axis=-1)[refined.valid & track.valid]
    made = {"estimator": _after(place, "refined by G-HTT"), "refined_by": _name(weights), "joints_filled": filled}
    place.write(refined, made, ["joints refined by G-HTT", *notes], pages, progress)
    before, after = jitter(track), jitter(refined)
    rows = [
        ("frames", str(len(track))),
        ("joints moved by", f"{1000 * float(np.median(moved)):.1f} mm (median)" if len(moved) else "none"),
        ("joints filled in", str(filled)),
        ("jitter left, right", " and ".join(map(_change, before, after))),
    ]
    return "Poses refined", [*rows, *[("note", note) for note in notes], *place.rows()]


def _change(before: float, after: float) -> str:
    return "not seen" if np.isnan(before) else f"{before:.0f} -> {after:.0f} m/s³"


def recognise(
    place: Place,
    weights: Path | None,
    device: Device,
    object_name: str | None,
    whole: bool,
    threshold: float,
    pages: Pages,
    progress: Progress = silent,
) -> tuple[str, Rows]:
    """Write the track with its actions, and the scores of all clips. Raises InputError, OutputError."""
    track = read_any_track(place.result)
    recogniser = Recogniser.from_pretrained(weights, device, threshold=threshold)
    with pages.watch.stage("recognise"):
        found, scores = recogniser.recognise(track, object_name, whole)
    notes = rate_notes(track)
    made = {
        "estimator": _after(place, "actions by G-HTT"),
        "actions_by": _name(weights),
        "actions": [asdict(action) for action in found.actions],
    }
    scored = partial(write_scores, place.out / SCORES, scores)
    place.write(found, made, ["actions by G-HTT", *notes], pages, progress, scored)
    rows = [(f"{a.start_s:.2f} - {a.end_s:.2f} s", f"{a.label} ({a.score:.2f})") for a in found.actions]
    rows = rows or [("no action", "every clip is unknown or shows no hand; try a lower --threshold")]
    return "Actions recognised", [*rows, *[("note", note) for note in notes], *place.rows()]


def forecast(
    place: Place,
    weights: Path | None,
    device: Device,
    seconds: float,
    samples: int,
    path: Way,
    at_s: float | None,
    object_name: str | None,
    spread: float = SPREAD,
    own_past: bool = True,
    seed: int = 0,
    video: Path | None = None,
) -> tuple[str, Rows]:
    """Write the futures of a track, a fan over its last picture, and what was observed. Raises InputError, OutputError.

    If the track goes on behind `at_s`, the rows compare the futures, and both plain forecasts, with what came.
    """
    if at_s is not None and not np.isfinite(at_s):
        raise InputError(f"--at-s is a time in seconds, found {at_s}")
    if video is not None:
        with open_source(video):  # told now, not when the futures are there
            pass
    track = read_any_track(place.result)
    if at_s is not None and at_s > track.times_s[-1] + 1 / track.frame_rate:
        raise InputError(f"--at-s {at_s:g} lies behind the track, which ends at {track.times_s[-1]:.3f} s")
    observed = track if at_s is None else track[: int(np.searchsorted(track.times_s, at_s + 1e-9))]
    if not len(observed):
        raise InputError(f"nothing is observed before {at_s:g} s; the track begins at {track.times_s[0]:.3f} s")
    futures = Forecaster.from_pretrained(weights, device, spread, own_past).forecast(
        observed, seconds, samples, path, object_name, seed
    )
    notes = rate_notes(track)
    made = {
        "forecast": {
            "seconds": seconds,
            "samples": samples,
            "path": futures.path,
            "seed": seed,
            "spread": spread,
            "own_past": own_past,
        }
    }
    picture = ""

    def draw() -> None:
        nonlocal picture
        write_futures(place.out / FUTURES_FILE, futures)
        picture = write_fan(place.out / FAN, place, observed, futures, video)

    place.write(observed, made, notes, more=draw)
    rows = [
        ("observed until", f"{observed.times_s[-1]:.3f} s"),
        ("predicted", f"{samples} futures of {seconds:g} s, path P.{futures.path}"),
        ("fan", picture),
        *forecast_rows(track, observed, futures),
        *[("note", note) for note in notes],
        *place.rows(),
    ]
    return "Motion predicted", rows


def camera_motion(place: Place, video: Path | None) -> tuple[str, Rows]:
    """Write the track with camera poses that are estimated from its video. Raises InputError, OutputError."""
    track, run = read_any_track(place.result), place.run()
    if track.world_from_camera is not None:
        raise InputError(f"{place.result} knows its camera's poses already; there is nothing to estimate")
    if track.camera is None:
        raise InputError(f"{place.result} has no camera; track with --camera or --fov, so that pixels have directions")
    video = video or video_of(run)
    if video is None:
        raise InputError("camera motion is seen in the video, and run.json names none that is there; give --video")
    with open_source(video, mirrored=bool(run.get("arguments", {}).get("mirrored"))) as opened:
        if not isinstance(opened, Recording):
            raise InputError(f"{video} is no recording; give a video file or a folder of pictures")
        look = FrameLookup(opened)
        count = opened.info.frame_count or 0
        found = estimate_camera_motion((look(k) for k in range(count)), track, track.camera)
    lost = int((~found.followed).sum())
    note = f"camera poses are estimated from the video ({lost} of {len(track)} frames could not be followed)"
    moved = replace(track, world_from_camera=found.world_from_camera)
    place.write(moved, {"camera_motion": {"source": ESTIMATED, "not_followed": lost}}, [note])
    way = np.linalg.norm(np.diff(found.world_from_camera[:, :3, 3], axis=0), axis=-1).sum()
    steps = invert_rigid(found.world_from_camera[:-1]) @ found.world_from_camera[1:]
    turns = vector_from_rotation(steps[:, :3, :3])
    rows = [
        ("frames", str(len(track))),
        ("not followed", str(lost)),
        ("camera's way", f"{way:.2f} m; the unit is only as good as the hands' distance"),
        ("camera's turns", f"{np.degrees(np.linalg.norm(turns, axis=-1).sum()):.0f} degrees in all"),
        *place.rows(),
    ]
    return "Camera motion estimated", rows


def write_fan(path: Path, place: Place, observed: HandTrack, futures: Futures, video: Path | None) -> str:
    """Draw the fan over the last observed picture, or over black without one; says which, or why there is none."""
    if observed.camera is None or futures.frame != "camera":
        return "none: the track has no camera"
    run = place.run()
    video = video or video_of(run)
    size = observed.camera.height, observed.camera.width
    image, said = np.zeros((*size, 3), np.uint8), f"{path}, without the picture: no video"
    if video is not None:
        mirrored = bool(run.get("arguments", {}).get("mirrored"))
        with open_source(video, mirrored=mirrored) as opened:
            found = FrameLookup(opened)(len(observed) - 1) if isinstance(opened, Recording) else None
        if found is not None and found.shape[:2] == size:
            image, said = found, str(path)
    drawn = draw_fan(image, futures, observed.camera)
    with replacing(path) as part:
        done, data = cv2.imencode(".png", np.ascontiguousarray(drawn[..., ::-1]))
        assert done
        part.write_bytes(data.tobytes())
    return said


def write_scores(path: Path, scores: ClipScores) -> None:
    """A row per clip: its times, and the probability of every label. Raises OutputError."""
    columns = {"start_s": scores.start_s, "end_s": scores.end_s}
    columns |= {label: scores.probabilities[:, k] for k, label in enumerate(scores.labels)}
    with replacing(path) as part:
        pq.write_table(pa.table(columns), part, compression="zstd")


def rate_notes(track: HandTrack) -> list[str]:
    """What is to be said of a track's frame rate and camera."""
    notes = []
    if abs(track.frame_rate / RATE - 1) > 0.02:
        notes.append(f"resampled from {track.frame_rate:.3g} to {RATE:g} frames per second for the network")
    if track.frame == "camera" and track.world_from_camera is None:
        notes.append("no camera poses: the camera is taken to be still (see handloom camera-motion)")
    return notes


def _after(place: Place, done: str) -> str:
    """What the result says its estimator was, and what was done to it."""
    return ", ".join(said for said in (place.run().get("estimator"), done) if said)


def _name(weights: Path | None) -> str:
    return "the weights that come with Handloom" if weights is None else weights.name
