"""`handloom train htt`: a preset's stages, one after the other, on one or several stores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from handloom.datasets.classes import action_names, choose_camera, labelled_hands
from handloom.datasets.clips import htt_clips
from handloom.datasets.loader import ClipDataset
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.formats.weights import WEIGHTS, load_pretrained, read_tensors, save_pretrained
from handloom.formats.weights_config import network_of
from handloom.models.ghtt_image import ImageEstimator
from handloom.models.htt import HTT, HTTConfig
from handloom.progress import Progress, named, silent
from handloom.skeleton import HANDS
from handloom.training.backbone import load_backbone
from handloom.training.features import FeatureSamples, FeatureStore
from handloom.training.held_out import VALIDATION, validates
from handloom.training.options import HTTOptions
from handloom.training.processes import Processes, local_device, processes
from handloom.training.recipe import PRESETS, Recipe
from handloom.training.recipe import Stage as StageRecipe
from handloom.training.run_folder import MODEL, RunFolder
from handloom.training.samples import JoinedSamples, PictureSamples, require_labels
from handloom.training.stage import Stage
from handloom.video import file_digest

FEATURES = "features"


def train_htt(
    data: Sequence[Path],
    out: Path,
    options: HTTOptions | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train HTT on stores; finished stages are kept, a begun one goes on where its last checkpoint is.

    Args:
        data: the stores; the network knows the classes of all.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        changes: of the network's config, for ablations.
        progress: told of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, missing labels, two weights to start from, or the folder holds another training.
        TrainingError: a loss is not finite, or memory does not suffice.
    """
    options = options or HTTOptions()
    if options.start_from is not None and options.backbone_from is not None:
        raise InputError("give weights to go on from, or a backbone to freeze, not both")
    preset = PRESETS[options.preset]
    stores = [Store(path) for path in data]
    views = [View(store, choose_camera(store, options.camera)) for store in stores]
    config = replace(preset.config(config_for(stores)), **(changes or {}))
    if options.behaviour == "paper":
        config = config.as_paper
    stages = preset.stages[-1:] if options.backbone_from is not None else preset.stages
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        done: Path | None = None
        for k, stage in enumerate(stages):
            recipe = _recipe(stage.recipe, options)
            folder = RunFolder(out if len(stages) == 1 else out / f"{k + 1}-{stage.name}")
            start = done or options.start
            told = named(progress, stage.name)
            run = _Run(views, stage.config(config), recipe, out, folder, options, device, shared, told, should_stop)
            if folder.finished:
                folder.begin(run.about(start))
            elif not run.train(start):
                return None
            done = folder.model
        assert done is not None
        final = out / MODEL
        if not final.exists() and shared.leads:
            model = load_pretrained(HTT, HTTConfig, done)
            save_pretrained(model, final, _about(views, options, stages))
        return final


class View(NamedTuple):
    """A store, and the camera whose pictures are looked at."""

    store: Store
    camera: str


@dataclass(frozen=True, eq=False)
class _Run:
    views: Sequence[View]
    config: HTTConfig
    recipe: Recipe
    run: Path
    folder: RunFolder
    options: HTTOptions
    device: torch.device
    processes: Processes
    progress: Progress
    should_stop: Callable[[], bool]

    def train(self, start: Path | None) -> bool:
        """Train the stage from the weights of another, as far as they fit. Returns whether it is finished."""
        torch.manual_seed(self.options.seed)
        model = HTT(self.config)
        if self.options.backbone_weights is not None:
            load_backbone(model.backbone, self.options.backbone_weights)
        if start is not None:
            take_over(model, start, backbone_only=self.recipe.freeze_backbone)
        model.to(self.device)
        samples = self._samples(model, self.options.split, training=True)
        assert samples is not None
        stage = Stage(
            model=model,
            samples=samples,
            validation=self._samples(model, VALIDATION, training=False),
            recipe=self.recipe,
            seed=self.options.seed,
            folder=self.folder,
            about=self.about(start),
            device=self.device,
            processes=self.processes,
            options=self.options.loop(self.processes, self.progress, self.should_stop, self.options.workers),
        )
        stage.run()
        return self.folder.finished

    def _samples(self, model: HTT, split: str, training: bool) -> JoinedSamples | None:
        """Of all stores; for validation of those that have the split, None if none has."""
        views = [view for view in self.views if training or validates(view.store, self.options.split)]
        if not views:
            return None
        return JoinedSamples([self._of(view, model, split, training) for view in views])

    def _of(self, view: View, model: HTT, split: str, training: bool) -> PictureSamples:
        c, store = self.config, view.store
        starts = self.recipe.clip_starts or c.pose_window
        places = htt_clips(store, split, training, c.clip_frames, c.spacing, starts)
        clips = ClipDataset(store.root, view.camera, places)
        seed = self.options.seed if training and self.recipe.augment else None
        pictures = PictureSamples(clips, c, seed, self.recipe.mirror)
        if training:
            require_labels(places, pictures, split)
        if not self.recipe.freeze_backbone:
            return pictures
        augmentations = self.recipe.augmentations if seed is not None else 0
        origin = f"{store_digest(store)}-{view.camera}"
        folder = self.options.features or self.run / FEATURES
        features = FeatureStore(
            folder, model.eval(), self.options.seed, self.recipe.precision, origin, self.recipe.mirror
        )
        if self.processes.leads:
            recordings = sorted({place.recording for place in places})
            features.compute(clips, recordings, augmentations, named(self.progress, split))
        self.processes.wait()
        return FeatureSamples(clips, c, seed, features, augmentations)

    def about(self, start: Path | None) -> dict[str, Any]:
        """All that the weights depend on."""
        data = {
            "stores": [store_digest(view.store) for view in self.views],
            "cameras": [view.camera for view in self.views],
            "split": self.options.split,
        }
        about = self.options.about(self.config, self.recipe, data, self.processes)
        about["backbone_weights"] = _content(self.options.backbone_weights)
        about["start"] = None if start is None else _content(self.options.start) or "the stage before"
        return about


