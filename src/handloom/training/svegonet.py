"""`handloom train svegonet`: InterNet on single hands out of the egocentric cameras of a store."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from handloom.datasets.hand_crops import Subset, ego_cameras, numbers_of, read_hand_crops
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.estimators.htt_torch import choose_device
from handloom.models.internet import CELL_PX, InterNet, InterNetConfig, InterNetOutput, internet_loss, joints_of
from handloom.models.resnet import ResNet
from handloom.progress import Progress, silent
from handloom.training.backbone import load_backbone
from handloom.training.held_out import VALIDATION, Means, evenly, validates
from handloom.training.loop import Loop, LossTerms
from handloom.training.options import EgoOptions
from handloom.training.precision import arithmetic
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.svegonet_recipe import EgoRecipe, chosen_preset
from handloom.training.svegonet_samples import WIDER, EgoSample, EgoSamples
from handloom.video import file_digest

CROPS = "crops"
MOST_VALIDATED = 1024


@dataclass(eq=False)
class EgoStage(Loop):
    """InterNet in training."""

    model: InterNet
    recipe: EgoRecipe
    samples: EgoSamples
    validation: EgoSamples | None

    terms, validated, title = (
        ("joint_heatmap", "rel_root_depth", "hand_type"),
        ("joint_error_px", "depth_error_mm"),
        "SVEgoNet",
    )
    batch_norms_learn = True

    @property
    def count(self) -> int:
        """Number of training hands."""
        return len(self.samples)

    def term_weights(self) -> Float[Tensor, "3"]:
        """Those of the recipe."""
        return torch.tensor([1.0, self.recipe.weight_root, self.recipe.weight_hand])

    def batches(self, items: list[tuple[int, int]]) -> Iterator[EgoSample]:
        """Crops, augmented here: it takes a fraction of a step."""
        return batches(self.samples, items, self.local_batch)

    def local_terms(self, batch: EgoSample) -> LossTerms:
        """Means over the batch, as released: hands without a label of something count in its mean."""
        given = EgoSample(*(value.to(self.device) for value in batch))
        with arithmetic(self.device, self.recipe.precision):
            output = self.forward(given.pictures.expand(-1, 3, -1, -1))
        return ego_terms(output, given)

    def places(self, batch: EgoSample) -> list[str]:
        """Recordings, cameras and frames."""
        return [self.samples.place(row) for row in batch.row.tolist()]

    @torch.inference_mode()
    def validate(self) -> dict[str, float] | None:
        """Terms, and mean errors in the crop and along its axis, on hands of the validation split."""
        if self.validation is None:
            return None
        self.model.eval()
        means = Means(self.terms, self.weights)
        items = evenly(len(self.validation), MOST_VALIDATED)
        unit_mm = 2 * self.model.config.range_mm / self.model.config.voxels
        for batch in batches(self.validation, items, self.local_batch, keep_last=True):
            given = EgoSample(*(value.to(self.device) for value in batch))
            with arithmetic(self.device, self.recipe.precision):
                output = self.model(given.pictures.expand(-1, 3, -1, -1))
            apart = (joints_of(output)[0] - given.joints)[given.joint_valid > 0]
            errors = CELL_PX * torch.linalg.vector_norm(apart[:, :2], dim=-1), unit_mm * apart[:, 2].abs()
            means.add(ego_terms(output, given), dict(zip(self.validated, errors)))
        return means.values()


def batches(
    samples: EgoSamples, items: Sequence[tuple[int, int]], batch: int, keep_last: bool = False
) -> Iterator[EgoSample]:
    """Batches of hands in an order; a last one that is not full is left out unless `keep_last`."""
    for start in range(0, len(items), batch):
        chosen = items[start : start + batch]
        if len(chosen) == batch or keep_last:
            yield samples.batch(chosen)


def ego_terms(output: InterNetOutput, given: EgoSample) -> LossTerms:
    """The terms of a batch as sums over its hands."""
    loss = internet_loss(output, given.joints, given.joint_valid, given.root_bin, given.root_valid, given.hands)
    means = torch.stack(list(loss.values()))
    counts = torch.full_like(means.detach(), len(given.row))
    return LossTerms(means * counts, counts)


def train_svegonet(
    data: Path,
    out: Path,
    options: EgoOptions | None = None,
    subsets: Sequence[Subset] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train SVEgoNet; a begun run goes on where its last checkpoint is.

    Args:
        data: the store.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        subsets: what is trained on, instead of the whole split.
        progress: told of every recording that is cut up, and of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, no egocentric camera or no labelled hand in it, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or EgoOptions()
    preset = chosen_preset(options)
    config, recipe = preset.config, preset.recipe
    store = Store(data)
    cameras = ego_cameras(store, options.cameras)
    if subsets is None:
        subsets = [Subset(numbers_of(store, options.split), recipe.frame_step)]
    folder, place = RunFolder(out), options.crops or out / CROPS
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        weights = options.backbone_weights
        data_about = {
            "store": store_digest(store),
            "cameras": list(cameras),
            "split": options.split,
            "subsets": [asdict(subset) for subset in subsets],
        }
        about = options.about(config, recipe, data_about, shared)
        about["backbone_weights"] = None if weights is None else file_digest(weights)
        if folder.finished:
            folder.begin(about)
            return folder.model
        samples, validation = None, None
        for turn in range(shared.count):  # one after the other: they share the crops on disk
            if turn == shared.rank:
                told = progress if shared.leads else silent
                seed = options.seed if recipe.augment else None
                samples = _samples(store, cameras, subsets, config, place, seed, told)
                validation = _validation(store, cameras, options, config, recipe, place, told)
            shared.wait()
        assert samples is not None
        torch.manual_seed(options.seed)
        model = InterNet(replace(config, bones_m=samples.bones_m()))
        if weights is not None:
            backbone = model.backbone_net["resnet"]
            assert isinstance(backbone, ResNet)
            load_backbone(backbone, weights)
        EgoStage(
            model=model,
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


def _samples(
    store: Store,
    cameras: Sequence[str],
    subsets: Sequence[Subset],
    config: InterNetConfig,
    place: Path,
    seed: int | None,
    progress: Progress,
) -> EgoSamples:
    """Augmented if there is a seed."""
    wider = 1.0 if seed is None else WIDER
    crops = [
        part for subset in subsets for part in read_hand_crops(store, cameras, subset, config, place, wider, progress)
    ]
    return EgoSamples(crops, config, seed)


def _validation(
    store: Store,
    cameras: Sequence[str],
    options: EgoOptions,
    config: InterNetConfig,
    recipe: EgoRecipe,
    place: Path,
    progress: Progress,
) -> EgoSamples | None:
    """Hands of the validation split, if there is one, and it is not trained on."""
    if not validates(store, options.split):
        return None
    subset = Subset(numbers_of(store, VALIDATION), recipe.frame_step)
    return _samples(store, cameras, [subset], config, place, None, progress)
