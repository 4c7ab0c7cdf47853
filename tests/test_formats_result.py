import json
import re
import resource
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handloom.errors import InputError, OutputError
from handloom.formats.result import read_metadata, read_run, read_track, write_json, write_track
from handloom.geometry import BrownConrady, Pinhole
from handloom.hands import ActionSegment, CameraSource, HandTrack, ScaleSource
from handloom.skeleton import JOINT_NAMES

CAMERA = BrownConrady(720, 540, 600.1, 601.3, 1 / 3, 270.0, distortion=(0.1, -0.2, 1e-3, 1e-300, 0.3))


def make_record(frames: int = 50, **changes) -> HandTrack:
    random = np.random.default_rng(3)
    valid = random.random((frames, 2, 21)) > 0.1
    valid[frames // 5 : frames // 2, 0] = False
    valid[:3, 1] = False
    record = HandTrack(
        times_s=np.cumsum(random.random(frames) + 1e-3) / 3,
        joints_m=random.normal(size=(frames, 2, 21, 3)),
        valid=valid,
        confidence=random.random((frames, 2, 21)),
        keypoints_px=random.normal(size=(frames, 2, 21, 2)) * 300,
        camera=CAMERA,
        camera_source=CameraSource.CALIBRATED,
    )
    return replace(record, **changes)


def turns(frames: int) -> np.ndarray:
    angle = np.linspace(0, 3, frames)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 0] = poses[:, 1, 1] = np.cos(angle)
    poses[:, 1, 0], poses[:, 0, 1] = np.sin(angle), -np.sin(angle)
    poses[:, :3, 3] = np.random.default_rng(1).normal(size=(frames, 3))
    poses[frames // 3] = np.nan
    return poses


PROBABILITIES = np.random.default_rng(2).dirichlet((1, 1), 50).astype(np.float32)
PROBABILITIES[4] = np.nan
RECORDS = {
    "gaps": make_record(),
    "no frames": make_record(0),
    "no frames of a world": make_record(0, world_from_camera=np.zeros((0, 4, 4))),
    "no hands": make_record(5, valid=np.zeros((5, 2, 21), bool)),
    "one frame, pinhole": make_record(1, camera=Pinhole(4, 3, 1.0, 1.0, 0.0, 0.0)),
    "world": make_record(frame="world", camera=None, world_from_camera=turns(50), camera_source=CameraSource.UNKNOWN),
    "objects and actions": make_record(
        object_names=("cup", "spray büchse"),
        object_probabilities=PROBABILITIES,
        actions=(ActionSegment("pour", 0.1, 1 / 3, 0.25), ActionSegment("put down <b>", 0.2, 0.75)),
        scale_source=ScaleSource.MEASURED,
    ),
}


def assert_same(a: HandTrack, b: HandTrack) -> None:
    for field in fields(HandTrack):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, err_msg=field.name)
        else:
            assert left == right, field.name


@pytest.mark.parametrize("name", RECORDS)
def test_records_round_trip_exactly(tmp_path, name):
    folder = tmp_path / "run=3"  # not to be taken for a partition of a data set
    folder.mkdir()
    write_track(folder / "hands.parquet", RECORDS[name], extra={"partial": True})
    assert_same(read_track(folder), RECORDS[name])
    assert_same(read_track(folder / "hands.parquet"), RECORDS[name])
    assert [path.name for path in folder.iterdir()] == ["hands.parquet"]


def test_the_documented_columns(tmp_path):
    record = make_record(world_from_camera=turns(50), object_names=("a", "b"), object_probabilities=PROBABILITIES)
    write_track(tmp_path / "hands.parquet", record)
    table = pq.read_table(tmp_path / "hands.parquet")
    expected = {"frame": pa.int64(), "time_s": pa.float64()}
    for side in ("left", "right"):
        expected[f"{side}_joints_m"] = pa.list_(pa.float32(), 63)
        expected[f"{side}_keypoints_px"] = pa.list_(pa.float32(), 42)
        expected[f"{side}_confidence"] = pa.list_(pa.float32(), 21)
        expected[f"{side}_valid"] = pa.list_(pa.bool_(), 21)
    expected |= {
        "world_from_camera": pa.list_(pa.float64(), 16),
        "object_probabilities": pa.list_(pa.float32(), 2),
    }
    assert dict(zip(table.schema.names, table.schema.types)) == expected
    assert table["frame"].to_pylist() == list(range(50))
    np.testing.assert_array_equal(table["right_joints_m"][40].as_py(), record.joints_m[40, 1].ravel())
    for side, hand in (("left", 0), ("right", 1)):
        for field in ("joints_m", "keypoints_px", "confidence", "valid"):
            nulls = table[f"{side}_{field}"].is_null().to_numpy()
            np.testing.assert_array_equal(nulls, ~record.present[:, hand])
    assert np.flatnonzero(table["world_from_camera"].is_null()).tolist() == [16]


