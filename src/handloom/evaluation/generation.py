"""Generated motion scored: FID, diversity and error over the windows of G-HTT's evaluation (section 4.2)."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from handloom.datasets.motions import FRAME_RATE, MotionRecording
from handloom.datasets.windows import OBSERVED, prediction_windows
from handloom.errors import InputError
from handloom.forecast.against import errors_of
from handloom.forecast.forecaster import SPREAD, Forecaster
from handloom.forecast.paths import device_of, whole_hands
from handloom.formats.weights import WEIGHTS
from handloom.geometry.motion_features import HandMotion, hand_motion, joints_from_features
from handloom.metrics.means import known_mean
from handloom.metrics.motion import frechet_distance, pairwise_diversity
from handloom.models.ghtt_action import ActionBlock
from handloom.models.motion_recogniser import MotionRecogniser
from handloom.models.posegpt import HALVING, PoseGPT
from handloom.resampling import evenly_chosen

SAMPLES = 20
AT_ONCE = 64


class Window(NamedTuple):
    """16 observed frames of a labelled segment, and those that follow it to the end, 96 at most.

    Attributes:
        recording: where.
        start: first observed frame.
        frames: number of future frames.
        phase: clips of the action before.
        label, noun: of the action.
    """

    recording: MotionRecording
    start: int
    frames: int
    phase: int
    label: str
    noun: str

    @property
    def observed(self) -> HandMotion:
        """The observed frames, as a sequence of their own."""
        return self.recording.motion.part(slice(self.start, self.start + OBSERVED))


class GenerationScore(NamedTuple):
    """FID; APD of left and right hand and wrist ADE of the first sample, metres (NaN for one sample: no diversity)."""

    fid: float
    apd: tuple[float, float]
    ade: float


Generate = Callable[[Window], Float[np.ndarray, "samples frames 2 21 3"]]


def evaluation_windows(
    recordings: Sequence[MotionRecording], min_window_s: float, most: int | None = None
) -> list[Window]:
    """The windows of all labelled segments, evenly chosen if there are more than `most`.

    Raises:
        InputError: there is none.
    """
    windows = []
    for recording in recordings:
        for segment in recording.segments:
            places = prediction_windows(segment.start, segment.end, FRAME_RATE, min_window_s)
            for frames, valid in zip(*places):
                start, future = int(frames[0]), int(valid.sum()) - OBSERVED
                present = recording.motion.present[start : start + OBSERVED]
                if future >= HALVING and present.any(0).all():
                    phase = (start - segment.start) // OBSERVED
                    windows.append(Window(recording, start, future, phase, segment.label, segment.noun))
    if not windows:
        raise InputError(f"no labelled segment with both hands lasts {min_window_s:g} s; there is nothing to predict")
    return windows if most is None else evenly_chosen(windows, most)


def by_path(forecaster: Forecaster, path: str, samples: int = SAMPLES) -> Generate:
    """G-HTT's own ways: P.a, or P.b with the true object."""

    def generate(window: Window) -> Float[np.ndarray, "samples frames 2 21 3"]:
        if path == "a":
            return forecaster.predict(window.observed, window.frames, samples, "a")[0]
        assert forecaster.recogniser is not None
        names = forecaster.recogniser.action.config.objects
        noun = np.array([names.index(window.noun) if window.noun in names else -1])
        return forecaster.predict(window.observed, window.frames, samples, "b", noun, phase=window.phase)[0]

    return generate


def by_flattened(
    block: ActionBlock, forecaster: Forecaster, spread: float = SPREAD, samples: int = SAMPLES
) -> Generate:
    """The model without mid-level: all future frames at once."""

    @torch.inference_mode()
    def generate(window: Window) -> Float[np.ndarray, "samples frames 2 21 3"]:
        observed, device = window.observed, device_of(block)
        names = block.config.objects
        row = names.index(window.noun) if window.noun in names else -1
        vector = block.object_vectors[row] if row >= 0 else torch.zeros_like(block.object_vectors[0])
        first = window.phase * OBSERVED
        phase = torch.arange(first, first + OBSERVED, device=device)[None]
        known = torch.tensor(observed.known.reshape(1, OBSERVED, -1), device=device)
        features = torch.tensor(observed.features[None], dtype=torch.float32, device=device)
        seen = torch.ones(1, OBSERVED, dtype=torch.bool, device=device)
        encoded = block.encode(features, vector.expand(1, OBSERVED, -1), phase, seen, known)
        many = type(encoded)(*(value.expand(samples, *value.shape[1:]) for value in encoded))
        rng = np.random.Generator(np.random.Philox(0))
        noise = rng.normal(size=(samples, block.config.dim)).astype(np.float32)
        noise[0] = 0
        ahead = torch.arange(first + OBSERVED, first + OBSERVED + window.frames, device=device).expand(samples, -1)
        latent = many.sample(torch.from_numpy(noise).to(device), spread)
        out = block.decode(latent, ahead, torch.ones_like(ahead, dtype=torch.bool), many)
        joints_known = np.broadcast_to(observed.known.any(0).reshape(1, 1, -1), (samples, window.frames, 42))
        return from_base(observed, whole_hands(forecaster.pose, out, joints_known))

    return generate


