"""`handloom train ghtt-image`: the image estimator F on all cameras of a store, then E^PO on its object features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from handloom.datasets.classes import labelled_hands, pinhole_cameras
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.formats.weights import load_pretrained, save_pretrained
from handloom.label_vectors import object_vectors
from handloom.models.ghtt_image import ImageEstimator, ImageEstimatorConfig, ImageOutput
from handloom.progress import Progress, named, silent
from handloom.skeleton import WRIST
from handloom.training.backbone import load_backbone
from handloom.training.ghtt_image_recipe import PRESETS, ImageRecipe
from handloom.training.ghtt_loss import label_loss
from handloom.training.ghtt_objects import AggregatorStage, object_clips
from handloom.training.held_out import VALIDATION, Means, evenly, validates
from handloom.training.htt_loss import HAND_TERMS, hand_terms
from handloom.training.image_samples import frame_places, joined_views, object_places
from handloom.training.label_tables import label_digest, label_table
from handloom.training.loop import LossTerms
from handloom.training.options import ImageOptions
from handloom.training.picture_stage import PictureStage
from handloom.training.precision import arithmetic
from handloom.training.processes import Processes, local_device, processes
from handloom.training.run_folder import MODEL, RunFolder
from handloom.training.samples import JoinedSamples, Sample, batches, to_device
from handloom.video import file_digest

FRAMES, OBJECTS = "1-frames", "2-objects"
MOST_VALIDATED = 128


class ImageForward(nn.Module):
    """F on clips, as one module."""

    def __init__(self, model: ImageEstimator) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> ImageOutput:
        """What F says of B clips of T frames; leading axes (B, T)."""
        found: ImageOutput = self.model(inputs.flatten(0, 1))
        return ImageOutput(*(value.unflatten(0, inputs.shape[:2]) for value in found))


@dataclass(eq=False)
class ImageStage(PictureStage):
    """F in training."""

    model: ImageEstimator
    recipe: ImageRecipe
    terms = (*HAND_TERMS, "object_distance", "object_contrast")
    validated = ("joint_error_ra_px", "depth_from_wrist_mm", "object_accuracy")
    title = "G-HTT, image estimator"

    def wrapped(self) -> nn.Module:
        """See `ImageForward`."""
        return ImageForward(self.model)

    def term_weights(self) -> Float[Tensor, "5"]:
        """Those of the recipe."""
        r = self.recipe
        return torch.tensor(
            [r.weight_keypoints, r.weight_depth, r.weight_from_wrist, r.weight_object, r.weight_contrast]
        )

    def terms_of(self, forward: nn.Module, batch: Sample) -> LossTerms:
        """HTT's losses of hands, and the two of the object's label."""
        given = to_device(batch, self.device)
        with arithmetic(self.device, self.recipe.precision):
            output: ImageOutput = forward(given.inputs)
        return self._terms(output, given)

    @torch.inference_mode()
    def validate(self) -> dict[str, float] | None:
        """Terms and simple errors on clips of the validation split, evenly chosen if there are many."""
        if self.validation is None:
            return None
        self.model.eval()
        means = Means(self.terms, self.weights)
        items = evenly(len(self.validation), MOST_VALIDATED)
        for batch in batches(self.validation, items, self.local_batch, self.options.workers, keep_last=True):
            given = to_device(batch, self.device)
            with arithmetic(self.device, self.recipe.precision):
                output = ImageForward(self.model)(given.inputs)
            known = given.target.joints_valid & given.target.valid[..., None, None]
            known = known & known[..., WRIST : WRIST + 1]
            off = output.keypoints_px - given.target.keypoints_px
            away = torch.linalg.vector_norm(off - off[..., WRIST : WRIST + 1, :], dim=-1)
            deep = output.depth_m - given.target.depth_m
            named_right = self.model.object_logits(output.objects.float()).argmax(-1) == given.target.object
            labelled = given.target.valid & (given.target.object >= 0)
            from_wrist = 1000 * (deep - deep[..., WRIST : WRIST + 1]).abs()
            errors = away[known], from_wrist[known], named_right[labelled].float()
            means.add(self._terms(output, given), dict(zip(self.validated, errors)))
        return means.values()

    def _terms(self, output: ImageOutput, given: Sample) -> LossTerms:
        target = given.target
        joints = (target.joints_valid & target.valid[..., None, None]).float()
        hands = hand_terms(output.keypoints_px, output.depth_m, target, joints)
        labelled = target.valid & (target.object >= 0)
        rows = target.object.masked_fill(~labelled, -1).flatten()
        means = torch.stack(label_loss(output.objects.float().flatten(0, 1), self.model.object_vectors, rows))
        counts = labelled.sum().float().expand(2)
        return LossTerms(torch.cat([hands.sums, means * counts]), torch.cat([hands.counts, counts]))


def train_ghtt_image(
    data: Path,
    out: Path,
    options: ImageOptions | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train F and then E^PO; finished stages are kept, a begun one goes on where its last checkpoint is.

    Args:
        data: a store with pictures, hands and objects.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        changes: of the network's config.
        progress: told of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, no pictures, hands or objects in it, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or ImageOptions()
    store = Store(data)
    cameras = pinhole_cameras(store, options.cameras)
    config = _config(store, options, changes or {})
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        clips = len(cameras) * len(object_places(store, options.split, config.clip_frames))
        if not clips:
            raise InputError(
                f"{store.root}, split {options.split!r}: no recording has {config.clip_frames} frames in a row, at 30 "
                "per second, with a labelled object; E^PO learns from such clips"
            )
        run = _Run(store, cameras, config, clips, options, device, shared, progress, should_stop)
        if not (run.train_frames(RunFolder(out / FRAMES)) and run.train_objects(RunFolder(out / OBJECTS))):
            return None
        final = out / MODEL
        if not final.exists() and shared.leads:
            model = load_pretrained(ImageEstimator, ImageEstimatorConfig, out / OBJECTS / MODEL)
            save_pretrained(model, final, {"data": run.data, "preset": options.preset, "seed": options.seed})
        return final


@dataclass(frozen=True, eq=False)
class _Run:
    store: Store
    cameras: tuple[str, ...]
    config: ImageEstimatorConfig
    clips: int
    options: ImageOptions
    device: torch.device
    processes: Processes
    progress: Progress
    should_stop: Callable[[], bool]

    @property
    def data(self) -> dict[str, Any]:
        """What is trained on."""
        return {"store": store_digest(self.store), "cameras": list(self.cameras), "split": self.options.split}

    def train_frames(self, folder: RunFolder) -> bool:
        """Train F. Returns whether it is finished."""
        options, recipe = self.options, self.options.applied(PRESETS[self.options.preset].recipe)
        weights = options.backbone_weights
        about = options.about(self.config, recipe, self.data, self.processes)
        about["backbone_weights"] = None if weights is None else file_digest(weights)
        about["labels"] = label_digest(options.labels)
        if folder.finished:
            folder.begin(about)
            return True
        torch.manual_seed(options.seed)
        model = ImageEstimator(self.config)
        model.object_vectors.copy_(torch.from_numpy(_vectors(self.config, options.labels)))
        if weights is not None:
            load_backbone(model.backbone, weights)
        for parameter in model.parts(aggregator=True):
            parameter.requires_grad_(False)
        seed = options.seed if recipe.augment else None
        ImageStage(
            model=model,
            recipe=recipe,
            samples=self._views(options.split, recipe, seed),
            validation=self._views(VALIDATION, recipe, None) if validates(self.store, options.split) else None,
            seed=options.seed,
            folder=folder,
            about=about,
            device=self.device,
            processes=self.processes,
            options=options.loop(self.processes, named(self.progress, "frames"), self.should_stop, options.workers),
        ).run()
        return folder.finished

    def train_objects(self, folder: RunFolder) -> bool:
        """Train E^PO on what F, frozen, says of clips. Returns whether it is finished."""
        options = self.options
        # Batches and rates that are given are those of F.
        recipe = replace(options, batch_clips=None, learning_rate=None).applied(PRESETS[options.preset].aggregator)
        most, count = min(recipe.batch_clips, recipe.most_clips or self.clips, self.clips), self.processes.count
        recipe = replace(recipe, batch_clips=max(most // count, 1) * count)
        about = options.about(self.config, recipe, self.data, self.processes)
        if folder.finished:
            folder.begin(about)
            return True
        model = load_pretrained(ImageEstimator, ImageEstimatorConfig, folder.path.parent / FRAMES / MODEL)
        told = named(self.progress, "objects")
        kept = folder.path / "features"
        given = (self.store, self.cameras, recipe.most_clips)
        samples = object_clips(model, *given, options.split, options.seed, self.device, kept, self.processes, told)
        assert samples is not None  # `train_ghtt_image` has seen one
        held_out = None
        if validates(self.store, options.split):
            held_out = object_clips(model, *given, VALIDATION, None, self.device, kept, self.processes, told)
        for parameter in model.parts(aggregator=False):
            parameter.requires_grad_(False)
        torch.manual_seed(options.seed)
        AggregatorStage(
            model=model,
            recipe=recipe,
            samples=samples,
            validation=held_out,
            seed=options.seed,
            folder=folder,
            about=about,
            device=self.device,
            processes=self.processes,
            options=options.loop(self.processes, told, self.should_stop),
        ).run()
        return folder.finished

    def _views(self, split: str, recipe: ImageRecipe, seed: int | None) -> JoinedSamples:
        places = frame_places(self.store, split, recipe.frames, recipe.spacing)
        return joined_views(self.store, self.cameras, places, self.config, seed, recipe.mirror)


def _config(store: Store, options: ImageOptions, changes: Mapping[str, Any]) -> ImageEstimatorConfig:
    """The preset's network for the objects and hands of a store.

    Raises:
        InputError: nothing to learn from.
    """
    objects = store.layout.object_names
    if not objects:
        raise InputError(f"{store.root} labels no objects; F learns hands and the object in them together")
    given = {**PRESETS[options.preset].config, **changes}
    if options.labels is not None:
        given["label_dim"] = label_table(options.labels, objects).shape[1]
    return ImageEstimatorConfig(objects, hands=labelled_hands(store), **given)


def _vectors(config: ImageEstimatorConfig, labels: Path | None) -> Float[np.ndarray, "objects width"]:
    if labels is None:
        return object_vectors(config.objects, config.label_dim)
    return label_table(labels, config.objects, config.label_dim)
