"""A trained HTT as one ONNX file, in float32 or with an 8-bit backbone, checked against PyTorch.

Inputs: images (clips, frames, 3, H, W) uint8 RGB, valid (clips, frames) bool, intrinsics (clips, 3, 3) float32 of these
pictures. Outputs: keypoints_px, joints_m, object_probabilities, action_probabilities; and the two narrow places where
the network can be cut, features and action_tokens. Clips and frames are free, frames up to the network's clip_frames.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from handloom import __version__
from handloom.errors import InputError, OutputError
from handloom.estimators.htt_network import HTTNetwork
from handloom.estimators.htt_onnx import CONFIG_KEY, OnnxHTT
from handloom.estimators.htt_quantise import quantised
from handloom.estimators.htt_torch import TorchHTT
from handloom.formats.atomic import json_text, replacing
from handloom.formats.weights import load_pretrained
from handloom.geometry import Pinhole
from handloom.models.htt import HTT, HTTConfig

OPSET = 18
OUTPUTS = ("keypoints_px", "joints_m", "object_probabilities", "action_probabilities", "features", "action_tokens")
TOLERANCE_M = 1e-4
"""Joints of a float32 export may differ from PyTorch's by so much; rounding gives about 1e-6."""

Rows = list[tuple[str, str]]


class _Whole(nn.Module):
    """HTT with all that the file gives out."""

    def __init__(self, model: HTT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, valid: Tensor, intrinsics: Tensor) -> tuple[Tensor, ...]:
        """In the order of `OUTPUTS`."""
        model = self.model
        features = model.features(images.flatten(0, 1)).reshape(*valid.shape, -1)
        reduced = model.reduce(features)
        pose = model.estimate_poses(reduced, valid)
        keypoints, _, joints = model.decode(pose.raw, intrinsics)
        tokens = model.action_input(reduced, pose)
        action = model.recognise(tokens, valid).softmax(-1)
        return keypoints, joints, pose.object_logits.softmax(-1), action, features, tokens


def export_htt(
    weights: Path, out: Path, int8: bool = False, calibration: Sequence[str] = (), overwrite: bool = False
) -> tuple[str, Rows]:
    """`handloom export htt`: write the file, and say how far it is from PyTorch; title and rows for the terminal.

    Args:
        weights: folder of weights.
        out: the .onnx file.
        int8: compute the backbone in 8-bit integers.
        calibration: videos, pictures or stores; their pictures set the ranges of int8 and serve for the comparison.
        overwrite: replace a file that is there.

    Raises:
        InputError: weights or calibration that cannot be used.
        OutputError: the file is there already, cannot be written, or disagrees with PyTorch.
    """
    from handloom.estimators.calibration import calibration_pictures

    out = out.expanduser()
    if out.suffix != ".onnx":
        raise InputError(f"the file to export must end in .onnx, found {out}")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is there already; choose another name or add --overwrite")
    if int8 and not calibration:
        raise InputError("int8 needs pictures to find its ranges: --calibration VIDEO, of the kind that it will see")
    model = load_pretrained(HTT, HTTConfig, weights.expanduser())
    size = model.config.image_size
    # Evenly spread ones for the ranges, and those half-way between for the comparison.
    pictures = calibration_pictures(calibration, size) if calibration else _noise(size)
    exported = onnx_of(model)
    if int8:
        exported = quantised(exported, pictures[::2])
    exported.metadata_props.add(key=CONFIG_KEY, value=json_text(asdict(model.config)))
    exported.producer_name, exported.producer_version = "handloom", __version__
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "htt.onnx"
        draft.write_bytes(exported.SerializeToString())
        rows = compare(model, draft, pictures[1::2], exact=not int8)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as part:
        part.write_bytes(exported.SerializeToString())
    kind = "int8 backbone, the rest float32" if int8 else "float32"
    return f"Exported {out}", [
        ("file", f"{out.stat().st_size / 1e6:.1f} MB, ONNX opset {OPSET}, {kind}"),
        ("compared on", f"{len(pictures[1::2])} pictures of {', '.join(calibration) if calibration else 'noise'}"),
        *rows,
    ]


def onnx_of(model: HTT) -> onnx.ModelProto:
    """The network as an ONNX graph, weights inside."""
    width, height = model.config.image_size
    frames = min(model.config.clip_frames, model.config.pose_window + 1)
    given = (
        torch.zeros(2, frames, 3, height, width, dtype=torch.uint8),
        torch.ones(2, frames, dtype=torch.bool),
        torch.eye(3).repeat(2, 1, 1),
    )
    free = torch.export.Dim.DYNAMIC
    # The exporter tells its steps, and what other libraries it misses, on both channels.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Whole(model).eval(),
            given,
            input_names=["images", "valid", "intrinsics"],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: free, 1: free}, {0: free, 1: free}, {0: free}),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    # The exporter knows that clips and frames of all inputs are equal and reads them off any; to be cut at the
    # features, the graph must read them off `valid`.
    for node in proto.graph.node:
        if node.op_type == "Shape" and node.input[0] == "images":
            node.input[0] = "valid"
    # Symbolic lengths come out as formulas over internal names, in which some readers stumble.
    for value in (*proto.graph.input, *proto.graph.output):
        axes = value.type.tensor_type.shape.dim
        for axis, name in zip(axes[:2], ("clips", "frames")):
            if axis.dim_param:
                axis.dim_param = name
    return proto


def compare(model: HTT, path: Path, pictures: UInt8[np.ndarray, "N H W 3"], exact: bool) -> Rows:
    """How far the file's answers are from PyTorch's in float32, on the pictures as one sequence and as short clips.

    Raises:
        OutputError: `exact`, and they are further apart than rounding explains.
    """
    width, height = model.config.image_size
    K = Pinhole.from_fov(width, height, 90).matrix
    ours: HTTNetwork = TorchHTT(model, "cpu", "float32")
    file: HTTNetwork = OnnxHTT(path)
    features = ours.features(pictures), file.features(pictures)
    apart, objects, actions = [], [], []
    for frames in sorted({1, model.config.pose_window + 1, min(len(pictures), model.config.clip_frames)}):
        clips = list(range(0, len(pictures) - frames + 1, frames))
        if not clips:
            continue
        valid = np.ones((len(clips), frames), np.bool_)
        one, two = (
            network.poses(np.stack([values[start : start + frames] for start in clips]), valid, K)
            for network, values in zip((ours, file), features)
        )
        apart.append(np.linalg.norm(one.joints_m - two.joints_m, axis=-1).ravel())
        objects.append((one.object_probabilities.argmax(-1) == two.object_probabilities.argmax(-1)).ravel())
        actions.append(ours.action(one.tokens, valid).argmax(-1) == file.action(two.tokens, valid).argmax(-1))
    joints, same_object, same_action = (np.concatenate(values) for values in (apart, objects, actions))
    if exact and not joints.max() < TOLERANCE_M:
        raise OutputError(
            f"the exported network's joints differ from PyTorch's by {1000 * joints.max():.3g} mm; nothing was written"
        )
    return [
        ("joints", f"mean {1000 * joints.mean():.2g} mm, at most {1000 * joints.max():.2g} mm from PyTorch float32"),
        ("same object", f"{100 * same_object.mean():.1f} % of the frames"),
        ("same action", f"{100 * same_action.mean():.1f} % of the clips"),
    ]


def _noise(size: tuple[int, int]) -> UInt8[np.ndarray, "N H W 3"]:
    return np.random.default_rng(0).integers(0, 256, (40, size[1], size[0], 3), dtype=np.uint8)
