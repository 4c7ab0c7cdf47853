"""What a number of a table depends on, in one sentence for below the table."""

import os

import torch

from handloom import __version__
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device


def setting_of(data: str, preset: str, seed: int, device: Device, more: str = "") -> str:
    """Data, preset, seed, hardware and version; `more` stands behind the preset."""
    chosen = choose_device(device)
    hardware = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"{os.cpu_count()} CPU cores"
    return f"Data: {data}. Preset {preset}{more}, seed {seed}, {hardware}, Handloom {__version__}."
