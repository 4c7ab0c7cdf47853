"""Labels as an automatic annotation gives them, made out of exact ones: for experiments on simulated stores."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from handloom.datasets.sampler import sample_rng


@dataclass(frozen=True)
class LabelNoise:
    """How wrong labels of `handloom annotate` are: they wander more than they jump, and are worse, or missing, where a
    hand is hidden for a while. With the defaults a joint is off by 6 mm on average (annotate's 4 to 8 mm) and 4 % of
    the joints have no label.

    Attributes:
        wander_mm: standard deviation of every coordinate of what changes slowly, joint by joint.
        jump_mm: likewise of what is new in every frame.
        memory_frames: standard deviation of the Gaussian by which the former is smoothed in time.
        hidden: share of the time in which a hand is hidden from most views; both errors are then `hidden_factor` times
            as large, and each joint is missing with probability `missing`.
        hidden_factor, missing: see there.
        seed: of all chance, with the recording's number.
    """

    wander_mm: float = 2.4
    jump_mm: float = 1.2
    memory_frames: float = 8.0
    hidden: float = 0.15
    hidden_factor: float = 3.0
    missing: float = 0.25
    seed: int = 0

    def applied(
        self, joints_m: Float[np.ndarray, "T 2 21 3"], valid: Bool[np.ndarray, "T 2 21"], recording: int
    ) -> tuple[Float[np.ndarray, "T 2 21 3"], Bool[np.ndarray, "T 2 21"]]:
        """Joints and their validity with these errors; a recording has the same ones every time."""
        rng = sample_rng(self.seed, recording, 0)
        hidden = self._slow(rng, joints_m.shape[:2])
        # The highest values of a smooth random curve: stretches of about the memory's length.
        hidden = hidden > np.quantile(hidden, 1 - self.hidden) if self.hidden else np.zeros(hidden.shape, bool)
        factor = np.where(hidden, self.hidden_factor, 1.0)[..., None, None]
        off = self.wander_mm * self._slow(rng, joints_m.shape) + self.jump_mm * rng.normal(size=joints_m.shape)
        lost = hidden[..., None] & (rng.uniform(size=valid.shape) < self.missing)
        return (joints_m + off * factor / 1000).astype(joints_m.dtype), valid & ~lost

    def _slow(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """Normal numbers of deviation 1 that change slowly along the first axis."""
        ends = int(4 * self.memory_frames)
        white = rng.normal(size=(shape[0] + 2 * ends, *shape[1:]))
        smooth = gaussian_filter1d(white, self.memory_frames, axis=0)[ends : ends + shape[0]]
        # The variance that a Gaussian of this width leaves of white noise.
        return np.asarray(smooth * np.sqrt(2 * np.sqrt(np.pi) * self.memory_frames))
