"""Checkpoints of the released HTT (`checkpoint_45.pth`), read without executing them, and turned into our weights.

Such a file is a pickle of {epoch, network, state_dict, optimizer, scheduler}; the scheduler is a whole Python object
that drags its optimizer along. Classes of torch.optim are met by a stand-in without behaviour; every other class that
PyTorch's weights-only reader does not know is refused.
"""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handloom.errors import InputError, OutputError
from handloom.formats import fpha_classes, h2o_classes
from handloom.formats.class_names import read_class_names
from handloom.formats.weights import WEIGHTS, load_exactly, save_pretrained
from handloom.models.htt import HTT, HTTConfig
from handloom.models.transformer import sine_positions
from handloom.skeleton import HANDS, JOINT_COUNT

_PREFIXES = {
    "action_token": "action_token",
    "meshregnet.base_net.": "backbone.",
    "transformer_pose.encoder.": "pose_block.",
    "image_to_hand_pose.mlp.": "pose_head.",
    "image_to_olabel_embed.": "object_head.0.",
    "obj_classification.classifier.": "object_head.2.",
    "hand_pose3d_to_action_input.": "pose_to_action.",
    "olabel_to_action_input.": "object_to_action.",
    "concat_to_action_input.": "fuse.",
    "transformer_action.encoder.": "action_block.",
    "action_classification.classifier.": "action_head.",
}
"""Where each part of the released network lives in ours."""

_UNUSED = ("meshregnet.base_net.fc.weight", "meshregnet.base_net.fc.bias")
_TABLE = "transformer_pe.pe"


class _Inert:
    """Stands for an optimizer or scheduler: takes any state and does nothing with it."""

    def __setstate__(self, state: object) -> None: ...


def _empty(*_: object) -> dict[object, object]:
    """Stands for defaultdict, in which an optimizer keeps its state: the reader fills plain dictionaries alone."""
    return {}


_SCHEDULERS = ("StepLR", "MultiStepLR", "ExponentialLR", "LambdaLR", "CosineAnnealingLR", "ReduceLROnPlateau")
_STAND_INS: list[Any] = [
    *((_Inert, f"torch.optim.lr_scheduler.{name}") for name in _SCHEDULERS),
    *((_Inert, f"torch.optim.{name.lower()}.{name}") for name in ("Adam", "AdamW", "SGD")),
    (_empty, "collections.defaultdict"),
    dict,
]


def import_htt(
    checkpoint: Path, out: Path, actions: Path | None = None, objects: Path | None = None, overwrite: bool = False
) -> tuple[str, list[tuple[str, str]]]:
    """`handloom import-weights htt`: write the weights of a checkpoint; title and rows for the terminal.

    Raises:
        InputError: as `read_htt_checkpoint`, or a list of names that cannot be read.
        OutputError: the folder holds weights already, or cannot be written.
    """
    out = out.expanduser()
    if (out / WEIGHTS).exists() and not overwrite:
        raise OutputError(f"{out} already holds weights; choose another folder or add --overwrite")
    lists = (() if path is None else read_class_names(path.expanduser()) for path in (actions, objects))
    model, about = read_htt_checkpoint(checkpoint.expanduser(), *lists)
    save_pretrained(model, out, about)
    config = model.config
    return f"Weights {out}", [
        ("from", f"{checkpoint}, epoch {about['epoch']}"),
        ("parameters", f"{sum(parameter.numel() for parameter in model.parameters()):,}"),
        ("hands", ", ".join(config.hands)),
        ("objects", f"{len(config.objects)}: {', '.join(config.objects)}"),
        ("actions", f"{len(config.actions)}: {', '.join(config.actions)}"),
    ]


def read_htt_checkpoint(
    path: Path, actions: tuple[str, ...] = (), objects: tuple[str, ...] = ()
) -> tuple[HTT, dict[str, Any]]:
    """The released network with the weights of a checkpoint, and what the checkpoint says of itself.

    Args:
        path: the `.pth` file.
        actions, objects: names of the classes; by default those of H2O or FPHA, told by their numbers.

    Raises:
        InputError: missing, damaged, holds Python objects that it should not, is not HTT's, or does not fit the names.
    """
    content = read_pickled_weights(path)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{path} is no checkpoint of HTT: expected a dictionary with the field state_dict")
    if (network := content.get("network", "HTT")) != "HTT":
        raise InputError(f"{path} holds the network {network!r}, not HTT")
    about = {"checkpoint": path.name, "epoch": content.get("epoch"), "network": "HTT (released)"}
    return model_of_state_dict(content["state_dict"], str(path), actions, objects), about


