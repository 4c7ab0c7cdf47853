"""Made-up recordings with known numbers, and pictures that say which frame they show."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from jaxtyping import Float, UInt8

from handloom.formats.episode import CameraStream, Episode, EpisodeSource, LabelledSegment, RenderedPictures
from handloom.geometry import Camera, OVFishEye62, Pinhole, apply_rigid, rigid, rotation_from_vector
from handloom.hands import HandTrack
from made_up_hands import open_hand

FRONT = Pinhole(64, 36, 50.0, 50.0, 31.5, 17.5)
HEAD = OVFishEye62(64, 48, 20.0, 20.0, 31.5, 23.5, (0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))


class MadeUp(EpisodeSource):
    """Six recordings of two subjects: a fixed camera, a moving fisheye; open and close an object."""

    def __init__(self, lengths: tuple[int, ...] = (40, 25, 30), skip_bad: bool = False) -> None:
        super().__init__(skip_bad)
        self.lengths = lengths
        self.names = tuple(f"subject{1 + (i == len(lengths) - 1)}/take/{i}" for i in range(len(lengths)))

    def read(self, name: str) -> Episode:
        """One recording."""
        number = self.names.index(name)
        return recording(name, number, self.lengths[number], test=number == len(self.lengths) - 1)


def recording(name: str = "subject1/take/0", number: int = 0, T: int = 40, test: bool = False) -> Episode:
    """Hands that move slowly in front of two cameras; the left one is not there in the first frames."""
    times = np.arange(T) / 30 + 0.001 * np.sin(np.arange(T)) + number
    path = np.stack([0.05 * np.sin(times), 0.03 * np.cos(times), 0.5 + 0 * times], -1)
    hand = np.stack([open_hand() - np.array([0.08, 0, 0]), open_hand() * [-1, 1, 1] + [0.08, 0, 0]])
    joints = path[:, None, None] + hand
    valid = np.ones((T, 2, 21), bool)
    valid[:3, 0] = False
    confidence = np.full((T, 2, 21), 0.75)
    hands = HandTrack(times, joints, valid, confidence, np.full((T, 2, 21, 2), np.nan), frame="world")
    turns = rotation_from_vector(np.stack([0 * times, 0.1 * np.sin(times), 0 * times], -1))
    head = rigid(turns, np.stack([0.02 * np.cos(times), 0 * times, 0 * times - 0.1], -1))
    fixed = np.broadcast_to(np.eye(4), (T, 4, 4))
    boxes = np.full((T, 2, 4), np.nan)
    boxes[:, 1] = [10, 10, 30, 30]
    poses = np.full((T, 2, 4, 4), np.nan)
    poses[:, 0] = rigid(np.eye(3), np.array([0.0, 0.1, 0.5]))
    labels = [None, None] if test and number % 2 else ["open box", "close box"]
    segments = tuple(
        LabelledSegment(
            label, label and label.split()[0], label and "box", i + 1 if label else None, s, e, number * 2 + i
        )
        for i, (label, s, e) in enumerate(zip(labels, (2, T // 2 - 2), (T // 2, T)))
    )
    return Episode(
        dataset="madeup",
        name=name,
        subject=name.split("/")[0],
        split="test" if test else "train",
        frame_ids=10 + 2 * np.arange(T),
        frame_rate=Fraction(30),
        hands=hands,
        streams=(
            CameraStream("front", FRONT, fixed, _rendered(number, FRONT), boxes_px=boxes),
            CameraStream("head", HEAD, head, _rendered(number + 5, HEAD), monochrome=True),
        ),
        segments=segments,
        object_names=("box", "lid"),
        object_poses=poses,
        object_labels=np.where(np.arange(T) < 5, -1, 0),
        scene="table",
    )


def picture(number: int, frame: int, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
    """A grey level that tells the frame, and a bright edge."""
    image = np.full((camera.height, camera.width, 3), (40 + 7 * number + 9 * frame) % 200, np.uint8)
    image[:, :4] = 250
    return image


def _rendered(number: int, camera: Camera) -> RenderedPictures:
    return RenderedPictures(lambda frame: picture(number, frame, camera))


def moved(episode: Episode, by: Float[np.ndarray, "3"]) -> Episode:
    """The same recording with the hands elsewhere."""
    joints = apply_rigid(rigid(np.eye(3), by), episode.hands.joints_m.astype(np.float64))
    return replace(episode, hands=replace(episode.hands, joints_m=joints))
