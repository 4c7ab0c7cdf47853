"""SVEgoNet at work: crops of single hands in, joints along the crop's axes out; where the hand is, from its size."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from handloom.estimators.ego_crops import OURS, cutter, depths_of
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.estimators.lifting import ADULT_BONES_M
from handloom.formats.weights import load_pretrained
from handloom.formats.weights_config import weights_folder
from handloom.geometry import Camera
from handloom.geometry.pinhole_views import PinholeViews
from handloom.models.internet import CELL_PX, InterNet, InterNetConfig, joints_of
from handloom.skeleton import BONES

CHUNK = 32
_NEAREST_M, _FARTHEST_M, _DEPTHS, _STEPS = 0.08, 1.5, 80, 4
_PARENTS, _CHILDREN = np.array(BONES).T


class EgoHands(NamedTuple):
    """What the network says of N crops, for the left and the right hand.

    Attributes:
        keypoints_px: in the crop.
        depth_m: behind the wrist, along the crop's axis.
        confidence: of every joint, 0 ... 1.
        hands: probability that there is a left, a right hand.
    """

    keypoints_px: Float[np.ndarray, "N 2 21 2"]
    depth_m: Float[np.ndarray, "N 2 21"]
    confidence: Float[np.ndarray, "N 2 21"]
    hands: Float[np.ndarray, "N 2"]


class OneHand(NamedTuple):
    """The same of that hand alone which each crop is of."""

    keypoints_px: Float[np.ndarray, "N 21 2"]
    depth_m: Float[np.ndarray, "N 21"]
    confidence: Float[np.ndarray, "N 21"]


class SVEgoNet:
    """A trained network on a device. Raises InputError: there is no such device."""

    def __init__(self, model: InterNet, device: Device = "auto") -> None:
        self._device = choose_device(device)
        self._model = model.to(self._device).eval()
        self.config = model.config
        self.bones_m = np.array(self.config.bones_m or ADULT_BONES_M)
        self.name = f"svegonet (torch {torch.__version__}, {self._device.type})"

    @classmethod
    def load(cls, folder: Path, device: Device = "auto") -> "SVEgoNet":
        """The network of a folder of weights or of a training run. Raises InputError."""
        return cls(load_pretrained(InterNet, InterNetConfig, weights_folder(folder)), device)

    @torch.inference_mode()
    def hands(self, pictures: UInt8[np.ndarray, "N S S"], mirrored: bool = False) -> EgoHands:
        """Both hands of every crop.

        Args:
            pictures: grey crops of the network's size.
            mirrored: take the mean with what it says of the mirror image, hands exchanged.
        """
        found = self._said(pictures)
        if not mirrored:
            return found
        other = self._said(pictures[:, :, ::-1])
        keypoints = other.keypoints_px[:, ::-1] * [-1, 1] + [self.config.image_px - 1, 0]
        seen = EgoHands(keypoints, other.depth_m[:, ::-1], other.confidence[:, ::-1], other.hands[:, ::-1])
        return EgoHands(*((a + b) / 2 for a, b in zip(found, seen)))

    def _said(self, pictures: UInt8[np.ndarray, "N S S"]) -> EgoHands:
        joints: list[np.ndarray] = []
        confidence: list[np.ndarray] = []
        hands: list[np.ndarray] = []
        for start in range(0, len(pictures), CHUNK):
            part = torch.from_numpy(np.array(pictures[start : start + CHUNK])).to(self._device)
            output = self._model((part[:, None].float() / 255).expand(-1, 3, -1, -1))
            for kept, values in zip((joints, confidence), joints_of(output)):
                kept.append(values.cpu().numpy())
            hands.append(output.hand_probability.cpu().numpy())
        if not joints:
            none = np.zeros((0, 2, 21))
            return EgoHands(np.zeros((0, 2, 21, 2)), none, none, np.zeros((0, 2)))
        # The network has the right hand first, and its own order of joints.
        voxels = np.concatenate(joints).astype(np.float64).reshape(-1, 2, 21, 3)[:, ::-1][:, :, OURS]
        sure = np.concatenate(confidence).astype(np.float64).reshape(-1, 2, 21)[:, ::-1][:, :, OURS]
        depth = depths_of(self.config, voxels[..., 2])
        return EgoHands(CELL_PX * voxels[..., :2], depth, sure, np.concatenate(hands).astype(np.float64)[:, ::-1])


class SeenHands(NamedTuple):
    """Hands in one picture, of those boxes that could be cut out.

    Attributes:
        row: which boxes.
        views: the crops, in which `said` is.
        said: of the hand that each crop is of.
        rays: of the joints, in the camera's frame, 1 along the crop's axis.
        keypoints_px: in the picture; NaN where the lens shows nothing.
    """

    row: Int[np.ndarray, "n"]
    views: PinholeViews
    said: OneHand
    rays: Float[np.ndarray, "n 21 3"]
    keypoints_px: Float[np.ndarray, "n 21 2"]


def seen_in_picture(
    network: SVEgoNet,
    camera: Camera,
    picture: UInt8[np.ndarray, "H W 3"],
    boxes_px: Float[np.ndarray, "N 4"],
    hand: Int[np.ndarray, "N"],
    mirrored: bool = False,
) -> SeenHands:
    """What the network says of the hands in some boxes of an RGB picture.

    Args:
        network, camera, picture: who sees what.
        boxes_px: NaN for none.
        hand: which hand each is of.
        mirrored: see `SVEgoNet.hands`.

    Raises:
        InputError: the network wants squares of a pinhole, and the camera is none.
    """
    cut = cutter(network.config, camera, boxes_px)
    row = np.flatnonzero(cut.views.valid)
    views = cut.views.of(row)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    size = network.config.image_px
    crops = [cut.cut(grey, int(one)) for one in row]
    found = network.hands(np.stack(crops) if crops else np.zeros((0, size, size), np.uint8), mirrored)
    said = one_hand(found, hand[row])
    rays = views.rays(said.keypoints_px) @ views.turn
    keypoints, _ = camera.project(rays)
    return SeenHands(row, views, said, rays, keypoints)


def one_hand(found: EgoHands, hand: Int[np.ndarray, "N"]) -> OneHand:
    """Of each crop the hand that it is of."""
    row = np.arange(len(hand))
    return OneHand(*(values[row, hand] for values in found[:3]))


def wrist_depths(
    views: PinholeViews, hand: OneHand, bones_m: Float[np.ndarray, "20"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """How far along each crop's axis the wrist is: there a hand of this shape in the picture has these bones.

    A joint at depth Z + z lies at its ray times that, so the length of a bone is a function of Z alone. The best of
    many depths between 8 cm and 1.5 m, by the absolute error of the lengths, is refined in least squares.

    Args:
        views: of the crops.
        hand: what is seen there.
        bones_m: true lengths, in the order of `skeleton.BONES`.

    Returns:
        Depths in metres, and root mean square errors of the bones there.
    """
    rays = views.rays(hand.keypoints_px)
    slope = rays[:, _PARENTS] - rays[:, _CHILDREN]
    at_zero = (rays * hand.depth_m[..., None])[:, _PARENTS] - (rays * hand.depth_m[..., None])[:, _CHILDREN]
    weight = np.sqrt(hand.confidence[:, _PARENTS] * hand.confidence[:, _CHILDREN]) + 1e-3

    def off(depth: Float[np.ndarray, "N *tries"]) -> Float[np.ndarray, "N *tries 20"]:
        between = depth.ndim - 1
        a, b = (v.reshape(len(v), *(1,) * between, *v.shape[1:]) for v in (slope, at_zero))
        return np.asarray(np.linalg.norm(a * depth[..., None, None] + b, axis=-1) - bones_m)

    tries = np.broadcast_to(np.geomspace(_NEAREST_M, _FARTHEST_M, _DEPTHS), (len(rays), _DEPTHS))
    cost = (np.abs(off(tries)) * weight[:, None]).sum(-1)
    depth = tries[np.arange(len(rays)), cost.argmin(1)]
    for _ in range(_STEPS):
        apart = slope * depth[:, None, None] + at_zero
        length = np.linalg.norm(apart, axis=-1)
        along = (apart * slope).sum(-1) / np.maximum(length, 1e-6)
        step = (weight * along * (length - bones_m)).sum(1) / np.maximum((weight * along**2).sum(1), 1e-9)
        depth = np.clip(depth - step, _NEAREST_M, _FARTHEST_M)
    return depth, np.sqrt((off(depth) ** 2).mean(-1))
