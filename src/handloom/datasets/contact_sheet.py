"""Pictures out of a store with the hands drawn on them, to look at."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from handloom.datasets.layout import KEYPOINTS, PICTURED, VISIBLE, camera_feature
from handloom.datasets.loader import read_frames
from handloom.datasets.store import Store, StoredRecording
from handloom.errors import HandloomError, InputError, OutputError
from handloom.formats.atomic import replacing
from handloom.video.file import VideoFile
from handloom.view.overlay import draw_hands

RECORDINGS, CAMERAS, MOMENTS, COLUMNS, CELL = 6, 12, 4, 6, (480, 270)
_TEXT, _BACK = (235, 235, 235), 24
_PNG = b"\x89PNG\r\n\x1a\n"


def require_png(path: Path) -> None:
    """Make sure that a sheet takes the place of nothing but a sheet.

    Raises:
        InputError: another ending than .png.
        OutputError: something else stands there.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"a contact sheet is a PNG, found the name {path}; give one that ends in .png")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another name")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_PNG)) != _PNG:
                raise OutputError(f"{path} is there already and is no PNG; choose another name")


def write_contact_sheet(store: Store, path: Path) -> str:
    """Up to six recordings below each other: up to twelve cameras of each, or several moments where they are few.

    Returns:
        How many recordings and cameras of how many are shown; the head of the sheet says so, too.

    Raises:
        OutputError: the sheet cannot be written.
    """
    recordings = [store.recordings[number] for number in _spread(len(store), RECORDINGS)]
    cameras = [camera.name for camera in store.layout.pictured]
    shown = [cameras[number] for number in _spread(len(cameras), CAMERAS)]
    of = f"{len(recordings)} of {len(store)} recordings, {len(shown)} of {len(cameras)} cameras"
    blocks = [_block(store, recording, shown) for recording in recordings]
    head = np.full((30, blocks[0].shape[1], 3), _BACK, np.uint8)
    sheet = np.vstack([_captioned(head, f"{store.root.name}: {of}"), *blocks])
    done, png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"cannot write {path}: the picture cannot be encoded")
    with replacing(path) as part:
        part.write_bytes(png.tobytes())
    return of


def _spread(count: int, most: int) -> list[int]:
    """Up to `most` of `count` things, evenly."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def _block(store: Store, recording: StoredRecording, cameras: list[str]) -> UInt8[np.ndarray, "h w 3"]:
    """A recording's cameras in rows of equal length."""
    if not cameras:
        return np.hstack([_captioned(_blank(), f"{recording.name}: no pictures")] * MOMENTS)
    moments = max(1, MOMENTS // len(cameras))
    cells = []
    for camera in cameras:
        for moment in range(moments):
            frame = (2 * moment + 1) * recording.length // (2 * moments)
            cells.append(_captioned(_picture(store, recording, camera, frame), f"{camera} {frame}  {recording.name}"))
    rows = -(-len(cells) // COLUMNS)
    columns = -(-len(cells) // rows)
    cells += [_blank()] * (rows * columns - len(cells))
    return np.vstack([np.hstack(cells[row * columns : (row + 1) * columns]) for row in range(rows)])


def _picture(store: Store, recording: StoredRecording, camera: str, frame: int) -> UInt8[np.ndarray, "h w 3"]:
    path, first = recording.videos[camera]
    names = [camera_feature(camera, part) for part in (KEYPOINTS, VISIBLE, PICTURED)]
    try:
        keypoints, visible, pictured = (store.columns(recording.index, names)[name][frame] for name in names)
        picture = read_frames(VideoFile(path), np.array([first + frame]))[0]
    except (HandloomError, OSError):
        return _captioned(_blank(), "cannot be read", 60)
    if not pictured:
        return _captioned(_blank(), "no picture", 60)
    height, width = picture.shape[:2]
    share = min(CELL[0] / width, CELL[1] / height)
    inner = round(width * share), round(height * share)
    drawn = np.asarray(cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR))
    placed = ((keypoints + 0.5) * (np.array(inner) / (width, height)) - 0.5).astype(np.float32)
    shown = visible & np.isfinite(keypoints).all(-1)
    draw_hands(drawn, placed, shown, shown.astype(np.float32))
    cell = _blank()
    left, top = (CELL[0] - inner[0]) // 2, (CELL[1] - inner[1]) // 2
    cell[top : top + inner[1], left : left + inner[0]] = drawn
    return cell


def _blank() -> UInt8[np.ndarray, "h w 3"]:
    return np.full((CELL[1], CELL[0], 3), _BACK, np.uint8)


def _captioned(picture: UInt8[np.ndarray, "h w 3"], text: str, y: int = 18) -> UInt8[np.ndarray, "h w 3"]:
    result = picture.copy()
    result[y - 16 : y + 8] //= 3  # letters of another thickness would have another width: no outline
    cv2.putText(result, text, (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _TEXT, 1, cv2.LINE_AA)
    return result
