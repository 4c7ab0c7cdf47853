"""The health check: a sound store passes, and every planted fault fails at its own item."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handloom.datasets.check import check
from handloom.datasets.check_hands import right_handedness
from handloom.datasets.columns import read_columns, to_table
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.verdicts import State
from handloom.formats.episode import Episode
from made_up_hands import open_hand
from made_up_store import MadeUp

SIZE = (64, 36)
DATA, TABLE = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(MadeUp(), out, SIZE)
    return out


@pytest.fixture
def store(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "copy")


def failures(root: Path) -> dict[str, str]:
    return {verdict.item: verdict.message for verdict in check(root) if verdict.state is State.FAIL}


def edit(root: Path, **changes) -> None:
    """Change columns of the first recording in place; hand__joints stands for hand.joints."""
    features = json.loads((root / "meta/info.json").read_text())["features"]
    columns = read_columns(root / DATA, features)
    for name, change in changes.items():
        values = columns[name.replace("__", ".")].copy()
        change(values)
        columns[name.replace("__", ".")] = values
    pq.write_table(to_table(columns, features), root / DATA)


def edit_table(root: Path, **changes) -> None:
    table = pq.read_table(root / TABLE, partitioning=None)
    for name, change in changes.items():
        at = table.column_names.index(name)
        values = [change(value) for value in table[name].to_pylist()]
        table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
    pq.write_table(table, root / TABLE)


def test_a_sound_store_passes_every_item(sound, tmp_path):
    sheet = tmp_path / "sheet.png"
    verdicts = check(sound, sheet)
    assert {verdict.state for verdict in verdicts} == {State.OK}, verdicts
    assert len(verdicts) == 13
    assert len({verdict.item for verdict in verdicts}) == 13
    picture = cv2.imread(str(sheet))
    assert picture.shape == (3 * 270, 4 * 480, 3)
    assert all(row.std() > 10 for row in np.vsplit(picture, 3))


def put(where, value):
    def change(values: np.ndarray) -> None:
        values[where] = value

    return change


def swap_frames(values: np.ndarray) -> None:
    values[10:20] = values[10:20, ::-1].copy()


def grow(values: np.ndarray) -> None:
    values[:, 1, 8] += np.linspace(0, 0.03, len(values))[:, None]


def freeze(values: np.ndarray) -> None:
    values[10:30, 1] = values[10, 1]


@pytest.mark.parametrize(
    ("item", "message", "changes"),
    [
        ("schema", "column 'index' is 7 in row 0", {"index": put(0, 7)}),
        ("schema", "label.verb has numbers outside -1 ... 1", {"label__verb": put(3, 9)}),
        ("rate and timestamps", "timestamp 0.5000 s in frame 4", {"timestamp": put(4, 0.5)}),
        ("rate and timestamps", "stand still after frame 6", {"time_us": put(7, 0)}),
        ("rate and timestamps", "captured at 59.", {"time_us": lambda v: put(slice(None), v // 2)(v)}),
        (
            "gaps",
            "about 30 frames missing in 1 gaps",
            {"time_us": lambda v: put(slice(20, None), v[20:] + 1_000_000)(v)},
        ),
        ("finite numbers", "hand.joints is not finite, first in frame 9", {"hand__joints": put((9, 1, 4), np.nan)}),
        ("constant poses", "right hand is one point in frame 5", {"hand__joints": put((5, 1), 0)}),
        ("constant poses", "right hand is frozen for 20 frames from frame 10", {"hand__joints": freeze}),
        (
            "constant poses",
            "camera head moves, but is the identity",
            {"camera__head__world_from_camera": put(8, np.eye(4))},
        ),
        ("bone lengths", "bone .7, 8. of the right hand varies", {"hand__joints": grow}),
        ("bone lengths", "are the joints in metres", {"hand__joints": lambda v: put(slice(None), v * 1000)(v)}),
        ("left and right", "the hands change sides 2 times, first in frame 10", {"hand__joints": swap_frames}),
        (
            "left and right",
            "bends like the other hand",
            {"hand__joints": lambda v: put(slice(3, None), v[3:, ::-1].copy())(v)},
        ),
        (
            "reprojection",
            "camera front, frame 12: a joint is 5.0 px",
            {"camera__front__keypoints": lambda v: put((12, 1, 3, 0), v[12, 1, 3, 0] + 5)(v)},
        ),
        ("calibration", "are these its cameras", {"hand__joints": lambda v: put(slice(None), v - [0, 0, 5])(v)}),
    ],
)
def test_planted_numbers_fail_at_their_item(store, item, message, changes):
    edit(store, **changes)
    found = failures(store)
    assert item in found, found
    assert re.search(message, found[item]), found[item]
    assert "subject1/take/0" in found[item]


def other_calibration(text: str) -> str:
    cameras = json.loads(text)
    cameras["front"]["fx"] *= 1.3
    return json.dumps(cameras)


@pytest.mark.parametrize(
    ("item", "message", "damage"),
    [
        ("schema", "holds no meta/info.json", lambda root: (root / "meta/info.json").unlink()),
        ("schema", "file-000.parquet is damaged", lambda root: (root / DATA).write_bytes(b"x")),
        (
            "schema",
            "belongs to no recording",
            lambda root: shutil.copy(root / DATA, root / "data/chunk-000/zzz.parquet"),
        ),
        (
            "schema",
            "total_frames 96, but it is 95",
            lambda root: replace_text(root, '"total_frames": 95', '"total_frames": 96'),
        ),
        (
            "schema",
            "feature 'hand.extra' is declared but unknown",
            lambda root: replace_text(
                root, '"hand.valid": {', '"hand.extra": {"dtype": "bool", "shape": [1]}, "hand.valid": {'
            ),
        ),
        ("videos", "file-000.mp4: is missing", lambda root: video(root, 0).unlink()),
        ("videos", "25 pictures, but 40 frames", lambda root: shutil.copy(video(root, 1), video(root, 0))),
        ("videos", "the file is empty", lambda root: video(root, 0).write_bytes(b"")),
        ("reprojection", "a joint is", lambda root: edit_table(root, cameras=other_calibration)),
        (
            "calibration",
            "the principal point",
            lambda root: edit_table(root, cameras=lambda text: text.replace('"cx": 31.5', '"cx": 90.0')),
        ),
        (
            "calibration",
            "calibrated for 65 x 36",
            lambda root: edit_table(root, cameras=lambda text: text.replace('"width": 64', '"width": 65')),
        ),
        (
            "split leakage",
            "subject1 is in train .subject1/take/0. and in test",
            lambda root: edit_table(root, subject=lambda _: "subject1"),
        ),
    ],
)
def test_planted_files_fail_at_their_item(store, item, message, damage):
    damage(store)
    found = failures(store)
    assert item in found, found
    assert re.search(message, found[item]), found[item]


def video(root: Path, number: int) -> Path:
    return root / f"videos/observation.images.front/chunk-000/file-{number:03d}.mp4"


def replace_text(root: Path, old: str, new: str) -> None:
    text = (root / "meta/info.json").read_text()
    assert old in text
    (root / "meta/info.json").write_text(text.replace(old, new))


class Labelled(MadeUp):
    """Recordings whose segments all carry given labels."""

    def __init__(self, labels: list[str]) -> None:
        super().__init__((20,) * 6)
        self.labels = labels

    def read(self, name: str) -> Episode:
        """One recording."""
        made, number = super().read(name), self.names.index(name)
        parts = zip(made.segments, self.labels[2 * number :])
        return replace(
            made, segments=tuple(replace(s, label=label, label_id=None, verb=None, noun=None) for s, label in parts)
        )


def test_labels_out_of_balance_fail(tmp_path):
    prepare_episodes(Labelled(["a", "b"] * 5 + ["a", "z"]), tmp_path / "unseen", SIZE, ("front",))
    assert "test has actions that training has not: z" in failures(tmp_path / "unseen")["class balance"]
    prepare_episodes(Labelled(["b"] + ["a"] * 11), tmp_path / "lopsided", SIZE, ("front",))
    assert "11 of 12 segments are 'a'" in failures(tmp_path / "lopsided")["class balance"]


def test_a_single_lost_frame_in_a_long_recording_only_warns(tmp_path):
    prepare_episodes(MadeUp((150,)), tmp_path / "s", SIZE, ("head",))
    edit(tmp_path / "s", time_us=lambda values: put(slice(39, None), values[39:] + 33_000)(values))
    gaps = {verdict.item: verdict for verdict in check(tmp_path / "s")}["gaps"]
    assert gaps.state is State.WARN
    assert "about 1 frames missing in 1 gaps" in gaps.message
    assert "after frame 38" in gaps.message


def test_handedness_by_bending_holds_for_any_place_and_turn():
    left = open_hand()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))[:, None, None]
    turned = left @ turn + [0.3, -0.2, 1.0]
    assert (right_handedness(turned) < -0.02).all()
    assert (right_handedness(turned * [-1, 1, 1]) > 0.02).all()
