"""Clips of a store as tensors: what goes into HTT, and what should come out."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from handloom.datasets.augment import augment_camera, augment_keypoints, augment_pictures, draw_augmentation
from handloom.datasets.classes import class_rows
from handloom.datasets.clips import ClipPlace
from handloom.datasets.loader import Clip, ClipDataset
from handloom.datasets.mirror import mirrored
from handloom.datasets.resize import pinhole, resized
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.models.ghtt_image import ImageEstimatorConfig
from handloom.models.htt import HTTConfig
from handloom.skeleton import HANDS
from handloom.training.htt_loss import Target

PictureConfig = HTTConfig | ImageEstimatorConfig
NEAREST_M = 0.05
"""Joints nearer to the camera plane, or behind it, have no place in the picture to learn."""


class Sample(NamedTuple):
    """One clip, or a batch of them: pictures or their features, intrinsics, target, and where it is from.

    `inputs` is (T, 3, H, W) uint8 or (T, features); `place` is (recording, first frame).
    """

    inputs: Tensor
    intrinsics: Tensor
    target: Target
    place: Tensor


class PictureSamples(Dataset[Sample]):
    """Clips with their pictures, augmented if `seed` is given; items are (epoch, number).

    Args:
        clips: of the store.
        config: of the network.
        seed: of the augmentation.
        mirror: share of the augmented clips that are shown as in a mirror; none for a network of one hand.

    Raises:
        InputError: the camera is no pinhole, the store has classes that the network does not know, or lacks labels.
    """

    worth_workers = True
    """Whether loading takes so long that other processes should do it."""

    def __init__(self, clips: ClipDataset, config: PictureConfig, seed: int | None, mirror: float = 0.0) -> None:
        self.clips, self.config, self.seed = clips, config, seed
        self.mirror = mirror_share(config, mirror)
        actions = config.actions if isinstance(config, HTTConfig) else None
        self.rows = class_rows(clips.store, actions, config.objects)

    @property
    def names(self) -> list[str]:
        """Of the recordings."""
        return [recording.name for recording in self.clips.store.recordings]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, item: tuple[int, int]) -> Sample:
        epoch, number = item
        clip = resized(self.clips[number], self.config.image_size)
        if self.seed is not None:
            rng = sample_rng(self.seed, epoch, number)
            clip = augmented(clip, rng)
            if rng.uniform() < self.mirror:
                clip = mirrored(clip)
        pictures = torch.from_numpy(np.ascontiguousarray(clip.pictures.transpose(0, 3, 1, 2)))
        return self.sample(clip, pictures)

    def sample(self, clip: Clip, inputs: Tensor) -> Sample:
        """The sample of a clip, with inputs that belong to it."""
        hands = [HANDS.index(hand) for hand in self.config.hands]
        valid = clip.joints_valid & (clip.joints_m[..., 2] > NEAREST_M)
        target = Target(
            keypoints_px=torch.from_numpy(clip.keypoints_px[:, hands].astype(np.float32)),
            depth_m=torch.from_numpy(clip.joints_m[..., 2][:, hands]),
            joints_valid=torch.from_numpy(valid[:, hands]),
            object=torch.from_numpy(self.rows.objects[clip.object]),
            action=torch.tensor(int(self.rows.actions[clip.action[0]])),
            valid=torch.from_numpy(clip.valid & clip.pictured),
        )
        matrix = torch.from_numpy(pinhole(clip.camera, self.clips.camera).matrix.astype(np.float32))
        return Sample(inputs, matrix, target, torch.tensor([clip.recording, int(clip.frames[0])]))


class JoinedSamples(Dataset[Sample]):
    """Clips of several stores or cameras, one behind the other; `place` counts the recordings of all.

    Args:
        parts: one or more; all pictures or all features.
    """

    def __init__(self, parts: Sequence[PictureSamples]) -> None:
        self.parts = parts
        self.worth_workers = parts[0].worth_workers
        self.names = [name for part in parts for name in part.names]
        self.ends = np.cumsum([len(part) for part in parts])
        self.recordings = np.cumsum([0, *(len(part.names) for part in parts)])

    def __len__(self) -> int:
        """Number of clips."""
        return int(self.ends[-1])

    def __getitem__(self, item: tuple[int, int]) -> Sample:
        epoch, number = item
        part = int(np.searchsorted(self.ends, number, "right"))
        sample = self.parts[part][epoch, number - int(self.ends[part]) + len(self.parts[part])]
        return sample._replace(place=sample.place + torch.tensor([int(self.recordings[part]), 0]))


def augmented(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip as HTT's augmentation changes it."""
    drawn = draw_augmentation(rng, len(clip.frames), clip.camera.width)
    return clip._replace(
        pictures=augment_pictures(clip.pictures, drawn),
        keypoints_px=augment_keypoints(clip.keypoints_px, drawn),
        camera=augment_camera(clip.camera, drawn),
    )


def mirror_share(config: PictureConfig, share: float) -> float:
    """The share of clips to be mirrored, of a network that knows both hands."""
    return share if set(config.hands) == set(HANDS) else 0.0


def collate(samples: Sequence[Sample]) -> Sample:
    """Samples of one length as a batch."""
    inputs, intrinsics, targets, places = zip(*samples)
    target = Target(*(torch.stack(values) for values in zip(*targets)))
    return Sample(torch.stack(inputs), torch.stack(intrinsics), target, torch.stack(places))


def batches(
    samples: JoinedSamples, order: Sequence[tuple[int, int]], batch: int, workers: int, keep_last: bool = False
) -> Iterator[Sample]:
    """Batches of samples in an order, loaded by worker processes, or here if there are none."""
    chunks = [list(order[start : start + batch]) for start in range(0, len(order), batch)]
    if chunks and len(chunks[-1]) < batch and not keep_last:
        chunks.pop()
    workers = workers if samples.worth_workers else 0
    options: dict[str, Any] = {"multiprocessing_context": "forkserver", "prefetch_factor": 2} if workers else {}
    return iter(DataLoader(samples, batch_sampler=chunks, collate_fn=collate, num_workers=workers, **options))


def trimmed(sample: Sample, window: int) -> Sample:
    """The batch without what is padding in all of its clips, in whole windows: most videos are shorter than a clip."""
    real = sample.target.valid.any(0).nonzero()
    longest = int(real[-1]) + 1 if len(real) else 1
    T = min(-(-longest // window) * window, sample.inputs.shape[1])
    target = sample.target._replace(
        **{name: value[:, :T] for name, value in sample.target._asdict().items() if name != "action"}
    )
    return sample._replace(inputs=sample.inputs[:, :T], target=target)


def to_device(sample: Sample, device: torch.device) -> Sample:
    """The batch on a device."""
    target = Target(*(value.to(device, non_blocking=True) for value in sample.target))
    inputs, intrinsics = sample.inputs.to(device, non_blocking=True), sample.intrinsics.to(device)
    return Sample(inputs, intrinsics, target, sample.place)


def require_labels(places: Sequence[ClipPlace], samples: PictureSamples, split: str) -> None:
    """Refuse a split in which no clip has an action or no joint a position.

    Raises:
        InputError: names what is missing.
    """
    store = samples.clips.store
    actions = joints = False
    for recording in sorted({place.recording for place in places}):
        columns = store.columns(recording, ["label.action", "hand.valid"])
        actions |= bool((columns["label.action"] >= 0).any())
        joints |= bool(columns["hand.valid"].any())
        if actions and joints:
            return
    what = "actions" if joints else "hand joints"
    raise InputError(f"{store.root}, split {split!r}: no {what} are labelled, which HTT is trained on")
