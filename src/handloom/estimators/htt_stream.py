"""HTT from the past alone: every frame goes through the backbone once, and has its poses at once."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from handloom.estimators.htt import Hands, hands_of
from handloom.estimators.htt_lanes import Lanes
from handloom.estimators.htt_network import HTTNetwork
from handloom.estimators.htt_picture import PinholePicture
from handloom.geometry import Camera


@dataclass(frozen=True, eq=False)
class HTTMoment:
    """What is known at a frame.

    Attributes:
        hands: of this frame (T = 1).
        object_probabilities: of this frame.
        action_probabilities: of the last clip's length so far, averaged over the lanes.
        window: numbers of the frames that block P now sees together, this one last.
        window_hands: their poses as they look now; final, and equal to those of a recording, once `complete`.
        complete: whether this frame fills its window.
    """

    hands: Hands
    object_probabilities: Float[np.ndarray, "objects"]
    action_probabilities: Float[np.ndarray, "actions"]
    window: tuple[int, ...]
    window_hands: Hands
    complete: bool


@dataclass(eq=False)
class _Lane:
    """One sequence of frames: the window that is being filled, and the tokens of those before it."""

    kept: deque[np.ndarray]
    window: list[int] = field(default_factory=list)
    features: list[np.ndarray] = field(default_factory=list)
    action: np.ndarray | None = None


class HTTStream:
    """Push frames in order. Memory does not grow, and work per frame is that of one picture and two small blocks.

    Frames are dealt to lanes as in `estimators.htt_lanes`: at 30 frames per second, the two parities take turns.

    Args:
        network: a trained HTT (`load_network`).
        camera: intrinsics of the frames; any lens.
    """

    def __init__(self, network: HTTNetwork, camera: Camera) -> None:
        self.network = network
        self.picture = PinholePicture(camera, network.layout.image_size)
        self._lanes = Lanes()
        self._sequences: list[_Lane] = []
        self._frames = 0

    def push(self, image: UInt8[np.ndarray, "H W 3"], time_s: float) -> HTTMoment:
        """The next RGB frame; times must increase."""
        layout, number = self.network.layout, self._lanes.push(time_s)
        if number == len(self._sequences):
            self._sequences.append(_Lane(deque(maxlen=layout.clip_frames)))
        lane = self._sequences[number]
        lane.window.append(self._frames)
        lane.features.append(self.network.features(self.picture.view(image)[None])[0])
        self._frames += 1

        features = np.array(lane.features)[None]
        poses = self.network.poses(features, np.ones(features.shape[:2], np.bool_), self.picture.camera.matrix)
        tokens = np.array([*lane.kept, *poses.tokens[0]])[None, -layout.clip_frames :]
        lane.action = self.network.action(tokens, np.ones(tokens.shape[:2], np.bool_))[0]
        hands = hands_of(layout, self.picture, poses)
        complete = len(lane.window) == layout.pose_window
        moment = HTTMoment(
            hands=Hands(hands.joints_m[-1:], hands.keypoints_px[-1:], hands.confidence[-1:]),
            object_probabilities=poses.object_probabilities[0, -1],
            action_probabilities=np.mean([other.action for other in self._sequences if other.action is not None], 0),
            window=tuple(lane.window),
            window_hands=hands,
            complete=complete,
        )
        if complete:
            lane.kept.extend(poses.tokens[0])
            lane.window, lane.features = [], []
        return moment
