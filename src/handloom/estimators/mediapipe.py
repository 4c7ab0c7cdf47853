"""MediaPipe Hands, with the models that its wheel carries."""

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from handloom.errors import MissingDependencyError
from handloom.estimators.detections import Detection

BLANK = np.zeros((64, 64, 3), np.uint8)

# Two threads that redirect at once would each restore what the other had put in place.
_STDERR_LOCK = threading.Lock()


class MediaPipeDetector:
    """Detects hands frame by frame; MediaPipe follows each hand from the last frame, so feed frames in order.

    Pictures must not be mirrored. MediaPipe names hands as seen in a mirror; this class turns that round.

    Args:
        min_confidence: threshold of both the palm detector and the tracker, 0 ... 1.
        max_hands: the most hands that are looked for in a picture.

    Raises:
        MissingDependencyError: MediaPipe is not installed (there is no wheel with models for Python 3.13).
    """

    def __init__(self, min_confidence: float = 0.5, max_hands: int = 2):
        mediapipe = _import_mediapipe()
        with _silenced_stderr():
            self._hands = mediapipe.solutions.hands.Hands(
                static_image_mode=False,
                max_num_hands=max_hands,
                min_detection_confidence=min_confidence,
                min_tracking_confidence=min_confidence,
            )
            # The graph writes its start-up log lines on the first frame; let it do so in silence.
            self.reset()

    def detect(self, image: UInt8[np.ndarray, "H W 3"]) -> list[Detection]:
        """Hands in one RGB picture."""
        found = self._hands.process(image)
        if not found.multi_hand_landmarks:
            return []
        size = np.array([image.shape[1], image.shape[0]], np.float32)
        detections = []
        for landmarks, world, handedness in zip(
            found.multi_hand_landmarks, found.multi_hand_world_landmarks, found.multi_handedness
        ):
            normalised = _coordinates(landmarks)
            label = handedness.classification[0]
            detections.append(
                Detection(
                    # MediaPipe's 0 is the outer edge of the first pixel; ours is that pixel's centre.
                    keypoints_px=normalised[:, :2] * size - 0.5,
                    depth_px=normalised[:, 2] * size[0],
                    world_m=_coordinates(world),
                    score=float(label.score),
                    right_probability=float(label.score if label.label == "Left" else 1 - label.score),
                )
            )
        return detections

    def reset(self) -> None:
        """Forget all earlier pictures.

        A blank picture loses every hand that is followed, and nothing else carries over. MediaPipe's own reset
        starts the graph anew, log lines included.
        """
        self._hands.process(BLANK)

    def close(self) -> None:
        """Free the graph."""
        self._hands.close()

    def __enter__(self) -> "MediaPipeDetector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mediapipe_name() -> str:
    """Name and version of the estimator, for records. Raises MissingDependencyError."""
    return f"mediapipe {_import_mediapipe().__version__}"


def _coordinates(landmarks: Any) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in landmarks.landmark], np.float32)


def _import_mediapipe() -> Any:
    # For good, since detectors run in threads, where a temporary filter would hold for all of them.
    warnings.filterwarnings("ignore", "SymbolDatabase.GetPrototype", UserWarning)
    try:
        import mediapipe
    except ImportError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise MissingDependencyError(
            f"the mediapipe estimator needs the package mediapipe (>=0.10.14, <0.10.22), which cannot be imported in "
            f"Python {version} ({error}); it has wheels for Python 3.11 and 3.12. Use one of these, or take another "
            "tracker's joints with --estimator joints"
        ) from error
    return mediapipe


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: MediaPipe's C++ side logs there and knows no other switch."""
    with _STDERR_LOCK:
        sys.stderr.flush()
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
