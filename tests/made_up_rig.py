"""A store of hands drawn as dots, seen by fixed cameras and by two that move: enough to train and score networks on."""

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from handloom.datasets.prepare import prepare_episodes
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, RenderedPictures
from handloom.geometry import OVFishEye62
from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.simulate.rigs import looking_at
from made_up_capture import LENS, hands, ring

FISHEYE = OVFishEye62(320, 240, 120.0, 120.0, 159.5, 119.5, (0.01, -0.005, 0.001, 0, 0, 0, 0, 0))


def dots(camera, camera_from_world: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """A picture with a bright dot at every joint (n, 3) of the world."""
    pixels, seen = camera.project(joints @ camera_from_world[:3, :3].T + camera_from_world[:3, 3])
    image = np.full((camera.height, camera.width, 3), 30, np.uint8)
    for x, y in pixels[seen]:
        cv2.circle(image, (round(16 * x), round(16 * y)), 24, (230, 200, 170), -1, cv2.LINE_AA, 4)
    return image


@dataclass
class Dotted(EpisodeSource):
    """Recordings of both hands, one for each split, before `fixed` cameras and two fisheyes that move."""

    fixed: int = 3
    moving: bool = True
    frames: int = 2
    splits: tuple = ("train", "val", "test")
    pictures: bool = True

    def __post_init__(self):
        super().__init__(skip_bad=False)
        self.with_pictures = self.pictures
        self.names = tuple(f"take-{split}" for split in self.splits)

    def read(self, name):
        number, T = self.names.index(name), self.frames
        world = hands(40, seed=number)[np.linspace(3, 36, T).astype(int)]
        streams = [
            self._stream(f"exo{k}", LENS, np.repeat(p[None], T, 0), world) for k, p in enumerate(ring(self.fixed))
        ]
        for side in (-1, 1) if self.moving else ():
            place = np.array([0.1 * side, -0.45, 0.3]) + 0.01 * np.arange(T)[:, None]
            streams.append(self._stream(f"ego{side}", FISHEYE, looking_at(place, np.zeros(3)), world))
        valid = np.ones((T, 2, 21), bool)
        track = HandTrack(
            times_s=np.arange(T) / 30,
            joints_m=world,
            valid=valid,
            confidence=valid.astype(np.float32),
            keypoints_px=np.full((T, 2, 21, 2), np.nan),
            frame="world",
            camera_source=CameraSource.CALIBRATED,
            scale_source=ScaleSource.MEASURED,
        )
        return Episode("dots", name, name, self.splits[number], np.arange(T), Fraction(30), track, tuple(streams))

    def _stream(self, name, camera, world_from_camera, world):
        def picture(frame):
            return dots(camera, np.linalg.inv(world_from_camera[frame]), world[frame].reshape(-1, 3))

        return CameraStream(name, camera, world_from_camera, RenderedPictures(picture) if self.pictures else None)


def dotted_store(folder, **changes):
    """The store's folder."""
    prepare_episodes(Dotted(**changes), folder, None)
    return folder
