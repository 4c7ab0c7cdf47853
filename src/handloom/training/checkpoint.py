"""Checkpoints: folders with weights, optimizer and place in the training, each either whole or not there."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from handloom.errors import InputError
from handloom.formats.atomic import json_text, write_text
from handloom.formats.dataset_files import whole_folder
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights import WEIGHTS, load_exactly, read_tensors, write_tensors

OPTIMIZER, STATE = "optimizer.safetensors", "state.json"
_RNG = "rng"


class Place(NamedTuple):
    """How far a training is: steps done, the epoch, clips of it that all processes have been through, seconds."""

    step: int = 0
    epoch: int = 0
    clips: int = 0
    wall_s: float = 0.0


def save_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizer, place: Place, keep: int = 2) -> None:
    """Write `folder/step-N` and remove all but the latest `keep`.

    Raises:
        OutputError: it cannot be written.
    """
    target = folder / f"step-{place.step:08d}"
    if not target.exists():
        with whole_folder(target) as part:
            write_tensors(part / WEIGHTS, model.state_dict())
            state = optimizer_tensors(model, optimizer) | {_RNG: torch.get_rng_state()}
            write_tensors(part / OPTIMIZER, state)
            write_text(part / STATE, json_text(place._asdict(), indent=2) + "\n")
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(path: Path, model: nn.Module, optimizer: Optimizer) -> Place:
    """Put the training back to where the checkpoint was written.

    Raises:
        InputError: a file is missing, damaged, or belongs to another network.
    """
    load_exactly(model, read_tensors(path / WEIGHTS), str(path / WEIGHTS))
    state = read_tensors(path / OPTIMIZER)
    torch.set_rng_state(state.pop(_RNG))
    _restore(model, optimizer, state, path / OPTIMIZER)
    values: dict[str, Any] = parse_json(path / STATE, read_text(path / STATE))
    try:
        return Place(**values)
    except TypeError:
        raise InputError(f"{path / STATE} is damaged; delete {path} to go on from the one before") from None


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, the latest last."""
    return sorted(folder.glob("step-*"))


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Everything an optimizer remembers, by "what.parameter"."""
    return {
        f"{what}.{name}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
        for what, value in optimizer.state[parameter].items()
    }


def _restore(model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        what, _, name = key.partition(".")
        if name not in parameters:
            raise InputError(f"{path} knows a parameter {name!r} that the network has not")
        parameter = parameters[name]
        # Adam keeps its count of steps on the processor.
        optimizer.state[parameter][what] = value if value.dim() == 0 else value.to(parameter.device)
