"""How fast HTT is on a clip of 128 frames, and a training step on it, against the plain whole-clip forward."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.estimators.htt_export import onnx_of
from handloom.estimators.htt_onnx import CONFIG_KEY
from handloom.estimators.htt_quantise import quantised
from handloom.formats.atomic import json_text
from handloom.formats.weights import load_pretrained, save_pretrained
from handloom.formats.weights_config import read_config
from handloom.models.htt import HTT, HTTConfig

Rows = list[tuple[str, str]]
Ways = tuple[tuple[str, str, dict[str, str]], ...]
"""Title, name in `htt_ways`, environment."""

# Blocks of 4 GB and less come from the heap, which is never given back.
_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_TOP_PAD_": str(2**26)}
_FORWARD: Ways = (
    ("plain float32, whole clip", "plain", {}),
    ("  with large blocks kept (MALLOC_...)", "plain", _KEPT),
    ("ours, float32", "float32", {}),
    ("ours, bfloat16 backbone", "bfloat16", {}),
    ("ours, int8 backbone (ONNX)", "int8", {}),
)
_STEP: Ways = (
    ("training step, plain float32", "plain_step", {}),
    ("  with large blocks kept (MALLOC_...)", "plain_step", _KEPT),
    ("ours, bfloat16 backbone in chunks", "step", {}),
    ("  recomputed in the backward pass", "recomputing_step", {}),
)


def measure_htt(weights: Path | None, repetitions: int, training: bool) -> tuple[str, Rows]:
    """Median seconds of each way, in turns, each time in a fresh process that is warmed up by one run.

    Args:
        weights: folder of weights; by default random ones in the full-size network with the classes of H2O.
        repetitions: runs of each way.
        training: time training steps, too.

    Raises:
        InputError: weights that cannot be used, or no repetition.
    """
    if repetitions < 1:
        raise InputError(f"the number of repetitions must be at least 1, found {repetitions}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = _prepare(folder, weights)
        rows = _rows(folder, _FORWARD, repetitions)
        if training:
            rows += _rows(folder, _STEP, repetitions)
    width, height = config.image_size
    kind = "random weights" if weights is None else str(weights)
    return f"HTT, one clip of {config.clip_frames} frames at {width} x {height}, {kind}, median of {repetitions}", rows


def _prepare(folder: Path, weights: Path | None) -> HTTConfig:
    """Weights, the int8 file and a clip, for all ways to read."""
    if weights is None:
        torch.manual_seed(0)
        names = tuple(f"action {k}" for k in range(36)), tuple(f"object {k}" for k in range(8))
        save_pretrained(HTT(HTTConfig(*names)), folder / "weights")
    else:
        read_config(weights.expanduser())
        shutil.copytree(weights.expanduser(), folder / "weights")
    model = load_pretrained(HTT, HTTConfig, folder / "weights")
    clip = _clip(model.config.clip_frames, model.config.image_size)
    np.save(folder / "clip.npy", clip)
    exported = quantised(onnx_of(model), clip[::8])
    exported.metadata_props.add(key=CONFIG_KEY, value=json_text(read_config(folder / "weights")["config"]))
    (folder / "int8.onnx").write_bytes(exported.SerializeToString())
    return model.config


def _clip(frames: int, size: tuple[int, int]) -> UInt8[np.ndarray, "T H W 3"]:
    """Made-up pictures: smooth blobs, and some noise."""
    random = np.random.default_rng(0)
    return np.stack(
        [
            cv2.resize(random.integers(0, 256, (9, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
            // 8
            * 7
            + random.integers(0, 32, (size[1], size[0], 3), dtype=np.uint8)
            for _ in range(frames)
        ]
    )


def _rows(folder: Path, ways: Ways, repetitions: int) -> Rows:
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}
    for _ in range(repetitions):
        for title, way, environment in ways:
            measured = _run(folder, way, environment)
            seconds.setdefault(title, []).append(measured["seconds"])
            peaks.setdefault(title, []).append(measured["peak_mb"])
    first = median(seconds[ways[0][0]])
    second = median(seconds[ways[1][0]])
    rows = []
    for title, way, _ in ways:
        taken = median(seconds[title])
        ratios = f"{first / taken:5.2f} x plain, {second / taken:5.2f} x kept"
        row = f"{taken:6.2f} s  {ratios}  {median(peaks[title]):6.0f} MB"
        rows.append((title, row + _difference(folder, ways[0][1], way)))
    return rows


def _run(folder: Path, way: str, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "handloom.benchmarks.htt_ways", way, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        last = (done.stderr.strip() or f"it ended with {done.returncode}, perhaps out of memory").splitlines()[-1]
        raise InputError(f"the benchmark of {way!r} failed: {last}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _difference(folder: Path, reference: str, way: str) -> str:
    """How far the outputs are from the plain ones."""
    if way == reference:
        return ""
    expected, found = np.load(folder / f"{reference}.npz"), np.load(folder / f"{way}.npz")
    if "loss" in expected:
        return f"  loss {float(found['loss']):.4g} for {float(expected['loss']):.4g}"
    apart = np.linalg.norm(found["joints_m"] - expected["joints_m"], axis=-1)
    most = max(float(np.abs(found[name] - expected[name]).max()) for name in ("objects", "action"))
    return f"  joints {1000 * apart.mean():.2g} mm, probabilities {most:.1g}"
