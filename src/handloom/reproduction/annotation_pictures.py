"""Pictures like those of AssemblyHands: the rounds of refinement (Figure 4), one pose by several sources (Figure 5)."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from handloom.annotate.capture import Captures
from handloom.annotate.detect import pictures_between
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.timeline import timeline
from handloom.errors import OutputError
from handloom.estimators.mvexonet import Annotator
from handloom.estimators.view_crops import HandCrops
from handloom.evaluation.rounds import EGO, TRIANGULATED, Estimates, round_name
from handloom.skeleton import BONES
from handloom.view.colours import LABEL_RGB, OUTLINE_RGB, RGB

TRUTH = "truth"
SOURCES: dict[str, RGB] = {
    EGO: LABEL_RGB[3],
    TRIANGULATED: LABEL_RGB[0],
    round_name(3): LABEL_RGB[1],
    TRUTH: LABEL_RGB[2],
}
_TILE, _LINES, _HANDS, _VIEWS = 192, 6, 3, 2
_SHIFT = 4


def write_rounds(estimates: Sequence[Estimates], annotator: Annotator, path: Path) -> None:
    """A row for each of the hands that the first round gets most wrong, in one view: every round's crop and result.

    Raises:
        OutputError: it cannot be written.
    """
    first = round_name(1)
    errors = [np.linalg.norm(item.joints[first] - item.hands.joints_m, axis=-1).mean(1) for item in estimates]
    order = sorted(
        (
            (float(error), k, row)
            for k, part in enumerate(errors)
            for row, error in enumerate(part)
            if np.isfinite(error)
        ),
        reverse=True,
    )
    rows = []
    for _, k, row in order[: _LINES * _HANDS : _HANDS]:
        item = estimates[k]
        fixed = np.flatnonzero(~item.hands.moving)
        crops = item.hands.crops.of(np.array([row]), fixed)
        view = int(np.nanargmin(np.where(crops.seen[0], item.overlap[row], np.nan)))
        crops = item.hands.crops.of(np.array([row]), fixed[view : view + 1])
        tiles = []
        for name, outline in item.outlines.items():
            close = annotator.closer(crops, outline[row : row + 1, view : view + 1])
            joints = item.joints[name][row]
            off = 1000 * np.linalg.norm(joints - item.hands.joints_m[row], axis=-1).mean()
            tiles.append(_tile(close, joints, SOURCES[round_name(3)], f"{name[-2:]}: {off:.1f} mm"))
        close = annotator.closer(crops, crops.plane(item.hands.joints_m[row : row + 1]))
        tiles.append(_tile(close, item.hands.joints_m[row], SOURCES[TRUTH], TRUTH))
        rows.append(np.concatenate(tiles, 1))
    _write(path, np.concatenate(rows, 0))


def write_one_pose(data: Path, estimates: Sequence[Estimates], path: Path) -> None:
    """Both hands of one frame in two fixed views and two of the headset: a row for each source.

    Raises:
        OutputError: it cannot be written.
    """
    item = max(estimates, key=lambda some: len(some.hands.left))
    frame = int(np.median(item.hands.frame))
    rows = np.flatnonzero(item.hands.frame == frame)
    capture = Captures(data, AnnotateOptions(cameras=item.hands.cameras)).read(item.hands.name)
    fixed, moving = (
        np.flatnonzero(which)[:: max(1, which.sum() // _VIEWS)][:_VIEWS]
        for which in (~item.hands.moving, item.hands.moving)
    )
    clock, columns = timeline(capture.cameras), []
    for view in (*fixed, *moving):
        camera, number = capture.cameras[view], int(clock.index[view, frame])
        shown = (
            next((image for _, image in pictures_between(camera, number, number + 1)), None) if number >= 0 else None
        )
        if shown is None:
            continue
        pose = camera.poses(clock.index[view, frame : frame + 1])[0]
        tiles = []
        for source, colour in SOURCES.items():
            image = shown.copy()
            joints = {**item.joints, TRUTH: item.hands.joints_m}.get(source)
            if joints is not None:
                local = joints[rows] @ pose[:3, :3].T + pose[:3, 3]
                for pixels, seen in zip(*camera.camera.project(local)):
                    draw_bones(image, np.where(seen[:, None], pixels, np.nan), colour)
            tiles.append(_captioned(image, source if joints is not None else f"{source}: no such views", colour))
        columns.append(np.concatenate(tiles, 0))
    height = max(len(column) for column in columns)
    _write(path, np.concatenate([np.pad(c, ((0, height - len(c)), (0, 0), (0, 0))) for c in columns], 1))


def draw_bones(image: UInt8[np.ndarray, "h w 3"], pixels: Float[np.ndarray, "21 2"], colour: RGB) -> None:
    """A skeleton in one colour, edged dark, in place."""
    with np.errstate(invalid="ignore"):
        near = (np.abs(pixels) < 10 * max(image.shape)).all(-1)
    at = np.rint(np.where(near[:, None], pixels, 0) * 2**_SHIFT).astype(int).tolist()
    for width, tint in ((4, OUTLINE_RGB[1]), (2, colour)):
        for a, b in BONES:
            if near[a] and near[b]:
                cv2.line(image, at[a], at[b], tint, width, cv2.LINE_AA, _SHIFT)


def _tile(crops: HandCrops, joints: Float[np.ndarray, "21 3"], colour: RGB, caption: str) -> UInt8[np.ndarray, "h w 3"]:
    size = crops.pictures.shape[2]
    image = cv2.resize(crops.pictures[0, 0], (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
    pixels = crops.plane(joints[None])[0, 0] * crops.focal_px[0, 0] + (size - 1) / 2
    draw_bones(image, (pixels + 0.5) * _TILE / size - 0.5, colour)
    return _captioned(image, caption, colour)


def _captioned(image: UInt8[np.ndarray, "h w 3"], text: str, colour: RGB) -> UInt8[np.ndarray, "H w 3"]:
    bar = np.full((22, image.shape[1], 3), 24, np.uint8)
    cv2.putText(bar, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return np.concatenate([bar, image], 0)


def _write(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    if not cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1])):
        raise OutputError(f"{path}: cannot be written")
