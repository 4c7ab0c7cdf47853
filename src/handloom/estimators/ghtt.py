"""G-HTT's image estimator at work: hands of single pictures, the object of clips of 16 (Wen et al., ECCV 2024, 3.3)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from handloom.errors import InputError
from handloom.estimators.htt import present_hands
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_picture import PinholePicture
from handloom.estimators.htt_torch import choose_device
from handloom.formats.weights import load_pretrained
from handloom.geometry import Camera
from handloom.geometry.reposing import repose
from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.models.folded_resnet import FoldedResNet
from handloom.models.ghtt_image import ImageEstimator, ImageEstimatorConfig
from handloom.models.picture_hands import picture_features
from handloom.resampling import even_times
from handloom.skeleton import JOINT_COUNT

FRAME_RATE = 30.0
"""At which E^PO knows clips."""
CHUNK = 16
"""Pictures that go through the network together."""


class FrameEstimates(NamedTuple):
    """What F says of T pictures: joints in the virtual camera, image positions in the network's picture, objects."""

    joints_m: Float[np.ndarray, "T hands 21 3"]
    keypoints_px: Float[np.ndarray, "T hands 21 2"]
    objects: Float[np.ndarray, "T label_dim"]


class GHTTEstimator:
    """A trained F and E^PO on a device. Raises InputError: there is no such device."""

    def __init__(self, model: ImageEstimator, device: Device = "auto") -> None:
        self._device = choose_device(device)
        self.model = model.to(self._device).eval()
        self._backbone = FoldedResNet(self.model.backbone)
        self.config = model.config
        self.name = f"ghtt (torch {torch.__version__}, {self._device.type})"

    @classmethod
    def load(cls, folder: Path, device: Device = "auto") -> "GHTTEstimator":
        """The network of a folder of weights or of a training run. Raises InputError."""
        place = folder / "model" if (folder / "model").is_dir() else folder
        return cls(load_pretrained(ImageEstimator, ImageEstimatorConfig, place), device)

    @torch.inference_mode()
    def frames(self, pictures: UInt8[np.ndarray, "T H W 3"]) -> FrameEstimates:
        """F on RGB pictures of the config's size."""
        features = [
            picture_features(
                self._backbone, torch.from_numpy(pictures[k : k + CHUNK]).to(self._device).permute(0, 3, 1, 2)
            )
            for k in range(0, len(pictures), CHUNK)
        ]
        return self.from_features(torch.cat(features).cpu().numpy())

    @torch.inference_mode()
    def from_features(self, features: Float[np.ndarray, "T width"]) -> FrameEstimates:
        """The same from the backbone's features."""
        found = self.model.from_features(torch.from_numpy(features).to(self._device))
        kept = found.joints_m, found.keypoints_px, found.objects
        return FrameEstimates(*(value.float().cpu().numpy() for value in kept))

    @torch.inference_mode()
    def frame_objects(self, objects: Float[np.ndarray, "T label_dim"]) -> Float[np.ndarray, "T objects"]:
        """What single frames say: probabilities of objects by the cosine to their text embeddings."""
        logits = self.model.object_logits(torch.from_numpy(objects).to(self._device))
        return np.asarray(logits.softmax(-1).cpu().numpy(), np.float64)

    @torch.inference_mode()
    def clip_objects(
        self, objects: Float[np.ndarray, "T label_dim"], times_s: Float[np.ndarray, "T"]
    ) -> Float[np.ndarray, "T objects"]:
        """What E^PO says of the clip in which each frame lies; clips of 16 frames follow each other from the first on.

        A clip reads the frames nearest to its 16 times at 30 per second, those behind the last frame excepted.
        """
        t, since = self.config.clip_frames, times_s - times_s[0]
        rows, seen = clip_rows(since, t)
        clip = ((since * FRAME_RATE + 0.5) // t).astype(int).clip(max=len(rows) - 1)
        given = torch.from_numpy(objects[rows]).to(self._device)
        found = self.model.clip_objects(given, torch.from_numpy(seen).to(self._device))
        said = self.model.object_logits(found).softmax(-1).cpu().numpy()
        return np.asarray(said[clip], np.float64)


def clip_rows(
    since_s: Float[np.ndarray, "T"], t: int
) -> tuple[Int[np.ndarray, "clips t"], Bool[np.ndarray, "clips t"]]:
    """Which frames make clips of t at 30 per second, and which of the places in them lie before the end."""
    count = len(even_times(0.0, float(since_s[-1]), FRAME_RATE))
    clips = -(-count // t)
    wanted = np.arange(clips * t) / FRAME_RATE
    after = np.searchsorted(since_s, wanted).clip(max=len(since_s) - 1)
    before = (after - 1).clip(min=0)
    nearer = np.abs(since_s[before] - wanted) <= np.abs(since_s[after] - wanted)
    return np.where(nearer, before, after).reshape(clips, t), (np.arange(clips * t) < count).reshape(clips, t)


def in_real_camera(found: FrameEstimates, camera: Camera) -> Float[np.ndarray, "T hands 21 3"]:
    """Joints where a camera would see them at their keypoints; NaN for hands that no pose in front of it fits.

    Args:
        found: of pictures of this camera.
        camera: in the size of the network's pictures.
    """
    shape = found.joints_m.shape
    flat = found.joints_m.reshape(-1, *shape[2:]), found.keypoints_px.reshape(-1, *shape[2:3], 2)
    moved, valid = repose(flat[0], np.ones(flat[0].shape[:2], bool), flat[1], camera)
    moved[~valid | ~moved.any(-1).all(-1)] = np.nan
    return moved.reshape(shape)


def track_from_estimates(
    estimator: GHTTEstimator,
    picture: PinholePicture,
    found: FrameEstimates,
    joints_m: Float[np.ndarray, "n hands 21 3"],
    rows: Int[np.ndarray, "n"],
    times_s: Float[np.ndarray, "T"],
    camera_source: CameraSource,
) -> HandTrack:
    """The record of a recording.

    Args:
        estimator: which gave the estimates.
        picture: which gave it its pictures.
        found: of all decoded frames, in order.
        joints_m: their hands in the picture's camera (`in_real_camera`).
        rows: their frame numbers; other frames have neither hands nor objects.
        times_s: of all frames.
        camera_source: how far the camera can be trusted; recorded.

    Raises:
        InputError: not one frame.
    """
    if not len(rows):
        raise InputError("ghtt needs at least one frame that can be decoded")
    T, names = len(times_s), estimator.config.objects
    hands = present_hands(estimator.config.hands, picture, joints_m, found.keypoints_px)
    joints, keypoints = np.full((T, 2, JOINT_COUNT, 3), np.nan), np.full((T, 2, JOINT_COUNT, 2), np.nan)
    confidence, objects = np.zeros((T, 2, JOINT_COUNT)), np.full((T, len(names)), np.nan)
    joints[rows], keypoints[rows], confidence[rows] = hands.joints_m, hands.keypoints_px, hands.confidence
    said = estimator.clip_objects(found.objects, times_s[rows])
    objects[rows] = said / said.sum(-1, keepdims=True)
    return HandTrack(
        times_s=times_s,
        joints_m=joints,
        valid=np.isfinite(joints).all(-1),
        confidence=confidence,
        keypoints_px=keypoints,
        camera=picture.source,
        object_names=names,
        object_probabilities=objects,
        camera_source=camera_source,
        scale_source=ScaleSource.TRACKER,
    )
