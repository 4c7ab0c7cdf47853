"""Weights on disk: a folder with model.safetensors and config.json. Nothing in it is ever executed."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from handloom import __version__
from handloom.errors import InputError
from handloom.formats.atomic import json_text, replacing, write_text
from handloom.formats.weights_config import CONFIG, read_config

WEIGHTS = "model.safetensors"
Model = TypeVar("Model", bound=nn.Module)


def save_pretrained(model: nn.Module, folder: Path | str, about: dict[str, Any] | None = None) -> None:
    """Write the weights and the `config` of a network.

    Args:
        model: a network with a config dataclass.
        folder: where to; made if it is not there.
        about: what a user should know of these weights (data, recipe, licence); kept in config.json.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "model": type(model).__name__,
        "handloom": __version__,
        "config": asdict(model.config),  # type: ignore[call-overload]
        "about": about or {},
    }
    write_tensors(folder / WEIGHTS, model.state_dict())
    write_text(folder / CONFIG, json_text(described, indent=2) + "\n")


def load_pretrained(
    model_class: type[Model], config_class: type, folder: Path | str, device: str | torch.device = "cpu"
) -> Model:
    """The network of a folder, in evaluation mode.

    Raises:
        InputError: no such folder, another network's, a damaged file, or weights that do not fit the config.
    """
    folder = Path(folder)
    described = read_config(folder)
    name, settings = described["model"], described["config"]
    if name != model_class.__name__:
        raise InputError(f"{folder} holds weights of {name}, not of {model_class.__name__}")
    if unknown := sorted(set(settings) - {field.name for field in fields(config_class)}):
        raise InputError(
            f"{folder / CONFIG}: unknown settings {', '.join(unknown)}; it was written by Handloom "
            f"{described.get('handloom', '(unknown)')}, this is {__version__}"
        )
    try:
        # JSON has lists for tuples.
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        model = model_class(config_class(**values))
    except (TypeError, ValueError) as failure:
        raise InputError(f"{folder / CONFIG} does not describe a {name}: {failure}") from None
    load_exactly(model, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return model.to(device).eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file. Raises InputError: missing or damaged."""
    if not path.is_file():
        raise InputError(f"{path} is missing; the weights are not whole")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as failure:
        raise InputError(f"{path} is truncated or not a safetensors file: {failure}") from None


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all. Raises OutputError."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    with replacing(path) as part:
        part.write_bytes(content)


def tensors_digest(tensors: dict[str, Tensor], about: str = "") -> str:
    """What tells weights from others, wherever they lie."""
    digest = hashlib.sha256(about.encode())
    for name, value in tensors.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_exactly(model: nn.Module, weights: dict[str, Tensor], where: str, called: Callable[[str], str] = str) -> None:
    """Load weights of which every key and shape must fit, and every number be finite.

    Args:
        model: what to load into.
        weights: by the model's own names.
        where: the file, for messages.
        called: what that file calls a weight of ours.

    Raises:
        InputError: names what does not fit.
    """
    expected = model.state_dict()
    if wrong := [name for name in expected if name in weights and weights[name].shape != expected[name].shape]:
        found, wanted = tuple(weights[wrong[0]].shape), tuple(expected[wrong[0]].shape)
        raise InputError(f"{where}: {called(wrong[0])} has shape {found}, expected {wanted}{_more(len(wrong))}")
    missing, unknown = sorted(set(expected) - set(weights)), sorted(set(weights) - set(expected))
    if missing or unknown:
        what = f"lacks {called(missing[0])}" if missing else f"has an unknown {called(unknown[0])}"
        raise InputError(f"{where} {what}{_more(len(missing) + len(unknown))}; it belongs to another network")
    if broken := [name for name, value in weights.items() if not bool(value.isfinite().all())]:
        raise InputError(f"{where}: {called(broken[0])} is not finite{_more(len(broken))}; the training went wrong")
    model.load_state_dict(weights)


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
