"""G-HTT's weights on disk: block A with block P in the folder `pose` below it; or block P alone."""

from pathlib import Path

import torch

from handloom.errors import InputError
from handloom.formats.weights import load_pretrained
from handloom.formats.weights_config import read_config
from handloom.models.ghtt_action import ActionBlock, ActionBlockConfig
from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

POSE = "pose"
MODEL = "model"


def load_pose_block(folder: Path, device: str | torch.device = "cpu") -> PoseBlock:
    """Block P of a folder of weights, or of a training run.

    Raises:
        InputError: no such folder, other weights, or damaged ones.
    """
    folder = _weights(folder)
    if read_config(folder)["model"] == ActionBlock.__name__:
        folder = folder / POSE
    return load_pretrained(PoseBlock, PoseBlockConfig, folder, device)


def load_action_block(folder: Path, device: str | torch.device = "cpu") -> ActionBlock:
    """Block A of a folder of weights, or of a training run.

    Raises:
        InputError: as `load_pose_block`; or block P alone, which knows no actions.
    """
    folder = _weights(folder)
    if read_config(folder)["model"] == PoseBlock.__name__:
        raise InputError(f"{folder} holds block P alone, which knows no actions; train block A with it: ghtt-action")
    return load_pretrained(ActionBlock, ActionBlockConfig, folder, device)


def has_action_block(folder: Path) -> bool:
    """Whether a folder of weights holds block A, too. Raises InputError as `load_pose_block`."""
    return str(read_config(_weights(folder))["model"]) == ActionBlock.__name__


def _weights(folder: Path) -> Path:
    return folder / MODEL if (folder / MODEL).is_dir() else folder
