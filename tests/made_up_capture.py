"""Captures with known hands: folders of pictures that say who took them and when, and a detector that reads it."""

import json
from dataclasses import dataclass, field

import cv2
import numpy as np

from handloom.estimators.detections import Detection
from handloom.formats.cameras import camera_to_dict
from handloom.geometry import Pinhole, invert_rigid
from handloom.simulate.rigs import looking_at
from made_up_hands import moving_hand

LENS = Pinhole(320, 240, 260.0, 260.0, 159.5, 119.5)
MIRROR = np.array([-1.0, 1, 1])


def hands(T: int, seed: int = 0) -> np.ndarray:
    """Both hands (T, 2, 21, 3) beside each other about the origin, moving fast enough to tell a frame from the next."""
    t = np.arange(T) / 30
    sway = 0.06 * np.stack([np.sin(7 * t), np.sin(5 * t + 1), np.cos(6 * t)], -1)[:, None]
    right = moving_hand(T, seed, start=(0, 0, 1e-9)) * MIRROR
    left = moving_hand(T, seed + 1, start=(0, 0, 1e-9))
    return np.stack([left + sway + [-0.11, 0, 0], right + sway + [0.11, 0, 0.02]], 1)


def ring(count: int) -> list[np.ndarray]:
    """`world_from_camera` of cameras about the origin."""
    angles = np.linspace(0.7, 2.4, count)
    places = [np.array([0.7 * np.cos(a), 0.7 * np.sin(a), 0.25 + 0.1 * (k % 2)]) for k, a in enumerate(angles)]
    return [looking_at(place, np.zeros(3)) for place in places]


@dataclass
class Scene:
    """What the fake detector knows: the detections of every (camera, picture)."""

    seen: dict[tuple[int, int], list[Detection]] = field(default_factory=dict)

    def detector(self, *_: object) -> "Scene":
        return self

    def detect(self, image: np.ndarray) -> list[Detection]:
        camera, high, low = (int(v) for v in image[0, 0])
        return self.seen.get((camera, 256 * high + low), [])

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def make_capture(
    root,
    world: np.ndarray,
    poses: list[np.ndarray],
    cameras: list | None = None,
    late: dict[int, int] | None = None,
    lengths: dict[int, int] | None = None,
    every: dict[int, int] | None = None,
    noise_px: float = 0.3,
    sides: tuple[float, ...] = (0.05, 0.95),
) -> Scene:
    """Write a capture of hands (T, H, 21, 3) and its calibration; poses are (4, 4) or one per frame.

    By camera: frames that it is late, pictures that it takes, and of how many frames it takes one.
    """
    random, scene, T = np.random.default_rng(5), Scene(), len(world)
    cameras = cameras or [LENS] * len(poses)
    entries = {}
    for number, (camera, pose) in enumerate(zip(cameras, poses)):
        name = f"cam{number}"
        (root / name).mkdir(parents=True)
        entries[name] = {**camera_to_dict(camera), "world_from_camera": pose.tolist()}
        for picture in range((lengths or {}).get(number, T)):
            image = np.full((camera.height, camera.width, 3), 90, np.uint8)
            image[0, 0] = number, picture // 256, picture % 256
            cv2.imwrite(str(root / name / f"{picture:04d}.png"), image[..., ::-1])
            frame = picture * (every or {}).get(number, 1) - (late or {}).get(number, 0)
            frame = min(max(frame, 0), T - 1)
            here = invert_rigid(pose if pose.ndim == 2 else pose[frame])
            found = []
            for joints, side in zip(world[frame], sides):
                pixels, seen = camera.project(joints @ here[:3, :3].T + here[:3, 3])
                inside = seen & (pixels > 0).all(-1) & (pixels < [camera.width - 1, camera.height - 1]).all(-1)
                if inside.mean() < 0.5 or not seen.all():
                    continue
                pixels = pixels + noise_px * random.standard_normal(pixels.shape)
                found.append(Detection(pixels, np.zeros(21), joints - joints.mean(0), 0.9, side))
            scene.seen[number, picture] = found
    (root / "calibration.json").write_text(json.dumps({"cameras": entries}))
    return scene
