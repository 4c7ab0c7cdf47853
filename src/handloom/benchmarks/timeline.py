"""`handloom bench timeline`: HTT's actions on recordings that are not cut."""

from pathlib import Path

from handloom.datasets.classes import choose_camera
from handloom.datasets.store import Store
from handloom.estimators.htt_network import load_network
from handloom.evaluation.timeline import score_timeline
from handloom.formats.weights_config import weights_folder
from handloom.metrics.segments import OVERLAP
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.weights import HTT


def measure_timeline(
    store: Path, weights: Path | None, split: str, camera: str | None, limit: int | None, progress: Progress = silent
) -> tuple[str, Rows]:
    """Frames and segments that are right. Raises InputError as `score_timeline`."""
    data = Store(store)
    chosen = choose_camera(data, camera)
    network = load_network(weights_folder(HTT if weights is None else weights))
    score = score_timeline(network, data, chosen, split, limit, progress)
    segments = score.segments
    return f"Timelines of {score.recordings} recordings, camera {chosen}", [
        ("frames of the right action", f"{100 * score.right / score.labelled:.1f} % of {score.labelled}"),
        (f"actions found (overlap of {OVERLAP:g})", f"{100 * segments.recall:.1f} % of {segments.true}"),
        ("segments that are right", f"{100 * segments.precision:.1f} % of {segments.found}"),
        (f"F1@{100 * OVERLAP:.0f}", f"{100 * segments.f1:.1f} %"),
    ]