def by_posegpt(model: PoseGPT, forecaster: Forecaster, samples: int = SAMPLES) -> Generate:
    """PoseGPT, told the true action and length; the observed frames are its first words."""

    @torch.inference_mode()
    def generate(window: Window) -> Float[np.ndarray, "samples frames 2 21 3"]:
        observed, device = window.observed, device_of(model)
        if window.label not in model.config.actions:
            raise InputError(f"PoseGPT was not trained on the action {window.label!r}")
        features = torch.tensor(observed.features[None], dtype=torch.float32, device=device)
        known = torch.tensor(observed.known.reshape(1, OBSERVED, -1), device=device)
        words = model.codec.encode(features, known).indices.expand(samples, -1, -1)
        row = model.config.actions.index(window.label)
        action = model.action_vectors[row].expand(samples, -1)
        length = torch.full((samples,), OBSERVED + window.frames, device=device)
        steps = -(-window.frames // HALVING)
        generator = torch.Generator(device=device).manual_seed(0)
        more = model.continue_codes(action, length, words, steps, generator=generator)
        decoded = model.codec.decode(model.codec.look_up(torch.cat([words, more], 1)))
        ahead = decoded[:, OBSERVED : OBSERVED + window.frames]
        joints_known = np.broadcast_to(observed.known.any(0).reshape(1, 1, -1), (samples, window.frames, 42))
        return from_base(observed, whole_hands(forecaster.pose, ahead, joints_known))

    return generate


def from_base(
    observed: HandMotion, features: Float[np.ndarray, "samples frames 153"]
) -> Float[np.ndarray, "samples frames 2 21 3"]:
    """Joints of features that go on from the last observed frame."""
    size = np.array([observed.sizes_m[observed.present[:, hand], hand].mean() for hand in range(2)])
    return np.asarray(joints_from_features(features, observed.camera_from_hand[-1], size[None]))


def score_generation(
    windows: Sequence[Window],
    models: Mapping[str, Generate],
    recogniser: MotionRecogniser,
    progress: Callable[[str, int, int | None], None] = lambda stage, done, total: None,
) -> dict[str, GenerationScore]:
    """Scores of models on the same windows. The features of the truth are those of the true windows.

    Each generated motion has its 16 observed frames in front, as the true one has (section 4.2, and the released code).
    """
    true_features = motion_features(
        recogniser, [_joined(w, w.recording.joints_m[None, _future(w)])[0] for w in windows]
    )
    scores = {}
    for name, generate in models.items():
        motions: list[HandMotion] = []
        apd, ade = [], []
        for done, window in enumerate(windows, 1):
            samples = generate(window)
            truth = window.recording.joints_m[_future(window)]
            valid = np.isfinite(truth).all(-1) & np.isfinite(samples[0]).all(-1)
            motions += _joined(window, samples)
            apd.append(pairwise_diversity(samples, valid))
            ade.append(errors_of(samples[:1], truth, valid).ade)
            progress("evaluate", done, len(windows))
        fid = frechet_distance(motion_features(recogniser, motions), true_features)
        left, right = known_mean(np.stack(apd))
        scores[name] = GenerationScore(fid, (float(left), float(right)), float(known_mean(np.stack(ade).ravel())))
    return scores


@torch.inference_mode()
def motion_features(recogniser: MotionRecogniser, motions: Sequence[HandMotion]) -> Float[np.ndarray, "n dim"]:
    """The recogniser's feature of every motion."""
    device, parts = device_of(recogniser), []
    for start in range(0, len(motions), AT_ONCE):
        chosen = motions[start : start + AT_ONCE]
        longest = max(len(motion.present) for motion in chosen)
        features, known = np.zeros((len(chosen), longest, 153), np.float32), np.zeros((len(chosen), longest, 42), bool)
        seen = np.zeros((len(chosen), longest), bool)
        for k, motion in enumerate(chosen):
            count = len(motion.present)
            features[k, :count], known[k, :count] = motion.features, motion.known.reshape(count, -1)
            seen[k, :count] = True
        given = (torch.from_numpy(array).to(device) for array in (features, known, seen))
        parts.append(recogniser(*given).cpu().numpy().astype(np.float64))
    return np.concatenate(parts)


def weights_hash(folder: Path) -> str:
    """What tells one recogniser from another in a table."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:12]


def _future(window: Window) -> slice:
    return slice(window.start + OBSERVED, window.start + OBSERVED + window.frames)


def _joined(window: Window, samples: Float[np.ndarray, "samples frames 2 21 3"]) -> list[HandMotion]:
    past = window.recording.joints_m[window.start : window.start + OBSERVED]
    return [hand_motion(np.concatenate([past, sample])) for sample in samples]
