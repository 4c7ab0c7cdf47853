"""HTT's backbone in 8-bit integers (QDQ: every kernel reads and writes 8 bits, the graph stays portable)."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from jaxtyping import UInt8
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

_KINDS = ("Conv", "Add", "Relu", "MaxPool")
_CLIP = 4
"""Pictures that are calibrated together."""


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Calibration pictures as short clips."""

    def __init__(self, pictures: UInt8[np.ndarray, "N H W 3"]) -> None:
        self._clips = self._cut(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next clip."""
        return next(self._clips, None)

    def _cut(self, pictures: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(pictures), _CLIP):
            images = np.ascontiguousarray(pictures[start : start + _CLIP].transpose(0, 3, 1, 2))[None]
            yield {
                "images": images,
                "valid": np.ones(images.shape[:2], np.bool_),
                "intrinsics": np.eye(3, dtype=np.float32)[None],
            }


def quantised(model: onnx.ModelProto, pictures: UInt8[np.ndarray, "N H W 3"]) -> onnx.ModelProto:
    """The network with its backbone in 8 bits: weights per channel, signed; activations unsigned, as VNNI wants them.

    Ranges are the extremes over the pictures. The small blocks behind the backbone stay in float32.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, str(folder / "plain.onnx"))
        quant_pre_process(str(folder / "plain.onnx"), str(folder / "prepared.onnx"), skip_symbolic_shape=True)
        prepared = onnx.load(str(folder / "prepared.onnx"))
        logging.getLogger().setLevel(logging.ERROR)
        quantize_static(
            str(folder / "prepared.onnx"),
            str(folder / "int8.onnx"),
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(_KINDS),
            nodes_to_quantize=_backbone_nodes(prepared.graph),
        )
        return onnx.load(str(folder / "int8.onnx"))


def _backbone_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that `features` depends on and that can be quantised."""
    maker = {output: node for node in graph.node for output in node.output}
    found: dict[str, str] = {}
    waiting = ["features"]
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = node.op_type
            waiting += node.input
    return [name for name, kind in found.items() if kind in _KINDS]
