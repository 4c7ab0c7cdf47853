"""Stage 1: hands in the pictures of every camera by itself, shard by shard."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from handloom.annotate.capture import CaptureCamera
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.stage_files import block_path, blocks, load_stage, save_stage
from handloom.errors import InputError
from handloom.estimators.chunks import WARM_UP_FRAMES
from handloom.estimators.detections import Detection, Detector
from handloom.estimators.mediapipe import MediaPipeDetector
from handloom.formats.episode import PictureFiles, RenderedPictures, VideoSpan
from handloom.formats.pictures import read_picture
from handloom.skeleton import JOINT_COUNT, bone_lengths
from handloom.video.file import VideoFile


@dataclass(frozen=True, eq=False)
class DetectTask:
    """Pictures `block` of one camera; where the result goes; the detector's settings, `threshold` and others."""

    camera: CaptureCamera
    block: range
    folder: Path
    made_of: str
    options: AnnotateOptions


@dataclass(frozen=True, eq=False)
class Found:
    """Hands in n pictures of a camera, at most H in each, the surest first; NaN and 0 beyond the last.

    Attributes:
        keypoints_px: image positions.
        score: 0 ... 1, how sure the detector is.
        right: 0 ... 1, that it is a right hand.
        size_m: total length of the bones in the detector's own metric scale.
        readable: whether there is a picture at all.
    """

    keypoints_px: Float[np.ndarray, "n hands 21 2"]
    score: Float[np.ndarray, "n hands"]
    right: Float[np.ndarray, "n hands"]
    size_m: Float[np.ndarray, "n hands"]
    readable: Bool[np.ndarray, "n"]


def detect(task: DetectTask) -> None:
    """Detect, and write the shard. The detector is new, and first sees a few pictures before the shard."""
    most = task.options.max_hands
    found = empty(len(task.block), most)
    with _new_detector(task) as detector:
        first = max(0, task.block.start - WARM_UP_FRAMES)
        for number, image in pictures_between(task.camera, first, task.block.stop):
            hands = sorted(detector.detect(image), key=lambda hand: -hand.score)
            row = number - task.block.start
            if row < 0:
                continue
            found.readable[row] = True
            for slot, hand in enumerate(hands[:most]):
                _put(found, row, slot, hand)
    save_stage(block_path(task.folder, task.block), task.made_of, found.__dict__)


@contextmanager
def _new_detector(task: DetectTask) -> Iterator[Detector]:
    options = task.options
    if options.detector is None:
        with MediaPipeDetector(options.threshold, options.max_hands) as detector:
            yield detector
        return
    from handloom.estimators.torch_threads import one_torch_thread
    from handloom.estimators.trained_detector import annotating_detector

    assert options.network is not None
    lens, most = task.camera.camera, options.max_hands
    with one_torch_thread():
        yield annotating_detector(options.detector, options.network, lens, options.threshold, most, options.device)


def empty(n: int, hands: int) -> Found:
    """Nothing found in n pictures, with room for so many hands in each."""
    score, right, size_m = (np.zeros((n, hands), np.float32) for _ in range(3))
    keypoints_px = np.full((n, hands, JOINT_COUNT, 2), np.nan, np.float32)
    return Found(keypoints_px, score, right, size_m, np.zeros(n, bool))


def _put(found: Found, row: int, slot: int, hand: Detection) -> None:
    found.keypoints_px[row, slot] = hand.keypoints_px
    found.score[row, slot], found.right[row, slot] = hand.score, hand.right_probability
    found.size_m[row, slot] = bone_lengths(hand.world_m).sum()


def pictures_between(camera: CaptureCamera, start: int, stop: int) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
    """Number and picture of those that can be read; a damaged or missing one is passed over."""
    match camera.pictures:
        case VideoSpan(path, frames):
            wanted = {int(frame): number for number, frame in enumerate(frames[start:stop], start) if frame >= 0}
            if wanted:
                for frame in VideoFile(path).select(wanted.__contains__, max(wanted) + 1, min(wanted)):
                    yield wanted[frame.index], frame.image
        case PictureFiles(paths):
            for number in range(start, stop):
                if (file := paths[number]) is not None:
                    try:
                        yield number, read_picture(file)
                    except InputError:
                        continue
        case RenderedPictures(picture):
            yield from ((number, picture(number)) for number in range(start, stop))


class Detections:
    """Stage 1's result of one camera, read as it is needed."""

    def __init__(self, folder: Path, length: int, size: int) -> None:
        self._folder, self._size = folder, size
        self._blocks = blocks(length, size)
        self._kept: dict[int, Found] = {}

    def at(self, index: Int[np.ndarray, "T"]) -> Found:
        """Hands in some pictures; none for index -1."""
        found = empty(len(index), self._block(0).score.shape[1])
        owner = np.where(index >= 0, index // self._size, -1)
        for number in np.unique(owner[owner >= 0]).tolist():
            block, rows = self._block(number), owner == number
            for name, values in found.__dict__.items():
                values[rows] = getattr(block, name)[index[rows] - number * self._size]
        return found

    def sizes_m(self) -> Float[np.ndarray, "hands"]:
        """Sizes of all hands that were found."""
        sizes = [self._block(number).size_m for number in range(len(self._blocks))]
        return np.concatenate([size[size > 0] for size in sizes]) if sizes else np.zeros(0)

    def _block(self, number: int) -> Found:
        if number not in self._kept:
            while len(self._kept) >= 3:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = Found(**load_stage(block_path(self._folder, self._blocks[number])))
        return self._kept[number]
