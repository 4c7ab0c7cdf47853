"""Torch where it is installed: it is an extra."""

import pytest

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="the extra torch is not installed")

TINY = {
    "image_size": (64, 36),
    "backbone_width": 16,
    "dim": 16,
    "heads": 2,
    "feedforward": 32,
    "layers": 1,
    "pose_window": 2,
    "clip_frames": 8,
}
"""Settings of an HTT that trains in seconds."""
