"""Features of a split of a store, by which several networks with one backbone are scored: each picture is seen once."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.datasets.clips import recordings_of
from handloom.datasets.loader import ClipDataset
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.evaluation.predict import KnownFeatures
from handloom.formats.weights import read_tensors
from handloom.models.ghtt_image import ImageEstimator
from handloom.models.htt import HTT
from handloom.progress import Progress
from handloom.training.features import FeatureStore


def known_features(
    model: HTT | ImageEstimator,
    folder: Path,
    store: Store,
    camera: str,
    split: str,
    seed: int,
    precision: str,
    device: Device,
    progress: Progress,
) -> KnownFeatures:
    """Features of the recordings of a split by their number, from files in a folder; what is missing is computed.

    Raises:
        InputError, OutputError: a recording cannot be read, or a file not be written.
    """
    model = model.to(choose_device(device)).eval()
    features = FeatureStore(folder, model, seed, precision, f"{store_digest(store)}-{camera}")
    recordings = [recording.index for recording in recordings_of(store, split)]
    features.compute(ClipDataset(store.root, camera, []), recordings, 0, progress)

    def of(recording: int) -> Float[np.ndarray, "frames width"]:
        return read_tensors(features.path(recording, 0))["features"].float().numpy()

    return of
