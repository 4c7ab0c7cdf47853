"""Trained weights that come with the package; each folder has a model card, README.md."""

from pathlib import Path

HTT = Path(__file__).parent / "htt"
"""HTT, preset `small`, trained on simulated hands alone."""
