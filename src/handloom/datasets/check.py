"""Health check of a store: one verdict per item, and a contact sheet to look at."""

from pathlib import Path

from handloom.datasets.check_files import (
    check_gaps,
    check_rows,
    check_tables,
    check_times,
    check_videos,
)
from handloom.datasets.check_hands import (
    check_bones,
    check_calibration,
    check_constant,
    check_finite,
    check_reprojection,
    check_sides,
)
from handloom.datasets.check_labels import check_balance, check_leakage
from handloom.datasets.check_pictures import check_against_pictures
from handloom.datasets.contact_sheet import require_png, write_contact_sheet
from handloom.datasets.store import Store
from handloom.datasets.store_write import HANDLOOM, INFO
from handloom.datasets.verdicts import Finding, RecordingCheck, State, Verdict, merged
from handloom.errors import HandloomError, InputError
from handloom.progress import Progress, silent

SCHEMA, VIDEOS, CALIBRATION, SHEET = "schema", "videos", "calibration", "contact sheet"
STAGE = "check"

_CHECKS: tuple[tuple[str, tuple[RecordingCheck, ...], str], ...] = (
    ("rate and timestamps", (check_times,), "capture times increase at the stored rate"),
    ("gaps", (check_gaps,), "no frames are missing"),
    (VIDEOS, (check_videos,), "all there, with a picture for every frame"),
    ("finite numbers", (check_finite,), "no NaN, no infinity"),
    ("constant poses", (check_constant,), "no hand or camera is frozen or collapsed"),
    ("bone lengths", (check_bones,), "bones keep their length"),
    ("left and right", (check_sides,), "no hand is on the wrong side"),
    (CALIBRATION, (check_calibration, check_against_pictures), "cameras see the hands, and pictures show them there"),
    ("reprojection", (check_reprojection,), "stored image positions are the projected joints"),
)

_WITHOUT_PICTURES = {
    VIDEOS: "no videos in this store: poses alone",
    CALIBRATION: "cameras see the hands; there are no pictures to compare them with",
}


def check(root: Path, contact_sheet: Path | None = None, progress: Progress = silent) -> list[Verdict]:
    """Check a store as a whole.

    Args:
        root: its folder.
        contact_sheet: PNG to write; None writes none.
        progress: told how many recordings are through.

    Returns:
        A verdict per item; a damaged store that cannot be opened fails "schema" and has no others.

    Raises:
        InputError: no store is there at all, or the contact sheet is to have another ending than .png.
        OutputError: the contact sheet cannot be written, or something else stands there.
    """
    if not any((root / name).exists() for name in (INFO, HANDLOOM)):
        raise InputError(f"{root} is no store; give the folder that `handloom prepare` wrote")
    if contact_sheet is not None:
        require_png(contact_sheet)
    try:
        store = Store(root)
    except HandloomError as failure:
        return [Verdict(SCHEMA, State.FAIL, str(failure))]
    schema = check_tables(store)
    found: dict[str, list[Finding]] = {item: [] for item, _, _ in _CHECKS}
    for recording in store.recordings:
        try:
            columns = store.columns(recording.index)
        except HandloomError as failure:
            schema.append(Finding(State.FAIL, str(failure)))
            continue
        schema += check_rows(store, recording, columns)
        for item, judges, _ in _CHECKS:
            for judge in judges:
                found[item] += judge(store, recording, columns)
        progress(STAGE, recording.index + 1, len(store))
    frames = sum(recording.length for recording in store.recordings)
    verdicts = [merged(SCHEMA, schema, f"{len(store)} recordings, {frames} frames, {store.layout.fps} frames/s")]
    bare = {} if store.layout.pictures else _WITHOUT_PICTURES
    verdicts += [merged(item, found[item], bare.get(item, good)) for item, _, good in _CHECKS]
    actions = len(store.words["action"])
    verdicts.append(merged("class balance", check_balance(store), f"{actions} actions"))
    verdicts.append(merged("split leakage", check_leakage(store), "no subject is in training and in test"))
    if contact_sheet is not None:
        shown = write_contact_sheet(store, contact_sheet)
        verdicts.append(Verdict(SHEET, State.OK, f"look at {contact_sheet}: {shown}"))
    return verdicts
