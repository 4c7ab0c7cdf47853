"""Torch where it is installed: it is an extra."""

import pytest

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="the extra torch is not installed")
