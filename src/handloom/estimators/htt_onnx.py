"""HTT computed by ONNX Runtime from one exported file; torch is not needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from jaxtyping import Bool, Float, UInt8
from onnx.utils import Extractor

from handloom.errors import InputError
from handloom.estimators.htt_network import HTTLayout, HTTPoses

CONFIG_KEY = "handloom.htt"
"""The metadata property that holds the network's config as JSON."""

_STEPS = (
    # Of `valid`, the graph takes the numbers of clips and frames here.
    (("images", "valid"), ("features",)),
    (
        ("features", "valid", "intrinsics"),
        ("keypoints_px", "joints_m", "object_probabilities", "action_tokens"),
    ),
    (("action_tokens", "valid"), ("action_probabilities",)),
)
CHUNK = 8
"""Pictures that go through the backbone together."""


class OnnxHTT:
    """An exported network on the CPU. The file holds the whole of it; here it is cut at its two narrow places.

    Args:
        path: what `handloom export htt` wrote.
        threads: by default one per core.

    Raises:
        InputError: missing, damaged, or no exported HTT.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        try:
            model = onnx.load(str(path))
            properties = {item.key: item.value for item in model.metadata_props}
            self.layout = HTTLayout.of(json.loads(properties[CONFIG_KEY]))
            extractor = Extractor(model)
            parts = [extractor.extract_model(list(inputs), list(outputs)) for inputs, outputs in _STEPS]
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.log_severity_level = 3
            self._features, self._poses, self._action = (
                onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
                for part in parts
            )
        except KeyError:
            raise InputError(f"{path} is no HTT that Handloom exported; write one with: handloom export htt") from None
        except Exception as failure:  # protobuf's, onnx's and onnxruntime's errors have no common base
            raise InputError(f"{path} is damaged, or no exported HTT: {str(failure).splitlines()[0]}") from failure
        kind = "int8" if any(node.op_type == "DequantizeLinear" for node in model.graph.node) else "float32"
        self.name = f"htt (onnxruntime {onnxruntime.__version__}, cpu, {kind})"

    def features(self, pictures: UInt8[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N width"]:
        """See `HTTNetwork`."""
        images = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))[None]
        parts = [images[:, start : start + CHUNK] for start in range(0, images.shape[1], CHUNK)]
        valid = [np.ones(part.shape[:2], np.bool_) for part in parts]
        return np.concatenate([_run(self._features, images=a, valid=b)[0][0] for a, b in zip(parts, valid)])

    def poses(
        self,
        features: Float[np.ndarray, "B T width"],
        valid: Bool[np.ndarray, "B T"],
        intrinsics: Float[np.ndarray, "3 3"],
    ) -> HTTPoses:
        """See `HTTNetwork`."""
        K = np.repeat(intrinsics[None].astype(np.float32), len(features), 0)
        return HTTPoses(*_run(self._poses, features=features, valid=valid, intrinsics=K))

    def action(
        self, tokens: Float[np.ndarray, "B T dim"], valid: Bool[np.ndarray, "B T"]
    ) -> Float[np.ndarray, "B actions"]:
        """See `HTTNetwork`."""
        return np.asarray(_run(self._action, action_tokens=tokens, valid=valid)[0])


def _run(session: Any, **inputs: np.ndarray) -> list[np.ndarray]:
    return list(session.run(None, inputs))
