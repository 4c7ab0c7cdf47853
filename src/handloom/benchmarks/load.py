"""How fast clips come out of the store, against one PNG per frame; how large it is; how fast augmentation is."""

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handloom.datasets.augment import augment_pictures, draw_augmentation
from handloom.datasets.clips import ClipPlace
from handloom.datasets.loader import ClipDataset, stack
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.sampler import sample_rng
from handloom.datasets.store import Store, StoredRecording
from handloom.errors import InputError
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, RenderedPictures
from handloom.geometry import Pinhole
from handloom.hands import HandTrack
from handloom.rows import Rows

CLIP, BATCH, FRAMES = 128, 2, 512


def measure_load(store: Path | None = None, camera: str | None = None, repetitions: int = 3) -> tuple[str, Rows]:
    """`measure_store` of a store, or of a temporary one with noisy pictures.

    Raises:
        InputError: no repetition; or see `measure_store`.
    """
    if repetitions < 1:
        raise InputError(f"the number of repetitions must be at least 1, found {repetitions}")
    if store is not None:
        return measure_store(store, camera, repetitions)
    with tempfile.TemporaryDirectory() as folder:
        made = prepare_episodes(_Noisy(skip_bad=False), Path(folder) / "store")
        title, rows = measure_store(made.store, None, repetitions)
        return title.replace(str(made.store), "made-up noisy pictures"), rows


def measure_store(store: Path, camera: str | None, repetitions: int) -> tuple[str, Rows]:
    """Speed per core (CPU seconds of this process, one thread each) and size, on one camera of a store.

    The official way is what HTT's loader does after its preparation: one PNG per frame, read and decoded; here by
    OpenCV, which takes 0.95 of PIL's time. Its PNGs are made here, in a temporary folder, from the stored pictures;
    those of the original pictures are larger, because encoding to MP4 takes noise away.

    Raises:
        InputError: no store, or no pictures in it.
    """
    opened = Store(store)
    cameras = [item.name for item in opened.layout.pictured]
    if not cameras:
        raise InputError(f"{store} holds no pictures; there is nothing to measure")
    name = camera or cameras[0]
    places = _in_order(opened)
    frames = sum(len(place.frames) for place in places)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            files, used = _write_pngs(ClipDataset(store, name, places), Path(folder)), _used(opened, places)
            png_bytes = sum(path.stat().st_size for path in files)
            video_bytes = sum(recording.videos[name][0].stat().st_size for recording in used)
            # A file of numbers serves all cameras.
            data_bytes = sum(recording.data.stat().st_size for recording in used) / len(cameras)
            stored_frames = sum(recording.length for recording in used)
            mp4 = _best(lambda: _read_clips(store, name, places), repetitions)
            png = _best(lambda: _read_pngs(files), repetitions)
        pictures = ClipDataset(store, name, places)[0].pictures
        augmented = _best(lambda: _augment(pictures), repetitions)
    finally:
        cv2.setNumThreads(threads)
    per_frame, per_png = (video_bytes + data_bytes) / stored_frames, png_bytes / len(files)
    width, height = opened.layout.camera(name).size
    return f"{store}, camera {name}: {frames} frames of {width} x {height} px, best of {repetitions}", [
        (
            "clips from the store",
            f"{frames / mp4:8.0f} frames/s per core   {png / len(files) / (mp4 / frames):.1f} x PNG",
        ),
        ("one PNG per frame", f"{len(files) / png:8.0f} frames/s per core"),
        ("HTT's augmentation", f"{len(pictures) / augmented:8.0f} frames/s per core"),
        (
            "store, share of numbers",
            f"{per_frame:8.0f} bytes/frame         1/{per_png / per_frame:.0f} of PNG",
        ),
        ("PNG", f"{per_png:8.0f} bytes/frame"),
    ]


class _Noisy(EpisodeSource):
    """A recording of sharp shapes that move over texture, with sensor noise: hard to compress, as real pictures are."""

    names = ("noisy",)

    def read(self, name: str) -> Episode:
        T, (width, height) = FRAMES, (480, 270)
        rng = np.random.default_rng(0)
        texture = cv2.GaussianBlur(rng.normal(128, 400, (2 * height, 2 * width, 3)), (0, 0), 5).clip(0, 255)
        noise = rng.normal(0, 4, (8, height, width, 3))

        def picture(frame: int) -> np.ndarray:
            image = texture[frame % height :, frame % width :][:height, :width] + noise[frame % 8]
            cv2.circle(image, (240 + round(150 * np.sin(frame / 20)), 135), 40, (220, 170, 140), cv2.FILLED)
            return np.asarray(image.clip(0, 255).astype(np.uint8))

        nothing = np.zeros((T, 2, 21))
        hands = HandTrack(
            np.arange(T) / 30, np.zeros((T, 2, 21, 3)), nothing > 0, nothing, np.zeros((T, 2, 21, 2)), frame="world"
        )
        camera = Pinhole.from_fov(width, height, 70)
        stream = CameraStream("made_up", camera, np.broadcast_to(np.eye(4), (T, 4, 4)), RenderedPictures(picture))
        return Episode("made up", name, "nobody", None, np.arange(T), Fraction(30), hands, (stream,))


def _in_order(store: Store) -> list[ClipPlace]:
    places: list[ClipPlace] = []
    for recording in store.recordings:
        length = min(CLIP, recording.length)
        starts = range(0, recording.length - length + 1, length)
        places += [ClipPlace(recording.index, start + np.arange(length), np.ones(length, bool)) for start in starts]
        if sum(len(place.frames) for place in places) >= FRAMES:
            break
    return places


def _used(store: Store, places: list[ClipPlace]) -> list[StoredRecording]:
    return [store.recordings[number] for number in sorted({place.recording for place in places})]


def _read_clips(store: Path, camera: str, places: list[ClipPlace]) -> None:
    clips = ClipDataset(store, camera, places)
    for first in range(0, len(clips), BATCH):
        batch = [clips[number] for number in range(first, min(first + BATCH, len(clips)))]
        if len({len(clip.frames) for clip in batch}) == 1:
            stack(batch)


def _read_pngs(files: list[Path]) -> None:
    for first in range(0, len(files), CLIP):
        np.stack([cv2.cvtColor(_png(path), cv2.COLOR_BGR2RGB) for path in files[first : first + CLIP]])


def _png(path: Path) -> Any:
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)


def _write_pngs(clips: ClipDataset, folder: Path) -> list[Path]:
    files: list[Path] = []
    for number in range(len(clips)):
        for picture in clips[number].pictures:
            files.append(folder / f"{len(files):06d}.png")
            cv2.imwrite(str(files[-1]), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return files


def _augment(pictures: np.ndarray) -> None:
    rng = sample_rng(0, 0, 0)
    augment_pictures(pictures, draw_augmentation(rng, len(pictures), pictures.shape[2]))


def _best(work: Callable[[], None], repetitions: int) -> float:
    """Least CPU seconds of this process."""
    seconds = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)
