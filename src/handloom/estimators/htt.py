"""HTT on a recording: hand poses, the object in hand, and actions, from features of all frames.

Wen et al., CVPR 2023, section 3. Frames are dealt to lanes (`htt_lanes`); block P sees windows of t frames of a lane,
block A clips of T. The authors' test protocol, every clip from the start of a 256-frame block at both parities, is what
comes out for a trimmed video of 30 frames per second.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.estimators.htt_actions import lane_probabilities, mean_over_lanes, segments, vote
from handloom.estimators.htt_lanes import lanes_of
from handloom.estimators.htt_network import HTTLayout, HTTNetwork, HTTPoses
from handloom.estimators.htt_picture import PinholePicture
from handloom.hands import ActionSegment, CameraSource, HandTrack, ScaleSource
from handloom.skeleton import HANDS, JOINT_COUNT

CONFIDENCE = 0.5
"""Of every joint inside the picture: HTT gives no measure of its own, and 1 would claim certainty."""

MARGIN = 0.05
"""Share of the picture's width by which joints may lie outside and still count as seen."""

_PIECE = 32
"""Windows of block P that are computed together."""


@dataclass(frozen=True, eq=False)
class Hands:
    """Both hands over T frames as `HandTrack` wants them; NaN where a hand is missing."""

    joints_m: Float[np.ndarray, "T 2 21 3"]
    keypoints_px: Float[np.ndarray, "T 2 21 2"]
    confidence: Float[np.ndarray, "T 2 21"]

    @property
    def valid(self) -> Bool[np.ndarray, "T 2 21"]:
        """Which joints exist."""
        return np.asarray(np.isfinite(self.joints_m).all(-1))


def hands_of(layout: HTTLayout, picture: PinholePicture, poses: HTTPoses) -> Hands:
    """Hands in the camera's own pixels, of one sequence; see `present_hands`."""
    return present_hands(layout.hands, picture, poses.joints_m[0], poses.keypoints_px[0])


def present_hands(
    sides: tuple[str, ...],
    picture: PinholePicture,
    joints_m: Float[np.ndarray, "T hands 21 3"],
    keypoints_px: Float[np.ndarray, "T hands 21 2"],
) -> Hands:
    """Those hands that are there, in the camera's own pixels, of a network that always answers with a hand.

    One counts as missing where it lies behind the camera, or where fewer than half of its joints lie in the picture
    grown by `MARGIN`: all that is known of a hand outside the picture is that it was not there. A missing hand that
    the network puts inside the picture cannot be told from a real one.

    Args:
        sides: which hands there are answers for.
        picture: what the network was shown.
        joints_m: in the frame of its camera.
        keypoints_px: in it.
    """
    T, camera = len(joints_m), picture.camera
    joints, keypoints = np.full((T, 2, JOINT_COUNT, 3), np.nan), np.full((T, 2, JOINT_COUNT, 2), np.nan)
    rows = [HANDS.index(side) for side in sides]
    joints[:, rows], keypoints[:, rows] = joints_m, keypoints_px
    margin = MARGIN * camera.width
    with np.errstate(invalid="ignore"):
        near = _inside(keypoints, camera.width, camera.height, margin).sum(-1) * 2 >= JOINT_COUNT
        present = near & (joints[..., 2] > 0).all(-1)
    keypoints = picture.to_source(keypoints)
    present &= np.isfinite(joints).all((-1, -2))
    joints[~present], keypoints[~present] = np.nan, np.nan
    inside = _inside(keypoints, picture.source.width, picture.source.height, 0)
    return Hands(joints, keypoints, np.where(inside, CONFIDENCE, 0.0))


def track_from_features(
    network: HTTNetwork,
    picture: PinholePicture,
    features: Float[np.ndarray, "n width"],
    rows: Int[np.ndarray, "n"],
    times_s: Float[np.ndarray, "T"],
    camera_source: CameraSource,
    trimmed: bool = False,
) -> HandTrack:
    """The record of a recording.

    Args:
        network: which gave the features.
        picture: which gave it its pictures.
        features: of all decoded frames, in order.
        rows: their frame numbers; other frames have no hands.
        times_s: of all frames.
        camera_source: how far the camera can be trusted; recorded.
        trimmed: the video shows one action, found by HTT's own vote; else actions are segments of a timeline.

    Raises:
        InputError: not one frame.
    """
    if not len(rows):
        raise InputError("HTT needs at least one frame that can be decoded")
    layout, T = network.layout, len(times_s)
    decoded_s = times_s[rows]
    of_frame = lanes_of(decoded_s)
    lanes = [np.flatnonzero(of_frame == lane) for lane in range(of_frame.max() + 1)]
    joints, keypoints = np.full((T, 2, JOINT_COUNT, 3), np.nan), np.full((T, 2, JOINT_COUNT, 2), np.nan)
    confidence, objects = np.zeros((T, 2, JOINT_COUNT)), np.full((T, len(layout.objects)), np.nan)
    tokens = []
    for lane in lanes:
        poses = lane_poses(network, features[lane], picture.camera.matrix)
        hands = hands_of(layout, picture, poses)
        where = rows[lane]
        joints[where], keypoints[where], confidence[where] = hands.joints_m, hands.keypoints_px, hands.confidence
        objects[where] = poses.object_probabilities[0]
        tokens.append(poses.tokens[0])
    return HandTrack(
        times_s=times_s,
        joints_m=joints,
        valid=np.isfinite(joints).all(-1),
        confidence=confidence,
        keypoints_px=keypoints,
        camera=picture.source,
        object_names=layout.objects,
        object_probabilities=objects / objects.sum(-1, keepdims=True),
        actions=_actions(network, decoded_s, lanes, tokens, trimmed),
        camera_source=camera_source,
        scale_source=ScaleSource.TRACKER,
    )


def lane_poses(network: HTTNetwork, features: Float[np.ndarray, "n width"], K: Float[np.ndarray, "3 3"]) -> HTTPoses:
    """Block P over one lane, piece by piece."""
    piece = _PIECE * network.layout.pose_window
    parts = []
    for start in range(0, len(features), piece):
        part = features[None, start : start + piece]
        parts.append(network.poses(part, np.ones(part.shape[:2], np.bool_), K))
    return HTTPoses(*(np.concatenate(column, 1) for column in zip(*parts)))


def _actions(
    network: HTTNetwork,
    times_s: Float[np.ndarray, "n"],
    lanes: list[np.ndarray],
    tokens: list[np.ndarray],
    trimmed: bool,
) -> tuple[ActionSegment, ...]:
    layout = network.layout
    clip = layout.clip_frames

    def recognise(part: np.ndarray) -> np.ndarray:
        return network.action(part, np.ones(part.shape[:2], np.bool_))

    if trimmed:
        clips = [
            recognise(lane[None, start : start + clip])[0] for lane in tokens for start in range(0, len(lane), clip)
        ]
        return vote(times_s, np.array(clips), layout.actions)
    found = [lane_probabilities(recognise, lane, clip) for lane in tokens]
    return segments(times_s, mean_over_lanes(times_s, lanes, found), layout.actions)


def _inside(keypoints_px: np.ndarray, width: int, height: int, margin: float) -> np.ndarray:
    u, v = keypoints_px[..., 0], keypoints_px[..., 1]
    low = -0.5 - margin
    return np.asarray((u >= low) & (u <= width - 0.5 + margin) & (v >= low) & (v <= height - 0.5 + margin))