def config_for(stores: Sequence[Store]) -> HTTConfig:
    """The published network for the classes and hands of stores.

    Raises:
        InputError: no store, or one that labels no action, no object, or no hand.
    """
    if not stores:
        raise InputError("give a store, or several, to train on")
    found: dict[str, dict[str, None]] = {"action": {}, "object": {}, "hand": {}}
    for store in stores:
        for what, names in zip(found, (action_names(store), store.layout.object_names, labelled_hands(store))):
            if not names:
                raise InputError(f"{store.root} labels no {what}; HTT learns hands, objects and actions together")
            found[what] |= dict.fromkeys(names)
    actions, objects, hands = found.values()
    return HTTConfig(tuple(actions), tuple(objects), tuple(hand for hand in HANDS if hand in hands))


def take_over(model: HTT, start: Path, backbone_only: bool) -> None:
    """Weights of a trained HTT, of every part whose shape is the same; of the backbone alone if so asked.

    What belongs to classes is left out where the classes are others, even as many. A backbone can also be that of
    G-HTT's image estimator.

    Raises:
        InputError: no such weights, or another backbone.
    """
    if backbone_only and network_of(start) == ImageEstimator.__name__:
        trained = read_tensors(start / WEIGHTS)
    else:
        source = load_pretrained(HTT, HTTConfig, start)
        other = [
            prefix
            for prefix, same in (
                ("action_head.", source.config.actions == model.config.actions),
                ("object_", source.config.objects == model.config.objects),
            )
            if not same
        ]
        trained = {name: value for name, value in source.state_dict().items() if not name.startswith(tuple(other))}
    ours = model.state_dict()
    backbone = [name for name in ours if name.startswith("backbone.")]
    if any(name not in trained or trained[name].shape != ours[name].shape for name in backbone):
        raise InputError(f"{start} has another backbone than the network that is to be trained")
    fitting = {
        name: value
        for name, value in trained.items()
        if name in ours and ours[name].shape == value.shape and (not backbone_only or name.startswith("backbone."))
    }
    model.load_state_dict(ours | fitting)


def _recipe(recipe: Recipe, options: HTTOptions) -> Recipe:
    recipe = options.applied(recipe, "precision")
    if options.epochs is not None:
        recipe = replace(recipe, steps=None)
    return replace(recipe, freeze_backbone=True) if options.backbone_from is not None else recipe


def _about(views: Sequence[View], options: HTTOptions, stages: tuple[StageRecipe, ...]) -> dict[str, Any]:
    named = (f"{store.layout.dataset}, {store.root.name}, camera {camera}" for store, camera in views)
    return {
        "data": f"{'; '.join(named)}; split {options.split}",
        "stores": [store_digest(store) for store, _ in views],
        "preset": options.preset,
        "behaviour": options.behaviour,
        "seed": options.seed,
        "stages": {stage.name: asdict(stage.recipe) for stage in stages},
    }


def _content(weights: Path | None) -> str | None:
    """What tells a file or folder of weights from another, wherever it lies."""
    if weights is None:
        return None
    return f"sha256 {file_digest(weights / WEIGHTS if weights.is_dir() else weights)[:16]}"
