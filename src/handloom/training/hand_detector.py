"""`handloom train hand-detector`: where hands are in whole pictures, learned from the boxes or joints of stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from handloom.datasets.clips import recordings_of
from handloom.datasets.hand_pictures import HandPictures, cameras_of_stores, read_hand_pictures
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.detections import TRAINED_CONFIDENCE
from handloom.estimators.hand_finder import HandFinder
from handloom.estimators.htt_torch import choose_device
from handloom.metrics.boxes import box_scores
from handloom.models.hand_detector import HandDetector
from handloom.progress import Progress, silent
from handloom.training.hand_detector_loss import TERMS, hand_detector_loss
from handloom.training.hand_detector_recipe import HAND_DETECTOR_PRESETS, HandDetectorRecipe
from handloom.training.hand_detector_samples import DetectorSample, DetectorSamples
from handloom.training.held_out import VALIDATION, validates
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores
from handloom.training.options import HandDetectorOptions
from handloom.training.precision import arithmetic
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.stacked import StackedStage, on_device

PICTURES = "pictures"
MOST_VALIDATED = 512


@dataclass(eq=False)
class HandDetectorStage(StackedStage):
    """The detector in training."""

    model: HandDetector
    recipe: HandDetectorRecipe
    samples: DetectorSamples
    validation: Sequence[HandPictures]

    terms, title = TERMS, "hand detector"
    validated = ("ap", "recall", "side_accuracy")
    batch_norms_learn = True

    def term_weights(self) -> Float[Tensor, "2"]:
        """Those of the recipe."""
        return torch.tensor([1.0, self.recipe.weight_boxes])

    def local_terms(self, batch: DetectorSample) -> LossTerms:
        """See `hand_detector_loss`."""
        given = on_device(batch, self.device)
        with arithmetic(self.device, self.recipe.precision):
            maps = self.forward(given.picture.float())
        return hand_detector_loss(maps, given)

    def places(self, batch: DetectorSample) -> list[str]:
        """Recordings, cameras and frames."""
        return [self.samples.place(number) for number in batch.number.tolist()]

    def validate(self) -> dict[str, float] | None:
        """Average precision, recall and sides on pictures of the validation split."""
        if not self.validation:
            return None
        finder = HandFinder(self.model, self.device)
        step = -(-sum(len(part.frame) for part in self.validation) // MOST_VALIDATED)
        found = box_scores([one for part in self.validation for one in part.judged(finder, step)], TRAINED_CONFIDENCE)
        return {name: value for name in self.validated if (value := getattr(found, name)) is not None}


def train_hand_detector(
    data: Sequence[Path],
    out: Path,
    options: HandDetectorOptions | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train the detector; a begun run goes on where its last checkpoint is.

    Args:
        data: stores with pictures, and boxes or joints of hands.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        progress: told of every recording that is scaled down, and of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, pictures, cameras or labels, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or HandDetectorOptions()
    preset = HAND_DETECTOR_PRESETS[options.preset]
    config, recipe = preset.config, options.applied(preset.recipe, "frame_step")
    if not data:
        raise InputError("a detector is trained on one store or more; give them with --data")
    stores, folder = [Store(path) for path in data], RunFolder(out)
    cameras = cameras_of_stores(stores, options.cameras)
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        about = options.about(config, recipe, about_stores(stores, options.split) | {"cameras": cameras}, shared)
        if folder.finished:
            folder.begin(about)
            return folder.model

        def pictures(store: Store, names: Sequence[str], split: str) -> list[HandPictures]:
            place = options.pictures or out / PICTURES
            told = progress if shared.leads else silent
            chosen = recordings_of(store, split)
            return read_hand_pictures(store, chosen, names, config.long_side_px, place, recipe.frame_step, told)

        samples, validation = None, []
        for turn in range(shared.count):  # one after the other: they share the pictures on disk
            if turn == shared.rank:
                parts = [part for pair in zip(stores, cameras) for part in pictures(*pair, options.split)]
                samples = DetectorSamples(parts, config, recipe, options.seed)
                for store, names in zip(stores, cameras):
                    if validates(store, options.split):
                        validation += pictures(store, names, VALIDATION)
            shared.wait()
        assert samples is not None
        torch.manual_seed(options.seed)
        HandDetectorStage(
            model=HandDetector(config),
            recipe=recipe,
            samples=samples,
            validation=validation,
            seed=options.seed,
            folder=folder,
            about=about,
            device=device,
            processes=shared,
            options=options.loop(shared, progress, should_stop),
        ).run()
        return folder.model if folder.finished else None