def test_the_documented_way_to_read_without_handloom(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
    example = re.search(r"```python\n(import pyarrow.*?)```", page, re.DOTALL)[1]
    (tmp_path / "out").mkdir()
    write_track(tmp_path / "out" / "hands.parquet", RECORDS["gaps"])
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(example, found)
    seen = RECORDS["gaps"].present[:, 1]
    np.testing.assert_array_equal(found["wrist_m"], RECORDS["gaps"].joints_m[seen, 1, 0])
    np.testing.assert_array_equal(found["times_s"], RECORDS["gaps"].times_s[seen])


def test_metadata(tmp_path):
    write_track(tmp_path / "hands.parquet", RECORDS["gaps"], extra={"partial": np.bool_(True), "lost": float("nan")})
    found = read_metadata(tmp_path)
    assert found["format_version"] == 1
    assert found["camera"]["model"] == "brown_conrady"
    assert found["camera"]["distortion"] == list(CAMERA.distortion)
    assert (found["camera_source"], found["scale_source"]) == ("calibrated", "tracker's own scale")
    assert (found["frame"], found["joint_names"]) == ("camera", list(JOINT_NAMES))
    assert found["extra"] == {"partial": True, "lost": None}


def refusal(path: Path, read=read_track) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_what_is_not_a_result(tmp_path):
    assert "holds no hands.parquet; it is not a result of handloom track" in refusal(tmp_path)
    assert "does not exist; give a result folder" in refusal(tmp_path / "nothing")
    path = tmp_path / "hands.parquet"
    pq.write_table(pa.table({"frame": [0, 1]}), path)
    assert "was not written by Handloom" in refusal(path)
    assert "was not written by Handloom" in refusal(path, read_metadata)
    path.write_text("frame,time")
    assert "is damaged or not a Parquet file" in refusal(path)
    assert "is damaged or not a Parquet file" in refusal(path, read_metadata)
    write_track(path, RECORDS["gaps"])
    path.write_bytes(path.read_bytes()[:-100])
    assert "is damaged or not a Parquet file" in refusal(path)


def changed_table(path: Path, columns: dict | None = None, keep: slice = slice(None), **metadata) -> Path:
    write_track(path, RECORDS["objects and actions"])
    table = pq.read_table(path)
    described = json.loads(table.schema.metadata[b"handloom"]) | metadata
    described = {name: value for name, value in described.items() if value != "gone"}
    for name, column in (columns or {}).items():
        index = table.schema.get_field_index(name)
        table = table.remove_column(index) if column is None else table.set_column(index, name, [column])
    table = table.take(list(range(50))[keep]).replace_schema_metadata({"handloom": json.dumps(described)})
    pq.write_table(table, path)
    return path


def test_damaged_and_newer_results(tmp_path):
    path = tmp_path / "hands.parquet"
    halves = pa.array(np.arange(50) / 2)
    for options, message in (
        (
            {"format_version": 2, "handloom_version": "9.1"},
            "has format version 2, written by Handloom 9.1; this",
        ),
        ({"format_version": "gone"}, "its metadata is damaged: KeyError('format_version')"),
        ({"camera": "gone", "frame": "gone"}, "its metadata is damaged: no camera, frame"),
        ({"joint_names": ["palm", "wrist"]}, "its joints are not those of this Handloom: palm, wrist"),
        ({"camera": {"model": "fov"}}, "does not hold a valid record: "),
        ({"camera_source": "dreamt"}, "does not hold a valid record: 'dreamt' is not a valid CameraSource"),
        ({"frame": "room"}, 'does not hold a valid record: frame must be "camera" or "world", found'),
        ({"actions": [{"name": "pour"}]}, "does not hold a valid record: "),
        ({"actions": ["pour"]}, "does not hold a valid record: "),
        ({"actions": {"label": "pour"}}, "its metadata is damaged: actions must be a list, found {'label'"),
        ({"actions": None}, "its metadata is damaged: actions must be a list, found None"),
        (
            {"actions": [{"label": "pour", "start_s": 2, "end_s": 1}]},
            "does not hold a valid record: action segment 'pour' must end after it starts",
        ),
        ({"object_names": "cup"}, "its metadata is damaged: object_names must be a list, found 'cup'"),
        ({"object_names": ["cup", "cup"]}, "does not hold a valid record: object_names must be unique"),
        ({"object_names": ["cup", 7]}, "its metadata is damaged: object_names must be texts"),
        ({"columns": {"object_probabilities": None}}, "give object_names and object_probabilities together"),
        (
            {"columns": {"object_probabilities": pa.array([[0.5, 0.6]] * 50, pa.list_(pa.float32(), 2))}},
            "does not hold a valid record: object_probabilities of frame 0 must lie in 0 ... 1 and sum to 1",
        ),
        ({"columns": {"left_valid": None}}, "has no column left_valid; found frame, time_s"),
        ({"columns": {"time_s": pa.array([0.0] * 50)}}, "times_s must be finite and strictly increasing"),
        ({"columns": {"frame": halves}}, "column frame must be int64, found double"),
        ({"columns": {"left_valid": halves}}, "column left_valid must be fixed_size_list<"),
        ({"columns": {"right_valid": halves}}, "column right_valid must be fixed_size_list<"),
        ({"keep": slice(None, None, -1)}, "column frame must count 0 ... 49; rows were removed or sorted"),
        ({"keep": slice(1, None)}, "column frame must count 0 ... 48; rows were removed or sorted"),
        ({"object_names": ["cup"]}, "column object_probabilities must be fixed_size_list<"),
    ):
        assert message in refusal(changed_table(path, **options)), message


def test_files_from_before_objects_and_actions_are_read(tmp_path):
    path = changed_table(
        tmp_path / "hands.parquet",
        {"object_probabilities": None},
        object_names="gone",
        actions="gone",
    )
    track = read_track(path)
    assert (track.object_names, track.object_probabilities, track.actions) == ((), None, ())
    np.testing.assert_array_equal(track.joints_m, RECORDS["objects and actions"].joints_m)


@contextmanager
def little_space():
    """No file may grow beyond 4 kB: the operating system refuses to write, as it does on a full disk.

    Around the write only: pytest's own output may go to a file that is longer.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("there", [False, True])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, there):
    paths = [tmp_path / "hands.parquet", tmp_path / "run.json"]
    for path in paths if there else []:
        path.write_text("before")
    refusal = r"cannot write .*hands\.parquet: File too large; nothing was changed"
    with pytest.raises(OutputError, match=refusal), little_space():
        write_track(paths[0], RECORDS["gaps"])
    with pytest.raises(OutputError, match=r"cannot write .*run\.json: File too large"), little_space():
        write_json(paths[1], {"long": "x" * 9000})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {p.name: "before" for p in paths if there}


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutputError, match=r"hands\.parquet: No space left on device; free space or choose another"):
        write_track(tmp_path / "hands.parquet", RECORDS["gaps"])
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "run.json").mkdir(parents=True)
    for folder, message in (
        ("nowhere", "No such file or directory; make its folder first"),
        ("file", "Not a directory"),
        ("taken", "Is a directory"),
    ):
        with pytest.raises(OutputError, match=rf"cannot write .*run\.json: {message}"):
            write_json(tmp_path / folder / "run.json", {})
    assert len(list((tmp_path / "taken").iterdir())) == 1


def test_run_json(tmp_path):
    values = {
        "frames": np.int64(3),
        "rate": float("inf"),
        "out": tmp_path,
        "bones": np.array([0.5, np.nan]),
        "hände": "ü",
    }
    write_json(tmp_path / "run.json", values)
    expected = {"frames": 3, "rate": None, "out": str(tmp_path), "bones": [0.5, None], "hände": "ü"}
    assert read_run(tmp_path) == expected
    (tmp_path / "run.json").write_text('{"frames": 3')
    assert "ends in the middle (truncated?)" in refusal(tmp_path, read_run)
    (tmp_path / "run.json").unlink()
    assert "holds no run.json; it is written last, so the run was not finished" in refusal(tmp_path, read_run)