def model_of_state_dict(
    state_dict: dict[str, Any], where: str, actions: tuple[str, ...] = (), objects: tuple[str, ...] = ()
) -> HTT:
    """The released network with the weights of its state dictionary. Raises InputError as `read_htt_checkpoint`."""
    weights = {str(key).removeprefix("module."): value for key, value in state_dict.items()}
    for key, value in weights.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise InputError(f"{where}: {key} is no array of numbers; it is no checkpoint of HTT")
    model = HTT(_config(where, weights, actions, objects))
    load_exactly(model, _renamed(where, weights), where, _released_name)
    return model.eval()


def read_pickled_weights(path: Path) -> Any:
    """A `.pth` file by PyTorch's weights-only reader, with stand-ins for optimizers and schedulers.

    Raises:
        InputError: missing, damaged, or holds other Python objects.
    """
    if not path.is_file():
        what = "is a folder; give the file itself" if path.is_dir() else "does not exist; check the path"
        raise InputError(f"{path} {what}")
    try:
        with torch.serialization.safe_globals(_STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as failure:
        found = [line.strip() for line in str(failure).splitlines() if "GLOBAL" in line]
        reason = found[0].split(" was not")[0] if found else "it is no such file, or damaged"
        raise InputError(f"{path} cannot be read as weights alone ({reason}); nothing in it was executed") from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError, OSError) as failure:
        # What a KeyError or an EOFError says is of the reader's inside.
        reason = f": {failure!s:.100}" if isinstance(failure, RuntimeError | OSError) else ""
        raise InputError(f"{path} is truncated or no PyTorch checkpoint{reason}; give a whole .pth file") from None


def _config(where: str, weights: dict[str, Tensor], actions: tuple[str, ...], objects: tuple[str, ...]) -> HTTConfig:
    def rows(key: str) -> int:
        if key not in weights:
            raise InputError(f"{where} lacks {key}; it is no checkpoint of HTT")
        if weights[key].dim() != 2:
            raise InputError(f"{where}: {key} has shape {tuple(weights[key].shape)}, expected 2 dimensions")
        return len(weights[key])

    joints, remainder = divmod(rows("image_to_hand_pose.mlp.4.weight"), 3)
    action_count, object_count = (
        rows("action_classification.classifier.weight"),
        rows("obj_classification.classifier.weight"),
    )
    if remainder or joints not in (JOINT_COUNT, 2 * JOINT_COUNT):
        raise InputError(f"{where} estimates {joints} joints; Handloom knows hands of {JOINT_COUNT}")
    for taxonomy_actions, taxonomy_objects in (
        (tuple(" ".join(action) for action in h2o_classes.ACTIONS), h2o_classes.OBJECTS),
        (fpha_classes.ACTIONS, fpha_classes.OBJECTS),
    ):
        if (len(taxonomy_actions), len(taxonomy_objects)) == (action_count, object_count):
            actions, objects = actions or taxonomy_actions, objects or taxonomy_objects
    if (len(actions), len(objects)) != (action_count, object_count):
        raise InputError(
            f"{where} knows {action_count} actions and {object_count} objects, but {len(actions)} and {len(objects)} "
            "names were given; give the names of all classes"
        )
    return HTTConfig(actions, objects, hands=HANDS if joints == 2 * JOINT_COUNT else ("right",))


def _released_name(ours: str) -> str:
    """What the released network calls a weight of ours, for messages."""
    for theirs, prefix in _PREFIXES.items():
        if ours.startswith(prefix):
            name = theirs + ours.removeprefix(prefix)
            for part in ("queries_keys.", "values."):
                name = name.replace(part, "self_attn.in_proj_")
            return name.replace(".out.", ".self_attn.out_proj.")
    return ours


def _renamed(where: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names for all weights; attention's stacked projections are split. Every key is accounted for."""
    ours: dict[str, Tensor] = {}
    for key, value in weights.items():
        if key in _UNUSED:
            continue
        if key == _TABLE:
            # 5000 rows in the released code.
            sound = value.dim() == 3 and len(value) == 1 and value.shape[1] <= 100_000 and value.shape[2] % 2 == 0
            if not sound or not torch.allclose(value[0].float(), sine_positions(*value.shape[1:]), atol=1e-3):
                raise InputError(f"{where}: {key} is not the sine table that HTT uses")
            continue
        prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
        if prefix is None:
            raise InputError(f"{where} has an unknown {key}; it is no checkpoint of HTT")
        name = _PREFIXES[prefix] + key.removeprefix(prefix)
        if "self_attn.in_proj_" in name:
            kind = name.rsplit("_", 1)[1]
            base = name.split("self_attn.")[0]
            split = 2 * len(value) // 3
            ours[f"{base}queries_keys.{kind}"], ours[f"{base}values.{kind}"] = value[:split], value[split:]
        else:
            ours[name.replace("self_attn.out_proj", "out")] = value
    return ours
