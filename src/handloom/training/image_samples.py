"""Clips of several cameras of a store for G-HTT's image estimator, with hands as the virtual camera would have them."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from handloom.datasets.clips import ClipPlace, recordings_of
from handloom.datasets.loader import Clip, ClipDataset
from handloom.datasets.store import Store
from handloom.datasets.windows import htt_windows
from handloom.geometry.reposing import repose, virtual_camera
from handloom.models.ghtt_image import ImageEstimatorConfig
from handloom.training.samples import NEAREST_M, JoinedSamples, PictureSamples, Sample


class ViewSamples(PictureSamples):
    """Clips of one camera; keypoints stay where they are, depths are those of the virtual camera."""

    def sample(self, clip: Clip, inputs: Tensor) -> Sample:
        """See `PictureSamples`."""
        return super().sample(in_virtual_camera(clip), inputs)


def joined_views(
    store: Store,
    cameras: Sequence[str],
    places: Sequence[ClipPlace],
    config: ImageEstimatorConfig,
    seed: int | None,
    mirror: float = 0.0,
) -> JoinedSamples:
    """Clips of several cameras, one camera behind the other.

    Args:
        store: whose pictures.
        cameras: each of them a pinhole.
        places: of the clips, the same for every camera.
        config: of the network.
        seed: of the augmentation; None for none.
        mirror: share of the augmented clips that are shown as in a mirror.

    Raises:
        InputError: no pictures of a camera, or objects that the network does not know.
    """
    return JoinedSamples(
        [
            ViewSamples(ClipDataset(store.root, camera, places), config, None if seed is None else seed + k, mirror)
            for k, camera in enumerate(cameras)
        ]
    )


def in_virtual_camera(clip: Clip) -> Clip:
    """The clip as if the virtual camera had taken it: hands are moved to where it would see them at their keypoints."""
    T = len(clip.frames)
    known = clip.joints_valid & (clip.joints_m[..., 2] > NEAREST_M)
    shape = (T * 2, *known.shape[2:])
    camera = virtual_camera((clip.camera.width, clip.camera.height))
    keypoints = clip.keypoints_px.reshape(*shape, 2)
    joints, valid = repose(clip.joints_m.reshape(*shape, 3), known.reshape(shape), keypoints, camera)
    return clip._replace(
        joints_m=joints.reshape(clip.joints_m.shape).astype(np.float32),
        joints_valid=known & valid.reshape(T, 2, 1),
        camera=camera,
    )


def frame_places(store: Store, split: str, frames: int, spacing: int) -> list[ClipPlace]:
    """All frames of a split in clips of some frames that lie apart: each frame once.

    Raises:
        InputError: the store has no such split.
    """
    places = []
    for recording in recordings_of(store, split):
        windows = htt_windows(recording.length, False, frames, spacing)
        places += [ClipPlace(recording.index, *window) for window in zip(*windows)]
    return places


def object_places(store: Store, split: str, frames: int) -> list[ClipPlace]:
    """Stretches of consecutive frames at 30 per second, end to end, in which a frame is labelled with an object.

    Raises:
        InputError: the store has no such split.
    """
    step = store.layout.fps / 30
    places = []
    for recording in recordings_of(store, split):
        labels = store.columns(recording.index, ["object.label"])["object.label"]
        stretch = np.round(np.arange(frames) * step).astype(int)
        for start in range(0, recording.length - int(stretch[-1]), max(1, round(frames * step))):
            chosen = start + stretch
            if (labels[chosen] >= 0).any():
                places.append(ClipPlace(recording.index, chosen, np.ones(frames, bool)))
    return places
