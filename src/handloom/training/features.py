"""Features of a frozen backbone, computed once: every frame of every recording, plain and augmented."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from handloom.datasets.augment import augment_pictures, draw_augmentation
from handloom.datasets.clips import consecutive_clips
from handloom.datasets.loader import ClipDataset
from handloom.datasets.mirror import mirrored
from handloom.datasets.resize import resized
from handloom.datasets.sampler import sample_rng
from handloom.formats.weights import read_tensors, tensors_digest, write_tensors
from handloom.models.folded_resnet import FoldedResNet
from handloom.models.ghtt_image import ImageEstimator
from handloom.models.htt import HTT, HTTConfig
from handloom.models.picture_hands import picture_features
from handloom.progress import Progress
from handloom.training.samples import PictureSamples, Sample, mirror_share

CHUNK = 16
"""Pictures that go through the backbone together."""


class FeatureStore:
    """Features of recordings on disk: a file for each recording and variant, made when it is missing.

    Variant 0 is the plain picture; variant k > 0 is augmented as one clip of the whole recording. The folder is named
    after the backbone's weights, so that what another backbone left there is never read.

    Args:
        folder: where the features of several backbones may lie.
        model: whose backbone; on the device that computes.
        seed: of the augmentation.
        precision: of the backbone's arithmetic.
        pictures: what tells the store and its camera from others.
        mirror: share of the variants that are shown as in a mirror.
    """

    def __init__(
        self,
        folder: Path,
        model: HTT | ImageEstimator,
        seed: int,
        precision: str,
        pictures: str,
        mirror: float = 0.0,
    ) -> None:
        self.model, self.seed = model, seed
        self._backbone = FoldedResNet(model.backbone, torch.bfloat16 if precision == "bfloat16" else torch.float32)
        self.mirror = mirror_share(model.config, mirror)
        self.folder = folder / f"{backbone_digest(model)}-{pictures}-{seed}-{precision}-{self.mirror:g}"

    def compute(self, clips: ClipDataset, recordings: Sequence[int], augmentations: int, progress: Progress) -> None:
        """Make what is missing of the plain pictures and `augmentations` variants of recordings.

        Raises:
            InputError, OutputError: a recording cannot be read, or a file not be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        jobs = [(recording, variant) for recording in recordings for variant in range(augmentations + 1)]
        for done, (recording, variant) in enumerate(jobs):
            progress("features", done, len(jobs))
            path = self.path(recording, variant)
            if not path.exists():
                write_tensors(path, self._features(clips, recording, variant))
        progress("features", len(jobs), len(jobs))

    def path(self, recording: int, variant: int) -> Path:
        """The file of a recording's variant."""
        return self.folder / f"{recording:06d}-{variant}.safetensors"

    @torch.inference_mode()
    def _features(self, clips: ClipDataset, recording: int, variant: int) -> dict[str, Tensor]:
        length = clips.store.recordings[recording].length
        width = self.model.config.image_size[0]
        rng = sample_rng(self.seed, variant, recording)
        drawn = draw_augmentation(rng, length, width)
        turned = bool(variant) and rng.uniform() < self.mirror
        places = consecutive_clips(recording, np.arange(length), CHUNK)
        chunks = ClipDataset(clips.root, clips.camera, places)
        device = next(self.model.parameters()).device
        parts = []
        for place, clip in zip(places, (chunks[k] for k in range(len(places)))):
            pictures = resized(clip, self.model.config.image_size).pictures
            if variant:
                pictures = augment_pictures(pictures, drawn.of(place.frames))
            if turned:
                pictures = pictures[:, :, ::-1]
            images = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).to(device)
            parts.append(picture_features(self._backbone, images).half().cpu())
        shift = torch.tensor(drawn.shift_px if variant else (0, 0))
        return {"features": torch.cat(parts), "shift_px": shift, "mirrored": torch.tensor(turned)}


class FeatureSamples(PictureSamples):
    """Clips as features of a frozen backbone; a variant is chosen for every clip and epoch if `seed` is given."""

    worth_workers = False  # all is in memory, and to send it there takes a file handle for every recording

    def __init__(
        self, clips: ClipDataset, config: HTTConfig, seed: int | None, features: FeatureStore, augmentations: int
    ) -> None:
        numbers = ClipDataset(clips.root, clips.camera, clips.places, decode=False)
        super().__init__(numbers, config, seed)
        self.augmentations = augmentations if seed is not None else 0
        used = sorted({place.recording for place in clips.places})
        self.shifts: dict[tuple[int, int], tuple[int, int]] = {}
        self.turned: dict[tuple[int, int], bool] = {}
        self.features: dict[tuple[int, int], Tensor] = {}
        for key in [(recording, variant) for recording in used for variant in range(self.augmentations + 1)]:
            stored = read_tensors(features.path(*key))
            self.features[key] = stored["features"]
            self.shifts[key] = tuple(stored["shift_px"].tolist())
            self.turned[key] = bool(stored["mirrored"])

    def __getitem__(self, item: tuple[int, int]) -> Sample:
        epoch, number = item
        clip = resized(self.clips[number], self.config.image_size)
        variant = 0
        if self.seed is not None and self.augmentations:
            variant = int(sample_rng(self.seed, epoch, number).integers(self.augmentations + 1))
        key = clip.recording, variant
        shift = np.array(self.shifts[key], np.float32)
        camera = clip.camera.cropped(*self.shifts[key], clip.camera.width, clip.camera.height)
        clip = clip._replace(keypoints_px=clip.keypoints_px - shift, camera=camera)
        if self.turned[key]:
            clip = mirrored(clip)
        return self.sample(clip, self.features[key][torch.from_numpy(clip.frames)].float())


def backbone_digest(model: HTT | ImageEstimator) -> str:
    """What tells one backbone, and the pictures that it is shown, from another."""
    return tensors_digest(model.backbone.state_dict(), repr(model.config.image_size))
