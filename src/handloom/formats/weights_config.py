"""What weights are of, without reading them: config.json of their folder."""

from pathlib import Path
from typing import Any

from handloom.errors import InputError
from handloom.formats.text_files import parse_json, read_text

CONFIG, TRAINING = "config.json", "training.json"


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a weights folder. Raises InputError: missing or damaged."""
    path = folder / CONFIG
    if not path.is_file():
        require_finished(folder)
        raise InputError(f"{folder} holds no {CONFIG}; give a folder with weights, e.g. RUN/model of a training run")
    described = parse_json(path, read_text(path))
    if not (
        isinstance(described, dict)
        and isinstance(described.get("model"), str)
        and isinstance(described.get("config"), dict)
    ):
        raise InputError(f"{path} is damaged: expected an object with the fields model and config")
    return described


def weights_folder(run: Path) -> Path:
    """Where the weights of a training run are; any other folder is taken for that of the weights.

    Raises:
        InputError: the training is not finished.
    """
    if (run / "model").is_dir():
        return run / "model"
    if not (run / CONFIG).is_file():
        require_finished(run)
    return run


def require_finished(run: Path) -> None:
    """Raises InputError if the folder is that of a training without its weights yet; stages are in "1-...", "2-..."."""
    if (run / TRAINING).is_file() or next(run.glob(f"[0-9]-*/{TRAINING}"), None) is not None:
        raise InputError(f"the training {run} is not finished; the command that began it goes on with it")


def network_of(run: Path) -> str | None:
    """Name of the network in the folder of a run or of weights; None if it is none. Raises InputError: damaged."""
    for folder in (run / "model", run):
        if (folder / CONFIG).is_file():
            return str(read_config(folder)["model"])
    return None
