"""What a run found out: which cameras agree, and how good the labels of a recording are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from handloom.annotate.agreement import Agreement
from handloom.annotate.capture import CaptureCamera
from handloom.annotate.labels import Labels
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.timeline import Timeline
from handloom.errors import CalibrationError, InputError
from handloom.hands import ScaleSource
from handloom.rows import Rows
from handloom.skeleton import HANDS, PALM_BONES


def check_agreement(
    cameras: Sequence[CaptureCamera], found: Agreement, limit_px: float, options: AnnotateOptions
) -> None:
    """Make sure that the cameras agree with each other to within a limit.

    Raises:
        InputError: no hand is seen by two cameras at a time.
        CalibrationError: cameras have a wrong calibration, or exchanged ones; named, with their errors.
    """
    if not np.isfinite(found.error_px).any():
        raise InputError(
            "no hand is seen by two cameras at the same time; annotation needs that. Do they look at the hands? "
            "A lower --min-confidence finds more"
        )
    errors = ", ".join(f"{c.name} {e:.1f} px" for c, e in zip(cameras, found.error_px) if np.isfinite(e))
    if found.exchanged is not None and not options.trust_calibration:
        one, other = (cameras[number].name for number in found.exchanged)
        raise CalibrationError(
            f"the calibrations of {one} and {other} are exchanged: with each other's the cameras agree, as it is they "
            f"do not ({errors}); exchange them, or rename the videos"
        )
    bad = found.bad(limit_px)
    if bad and not options.trust_calibration:
        names = ", ".join(cameras[number].name for number in bad)
        others = "the others" if len(bad) < np.isfinite(found.error_px).sum() else "any other"
        raise CalibrationError(
            f"camera {names} does not agree with {others}; distance from the epipolar lines: {errors}; up to "
            f"{limit_px:.1f} px is taken for right. Is the calibration theirs, or are they out of sync by more "
            f"than {options.max_offset_s:g} s? --cameras leaves cameras out, --trust-calibration goes on with them"
        )


def summary_of(
    cameras: Sequence[CaptureCamera],
    clock: Timeline,
    found: Agreement,
    labels: Labels,
    view_error_px: Float[np.ndarray, "views T 2 21"],
    others: int,
    unit_m: float,
    scale: ScaleSource,
) -> dict[str, Any]:
    """The numbers of report.json; errors are of all that a camera saw of a label, whether believed or not."""
    shown = np.where(labels.valid, view_error_px, np.nan)
    known = shown[np.isfinite(shown)]
    seen = np.isfinite(view_error_px).any(-1)
    by_two = np.asarray(seen.sum(0) >= 2)
    by_one = np.asarray(seen.sum(0) == 1)
    present = np.asarray(labels.valid.any(-1))
    return {
        "frames": len(clock.times_s),
        "seconds_per_frame": clock.step_s,
        "reference_camera": cameras[clock.reference].name,
        "unit_m": unit_m,
        "scale": str(scale),
        "reprojection_px": _median_and_p90(known),
        "detections_of_others": others,
        "hands": {
            name: {
                "frames_seen_by_two": int(by_two[:, hand].sum()),
                "frames_with_label": int(present[:, hand].sum()),
                "frames_seen_by_two_with_label": int((by_two & present)[:, hand].sum()),
                "frames_seen_by_one": int(by_one[:, hand].sum()),
                "joints_per_label": _mean(labels.valid[:, hand].sum(-1)[present[:, hand]]),
                "views_per_joint": _mean(labels.views[:, hand][labels.valid[:, hand]]),
                "palm_variation": palm_variation(labels, hand),
            }
            for hand, name in enumerate(HANDS)
        },
        "cameras": {
            camera.name: {
                "late_frames": int(found.offsets[view]),
                "rate": camera.rate,
                "pictures": len(camera),
                "frames_without_picture": int((clock.index[view] < 0).sum()),
                "epipolar_px": float(found.error_px[view]),
                "epipolar_px_without_offset": float(found.before_px[view]),
                "hands_seen": int(seen[view].sum()),
                "reprojection_px": _median_and_p90(shown[view][np.isfinite(shown[view])]),
            }
            for view, camera in enumerate(cameras)
        },
    }


def palm_variation(labels: Labels, hand: int) -> float:
    """Coefficient of variation of the palm's bones over time, mean over the four; NaN without labels."""
    parents, children = np.array(PALM_BONES).T
    bones = np.linalg.norm(labels.joints_m[:, hand, children] - labels.joints_m[:, hand, parents], axis=-1)
    whole = bones[np.isfinite(bones).all(-1)]
    return float((whole.std(0) / whole.mean(0)).mean()) if len(whole) > 1 else float("nan")


def summary_rows(summary: dict[str, Any]) -> Rows:
    """The report for the terminal."""
    median, p90 = summary["reprojection_px"] or (float("nan"),) * 2
    rows = [
        ("frames", f"{summary['frames']}, those of {summary['reference_camera']}"),
        ("scale", f"{summary['unit_m']:.6g} m per unit of the calibration ({summary['scale']})"),
        ("reprojection error", f"{median:.2f} px median, {p90:.2f} px 90th percentile"),
    ]
    for name, hand in summary["hands"].items():
        if hand["frames_seen_by_two"] or hand["frames_with_label"]:
            rows.append(
                (
                    f"{name} hand",
                    f"{hand['frames_seen_by_two_with_label']} of {hand['frames_seen_by_two']} frames that two cameras "
                    "see, "
                    f"{hand['views_per_joint'] or 0:.1f} views per joint, palm varies by "
                    f"{100 * (hand['palm_variation'] or float('nan')):.1f} %",
                )
            )
            if hand["frames_seen_by_one"]:
                rows.append(("", f"{hand['frames_seen_by_one']} frames seen by one camera only: no label"))
    if summary["detections_of_others"]:
        rows.append(("other hands", f"{summary['detections_of_others']} detections are of other people, or of no hand"))
    for name, camera in summary["cameras"].items():
        median, p90 = camera["reprojection_px"] or (float("nan"),) * 2
        notes = [f"{median:.2f} px median, {p90:.2f} px 90th percentile"]
        if late := camera["late_frames"]:
            was, now = camera["epipolar_px_without_offset"], camera["epipolar_px"]
            how = f"{abs(late)} frames {'late' if late > 0 else 'early'}"
            notes.append(f"{how}, put right (epipolar error {was:.1f} px before, {now:.1f} px after)")
        if missing := camera["frames_without_picture"]:
            notes.append(f"no picture of {missing} frames")
        if not camera["hands_seen"]:
            notes.append("sees no hand")
        rows.append((f"camera {name}", "; ".join(notes)))
    return rows


def _median_and_p90(values: Float[np.ndarray, "n"]) -> list[float] | None:
    return [float(np.median(values)), float(np.percentile(values, 90))] if len(values) else None


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
