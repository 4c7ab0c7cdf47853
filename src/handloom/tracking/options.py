"""What a user can choose when tracking: the keyword arguments of `handloom.track` and the flags of the command."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from handloom.errors import InputError
from handloom.estimators.detections import least_score
from handloom.estimators.htt_network import Device, Precision
from handloom.weights import HTT as PACKAGED

MIN_CUTOFF_HZ = 0.01


@dataclass(frozen=True)
class TrackOptions:
    """How to track.

    Attributes:
        estimator: who finds the hands: "mediapipe"; "htt", a trained network that also names objects and actions;
            "ghtt", a trained network on single pictures that also names objects, for refine, recognise and forecast;
            "svegonet", a trained network on crops of single hands, which a detector finds and it follows; or "joints"
            for another tracker's stored joints.
        weights: for the estimator "htt": folder of weights, or an exported .onnx file; by default those of the
            package, which know simulated hands alone. For "ghtt" and "svegonet": folder of a run or of weights; there
            are none in the package.
        detector: for "svegonet": folder of a run of train hand-detector, or of its weights, which finds the hands; by
            default MediaPipe does.
        device: where a network computes; "auto" is CUDA, else MPS, else the CPU.
        precision: of htt's backbone; "auto" is bfloat16 where the processor has it.
        trimmed: the video shows one single action: htt names it by a vote over the whole video.
        joints: file of stored 2D or 3D joints (JSON, NPZ or Parquet), for the estimator "joints".
        joint_order: joint order of that file (mediapipe, mano, openxr, fpha, assemblyhands, ...), if it does not say.
        joint_unit: length unit of that file (m, cm, mm), if it does not say.
        joint_space: what 3D joints of that file are relative to (camera, world, root_relative), if it does not say.
        camera: calibration file: JSON or YAML of Handloom, OpenCV or ROS, H2O's cam_intrinsics.txt, or .dat; or the
            store that the video belongs to.
        camera_name: which camera of a calibration file or store that holds several.
        rescale_camera: accept a calibration made at another resolution of the same picture.
        fov: horizontal field of view in degrees, where there is no calibration.
        hand_size_mm: true distance from wrist to middle knuckle; fixes the metric scale.
        mirrored: the video shows a mirror image (selfie camera); it is turned round first.
        min_confidence: the detector's threshold, 0 to 1; by default 0.5 for MediaPipe, 0.3 for a trained one.
        smooth_hz: remove motion faster than this many hertz; off by default. 6 is gentle, 2 is strong. Zero-phase
            for recordings, One-Euro for live input.
        constant_bones: give every bone its median length over the clip.
        image_rate: frames per second of an image folder.
        live: keep up with a stream: drop late frames and count them. Webcams always do.
        max_frames: stop after so many frames.
        workers: detectors that work side by side on a recording; by default one per core, at most 4. The result
            does not depend on it.
    """

    estimator: Literal["mediapipe", "htt", "ghtt", "svegonet", "joints"] = "mediapipe"
    weights: Path | None = None
    detector: Path | None = None
    device: Device = "auto"
    precision: Precision = "auto"
    trimmed: bool = False
    joints: Path | None = None
    joint_order: str | None = None
    joint_unit: Literal["m", "cm", "mm"] | None = None
    joint_space: Literal["camera", "world", "root_relative"] | None = None
    camera: Path | None = None
    camera_name: str | None = None
    rescale_camera: bool = False
    fov: float | None = None
    hand_size_mm: float | None = None
    mirrored: bool = False
    min_confidence: float | None = None
    smooth_hz: float | None = None
    constant_bones: bool = False
    image_rate: float = 30.0
    live: bool = False
    max_frames: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("joints", "camera", "weights", "detector"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, path.expanduser())
        for name in ("fov", "hand_size_mm", "min_confidence", "smooth_hz", "image_rate"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
                raise InputError(f"{name} must be a finite number, found {value!r}")
        if self.estimator not in ("mediapipe", "htt", "ghtt", "svegonet", "joints"):
            raise InputError(
                f'the estimator must be "mediapipe", "htt", "ghtt", "svegonet" or "joints", found {self.estimator!r}'
            )
        self._check_networks()
        if self.camera is not None and self.fov is not None:
            raise InputError("give a camera file or a field of view, not both")
        if self.fov is not None and not 1 <= self.fov < 180:
            raise InputError(f"the field of view must lie between 1 and 180 degrees, found {self.fov:g}")
        if self.hand_size_mm is not None and not 20 <= self.hand_size_mm <= 200:
            raise InputError(
                "the hand size is the distance from wrist to middle knuckle, about 70 to 110 mm; "
                f"found {self.hand_size_mm:g}"
            )
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise InputError(f"the confidence threshold must lie between 0 and 1, found {self.min_confidence:g}")
        if self.smooth_hz is not None and not self.smooth_hz >= MIN_CUTOFF_HZ:
            raise InputError(
                f"the smoothing cutoff must be a frequency of at least {MIN_CUTOFF_HZ:g} Hz, found {self.smooth_hz:g}"
            )
        if not self.image_rate > 0:
            raise InputError(f"the image rate must be positive, found {self.image_rate:g}")
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"the number of frames must be at least 1, found {self.max_frames}")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"the number of workers must be at least 1, found {self.workers}")
        if self.estimator != "joints" and (self.joints or self.joint_order or self.joint_unit or self.joint_space):
            raise InputError(
                "joints, their order, unit and space are for stored joints; add the option --estimator joints"
            )
        if self.live and self.estimator == "joints":
            raise InputError("stored joints cannot be combined with live input")

    def _check_networks(self) -> None:
        if self.estimator == "htt" and self.weights is None:
            object.__setattr__(self, "weights", PACKAGED)
        training = {"svegonet": "svegonet", "ghtt": "ghtt-image"}.get(self.estimator)
        if training is not None and self.weights is None:
            raise InputError(
                f"{self.estimator} has no weights of its own; train some with handloom train {training}, and give "
                "--weights RUN"
            )
        if training is not None and self.live:
            raise InputError(f"{self.estimator} tracks recordings; for live input use mediapipe or htt")
        if self.estimator != "svegonet" and self.detector is not None:
            raise InputError("a trained detector works for svegonet; add --estimator svegonet and --weights")
        networks = ("htt", "ghtt", "svegonet")
        if self.estimator not in networks and (self.weights or self.device != "auto"):
            raise InputError("weights and device belong to htt, ghtt and svegonet; add --estimator and one of these")
        if self.estimator != "htt" and (self.trimmed or self.precision != "auto"):
            raise InputError("precision and trimmed belong to htt; add the option --estimator htt")
        for name, known in (("device", Device), ("precision", Precision)):
            if (value := getattr(self, name)) not in get_args(known):
                raise InputError(f"{name} must be one of {', '.join(get_args(known))}, found {value!r}")

    @property
    def files(self) -> list[Path]:
        """The inputs that the options name."""
        return [path for path in (self.joints, self.camera, self.weights, self.detector) if path is not None]

    @property
    def threshold(self) -> float:
        """How sure a detector must be of a hand."""
        return least_score(self.min_confidence, self.detector is not None)

    @property
    def detector_count(self) -> int:
        """How many detectors work side by side."""
        return self.workers or min(4, os.cpu_count() or 1)
