"""The contact sheet of a store shows every camera, or says how many of them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from handloom.datasets.check import check
from handloom.datasets.prepare import prepare_episodes
from handloom.errors import InputError, OutputError
from handloom.formats.episode import Episode
from made_up_store import MadeUp


class ManyCameras(MadeUp):
    """Recordings with the front camera under many names."""

    def __init__(self, cameras: int, recordings: int) -> None:
        super().__init__((6,) * recordings)
        self.cameras = cameras

    def read(self, name: str) -> Episode:
        """One recording."""
        made = super().read(name)
        front = made.stream("front")
        return replace(made, streams=tuple(replace(front, name=f"c{k}") for k in range(self.cameras)))


@pytest.mark.parametrize(
    ("cameras", "recordings", "rows", "columns", "cells", "said"),
    [
        (1, 2, 1, 4, 4, "2 of 2 recordings, 1 of 1 cameras"),
        (3, 2, 1, 3, 3, "2 of 2 recordings, 3 of 3 cameras"),
        (5, 2, 1, 5, 5, "2 of 2 recordings, 5 of 5 cameras"),
        (7, 8, 2, 4, 7, "6 of 8 recordings, 7 of 7 cameras"),
        (12, 2, 2, 6, 12, "2 of 2 recordings, 12 of 12 cameras"),
        (14, 2, 2, 6, 12, "2 of 2 recordings, 12 of 14 cameras"),
    ],
)
def test_cameras_stand_in_a_grid(tmp_path, cameras, recordings, rows, columns, cells, said):
    root = prepare_episodes(ManyCameras(cameras, recordings), tmp_path / "s", (64, 36)).store
    *_, sheet = check(root, tmp_path / "sheet.png")
    assert sheet.message == f"look at {tmp_path / 'sheet.png'}: {said}"
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    shown = min(6, recordings)
    assert picture.shape == (30 + shown * rows * 270, columns * 480, 3)
    blocks = picture[30:].reshape(shown, rows, 270, columns, 480, 3).swapaxes(2, 3)
    # A made-up picture has a bright edge on the left; an empty cell is dark throughout.
    filled = blocks[..., 40:, 3:10, :].mean((-3, -2, -1)) > 200
    assert filled.reshape(shown, -1).sum(1).tolist() == [cells] * shown
    assert np.ptp(picture[:30]) > 100  # the head of the sheet says it, too


def test_a_store_of_poses_alone(tmp_path):
    source = MadeUp((6,))
    source.with_pictures = False
    root = prepare_episodes(source, tmp_path / "s", (64, 36)).store
    assert check(root, tmp_path / "sheet.png")[-1].message.endswith("1 of 1 recordings, 0 of 0 cameras")


def test_a_sheet_takes_the_place_of_no_other_file(tmp_path):
    root = prepare_episodes(MadeUp((6,)), tmp_path / "s", (64, 36)).store
    (tmp_path / "mine.png").write_text("a thesis")
    (tmp_path / "folder.png").mkdir()
    for name, error, message in (
        ("sheet.txt", InputError, "ends in .png"),
        ("mine.png", OutputError, "is there already and is no PNG"),
        ("folder.png", OutputError, "is a folder"),
    ):
        with pytest.raises(error, match=message):
            check(root, tmp_path / name)
    assert (tmp_path / "mine.png").read_text() == "a thesis"
    for _ in range(2):  # a sheet takes the place of a sheet
        assert check(root, tmp_path / "sheet.png")[-1].message.startswith("look at")


def test_what_is_no_store_is_bad_input(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match="is no store; give the folder that"):
            check(path)
