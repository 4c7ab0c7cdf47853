"""The folder of one stage of training: what is trained, its log, its checkpoints, the result."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handloom.errors import InputError
from handloom.formats.atomic import json_text, make_folder, write_text
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights_config import TRAINING
from handloom.training.checkpoint import Place, checkpoints

ABOUT, LOG, CURVES, MODEL = TRAINING, "log.csv", "curves.html", "model"


@dataclass(frozen=True)
class RunFolder:
    """Where a stage is written.

    `model/` appears last: where it is, the stage is finished.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The finished weights."""
        return self.path / MODEL

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    @property
    def finished(self) -> bool:
        """Whether the stage is done."""
        return self.model.is_dir()

    def begin(self, about: dict[str, Any]) -> Path | None:
        """Write down what is trained, or make sure that it is what was begun here.

        Returns:
            The checkpoint to go on from, None at the beginning.

        Raises:
            InputError: the folder holds a training of something else; says what differs.
        """
        described = parse_json(self.path, json_text(about))
        make_folder(self.path)
        path = self.path / ABOUT
        if path.exists():
            begun = parse_json(path, read_text(path))
            if differences := _differences(begun, described):
                raise InputError(
                    f"{self.path} holds a training with other settings ({'; '.join(differences[:4])}"
                    f"{'; ...' if len(differences) > 4 else ''}); go on with the same, or choose another folder"
                )
        else:
            write_text(path, json_text(about, indent=2) + "\n")
        return checkpoints(self.checkpoints)[-1] if checkpoints(self.checkpoints) else None

    def cut_log(self, place: Place) -> None:
        """Forget what the log says of steps behind a checkpoint: they will be done again."""
        path = self.path / LOG
        if not path.exists():
            return
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= place.step]
        write_text(path, "".join(",".join(row) + "\n" for row in [rows[0], *kept]))

    def log(self, place: Place, steps_per_epoch: int, split: str, values: dict[str, float], names: list[str]) -> None:
        """Add a row to the log; values that are not there stay empty."""
        path = self.path / LOG
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["step", "epoch", "wall_s", "split", *names])
            epoch = place.step / steps_per_epoch
            row = [f"{values[name]:.6g}" if name in values else "" for name in names]
            writer.writerow([place.step, f"{epoch:.4f}", f"{place.wall_s:.1f}", split, *row])


def _differences(begun: Any, wanted: Any, name: str = "") -> list[str]:
    if isinstance(begun, dict) and isinstance(wanted, dict):
        found: list[str] = []
        for key in sorted({*begun, *wanted}):
            found += _differences(begun.get(key), wanted.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if begun == wanted else [f"{name}: begun with {_short(begun)}, now {_short(wanted)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
