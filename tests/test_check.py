"""The health check: a sound store passes, and every planted fault fails at its own item."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
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
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, RenderedPictures
from handloom.geometry import Camera, Pinhole, apply_rigid, invert_rigid, rigid, rotation_from_vector
from handloom.skeleton import BONES
from made_up_hands import open_hand
from made_up_store import MadeUp, recording

SIZE = (64, 36)
Told = Callable[[list[CameraStream]], list[CameraStream]]
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
    balance = {verdict.item: verdict for verdict in check(tmp_path / "unseen")}["class balance"]
    assert (balance.state, balance.message) == (State.WARN, "test has actions that training has not: z")
    prepare_episodes(Labelled(["b"] + ["a"] * 11), tmp_path / "lopsided", SIZE, ("front",))
    assert "11 of 12 segments are 'a'" in failures(tmp_path / "lopsided")["class balance"]


class Seen(EpisodeSource):
    """Hands that move about over a table, drawn into the pictures of two cameras as they see them.

    `told` changes what is told of the cameras, but not the pictures.
    """

    names = ("subject1/take/0", "subject2/take/0")
    told: Told = staticmethod(lambda streams: streams)

    def read(self, name: str) -> Episode:
        """One recording."""
        made = recording(name, 0, 40, test=name != self.names[0])
        t = np.arange(40)
        path = np.stack([0.12 * np.sin(t / 7), 0.06 * np.cos(t / 5), 0.05 * np.sin(t / 9)], -1)
        joints = made.hands.joints_m + path[:, None, None]
        lenses = {"front": Pinhole(160, 90, 110.0, 110.0, 79.5, 44.5), "side": Pinhole(160, 90, 90.0, 90.0, 85.0, 40.0)}
        poses = {"front": np.eye(4), "side": rigid(rotation_from_vector(np.array([0, 0.5, 0])), np.array([-0.3, 0, 0]))}
        streams = [
            CameraStream(
                key, lens, np.tile(poses[key], (40, 1, 1)), RenderedPictures(partial(_drawn, joints, lens, poses[key]))
            )
            for key, lens in lenses.items()
        ]
        return replace(made, hands=replace(made.hands, joints_m=joints), streams=tuple(self.told(streams)))


def _drawn(joints: np.ndarray, lens: Pinhole, pose: np.ndarray, frame: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(30, 130, (9, 16, 3), np.uint8), (160, 90), interpolation=cv2.INTER_CUBIC)
    pixels, _ = lens.project(apply_rigid(invert_rigid(pose), joints[frame].astype(float)))
    for hand in np.rint(pixels[np.isfinite(pixels).all((1, 2))]).astype(int):
        for parent, child in BONES:
            cv2.line(image, hand[parent].tolist(), hand[child].tolist(), (225, 180, 150), 4)
    return image


def scaled(camera: str, **factors: float) -> Told:
    """Intrinsics of one camera times something."""

    def change(streams: list[CameraStream]) -> list[CameraStream]:
        def lens(stream: CameraStream) -> Camera:
            return replace(stream.camera, **{key: getattr(stream.camera, key) * f for key, f in factors.items()})

        return [replace(s, camera=lens(s)) if s.name == camera else s for s in streams]

    return change


def exchanged(streams: list[CameraStream]) -> list[CameraStream]:
    """Each camera is told with the calibration of the other."""
    return [
        replace(s, camera=other.camera, world_from_camera=other.world_from_camera)
        for s, other in zip(streams, reversed(streams))
    ]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return prepare_episodes(Seen(skip_bad=False), tmp_path_factory.mktemp("seen") / "s", (160, 90)).store


def test_a_sound_store_passes_every_item(seen, tmp_path):
    sheet = tmp_path / "sheet.png"
    verdicts = check(seen, sheet)
    assert {verdict.state for verdict in verdicts} == {State.OK}, verdicts
    assert len(verdicts) == 13
    assert len({verdict.item for verdict in verdicts}) == 13
    picture = cv2.imread(str(sheet))
    assert picture.shape == (30 + 2 * 270, 4 * 480, 3)
    assert all(row.std() > 10 for row in np.vsplit(picture[30:], 2))
    assert verdicts[-1].message == f"look at {sheet}: 2 of 2 recordings, 2 of 2 cameras"


@pytest.mark.parametrize("camera", ["front", "side"])
@pytest.mark.parametrize(
    "factors",
    [{"fx": 1.3, "fy": 1.3}, {"fx": 0.75, "fy": 0.75}, {"cx": 1.2}, {"cy": 0.7}, {"fx": 1.5, "fy": 1.5}],
    ids=str,
)
def test_intrinsics_of_another_camera_do_not_fit_the_pictures(tmp_path, camera, factors):
    """Everything that is computed from them agrees; only the pictures tell."""
    source = Seen(skip_bad=False)
    source.told = scaled(camera, **factors)
    found = failures(prepare_episodes(source, tmp_path / "s", (160, 90)).store)
    assert list(found) == ["calibration"]
    assert re.search(rf"subject1/take/0, camera {camera}: its pictures fit .* better", found["calibration"])


def test_calibrations_that_were_exchanged_do_not_fit_the_pictures(tmp_path):
    source = Seen(skip_bad=False)
    source.told = exchanged
    found = failures(prepare_episodes(source, tmp_path / "s", (160, 90)).store)
    assert list(found) == ["calibration"]
    assert "camera front: its pictures fit the calibration of camera side better" in found["calibration"]


def test_a_camera_without_poses_is_told_and_the_others_are_compared(tmp_path):
    def lost(streams: list[CameraStream]) -> list[CameraStream]:
        return [streams[0], replace(streams[1], world_from_camera=np.full((40, 4, 4), np.nan))]

    source = Seen(skip_bad=False)
    source.told = lost
    verdicts = {v.item: v for v in check(prepare_episodes(source, tmp_path / "s", (160, 90)).store)}
    assert verdicts["calibration"].state is State.WARN
    assert "camera side: its pose is known in no frame (and 1 more such findings)" in verdicts["calibration"].message


def test_hands_that_are_never_seen_leave_nothing_to_compare(tmp_path):
    class Away(Seen):
        def read(self, name: str) -> Episode:
            made = super().read(name)
            unseen = np.zeros((40, 2, 21), bool)
            return replace(made, streams=tuple(replace(stream, visible=unseen) for stream in made.streams))

    calibration = {v.item: v for v in check(prepare_episodes(Away(skip_bad=False), tmp_path / "s", (160, 90)).store)}
    assert "subject1/take/0: too little is to be seen of hands" in calibration["calibration"].message


def test_pictures_without_hands_say_nothing_for_the_calibration(tmp_path):
    class Blank(MadeUp):
        def read(self, name: str) -> Episode:
            made = super().read(name)
            blank = RenderedPictures(lambda _: np.full((36, 64, 3), 90, np.uint8))
            return replace(made, streams=(replace(made.stream("front"), pictures=blank),))

    prepare_episodes(Blank(), tmp_path / "s", SIZE)
    calibration = {verdict.item: verdict for verdict in check(tmp_path / "s")}["calibration"]
    assert calibration.state is State.WARN
    assert "camera front: nothing in the pictures tells hands from the rest" in calibration.message


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
