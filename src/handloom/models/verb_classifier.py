"""MS-G3D that knows which verbs it names, and what it is shown of a segment."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from handloom.models.msg3d import MSG3D, MSG3DConfig


@dataclass(frozen=True)
class VerbClassifierConfig:
    """The defaults are Assembly101's.

    Attributes:
        verbs: names of the classes.
        frames, step: it is shown so many frames, each `step` frames of 1/30 s after the other; shorter segments are
            looped, longer ones cut.
        context: frames of 1/30 s on both sides of a segment that belong to it.
        centred: positions are counted from where the hands begin.
        scales, window_scales, windows, widths: see `MSG3DConfig`.
    """

    verbs: tuple[str, ...]
    frames: int = 200
    step: int = 1
    context: int = 25
    centred: bool = False
    scales: int = 13
    window_scales: int = 6
    windows: tuple[int, ...] = (3, 5)
    widths: tuple[int, int, int] = (96, 192, 384)


class VerbClassifier(nn.Module):
    """Two hands over time, in millimetres, to scores of verbs."""

    def __init__(self, config: VerbClassifierConfig) -> None:
        super().__init__()
        self.config = c = config
        shape = {name: getattr(c, name) for name in ("scales", "window_scales", "windows", "widths")}
        self.network = MSG3D(MSG3DConfig(len(c.verbs), **shape))

    def forward(self, hands: Float[Tensor, "N 3 T 21 2"]) -> Float[Tensor, "N verbs"]:
        """Scores."""
        scores: Tensor = self.network(hands)
        return scores
