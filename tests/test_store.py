"""The store: what is written is read back, and every rule of the LeRobot v3 layout is kept."""

import json
import shutil

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handloom.datasets.catalogue import CARDS, dataset_rows
from handloom.datasets.frames import project_hands
from handloom.datasets.prepare import DATASETS, prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.formats.pictures import pictures_of
from made_up_store import FRONT, MadeUp

SIZE = (64, 36)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "made up"
    prepare_episodes(MadeUp(), out, SIZE)
    return out


def test_recordings_come_back(root):
    store, source = Store(root), MadeUp()
    assert [recording.name for recording in store.recordings] == list(source.names)
    for number, name in enumerate(source.names):
        made, read = source.read(name), store.episode(number)
        for field in ("dataset", "name", "subject", "split", "frame_rate", "segments", "object_names", "scene"):
            assert getattr(read, field) == getattr(made, field), field
        np.testing.assert_array_equal(read.frame_ids, made.frame_ids)
        np.testing.assert_array_equal(read.object_labels, made.object_labels)
        np.testing.assert_allclose(read.object_poses, made.object_poses, atol=1e-7)
        np.testing.assert_allclose(read.times_s, made.times_s, atol=5.1e-7)
        np.testing.assert_array_equal(read.hands.valid, made.hands.valid)
        np.testing.assert_array_equal(read.hands.joints_m, made.hands.joints_m)
        np.testing.assert_array_equal(read.hands.confidence, made.hands.confidence)
        assert read.stream("front").camera == FRONT
        assert read.stream("head").camera == made.stream("head").camera  # another shape is kept
        np.testing.assert_array_equal(read.stream("front").boxes_px, made.stream("front").boxes_px)
        for stream in made.streams:
            pose = read.stream(stream.name).world_from_camera
            np.testing.assert_allclose(pose, stream.world_from_camera, atol=1e-7)
            # What matters: the same pixels, here for the camera of the stored size.
            expected, valid = project_hands(made.hands.joints_m, stream.world_from_camera, stream.camera)
            stored = store.columns(number)[f"camera.{stream.name}.keypoints"]
            np.testing.assert_allclose(stored[valid], expected[valid], atol=1e-3)


def test_pictures_come_back_at_their_frames(root):
    made, read = MadeUp().read("subject1/take/1"), Store(root).episode(1)
    originals, stored = pictures_of(made.stream("front")), pictures_of(read.stream("front"))
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(originals, stored)]
    assert len(errors) == 25
    assert max(errors) < 3  # neighbouring frames differ by 9 levels


def test_every_column_is_declared_and_free_of_nulls(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    begin = 0
    for number, path in enumerate(sorted((root / "data").glob("*/*.parquet"))):
        table = pq.read_table(path, partitioning=None)
        assert set(table.column_names) == {name for name, f in features.items() if f["dtype"] != "video"}
        assert b"huggingface" not in (table.schema.metadata or {})
        assert pq.ParquetFile(path).num_row_groups == 1
        for name in table.column_names:
            column, feature = table[name].combine_chunks(), features[name]
            for side in [] if feature["shape"] == [1] else feature["shape"]:
                assert pa.types.is_fixed_size_list(column.type), name
                assert column.type.list_size == side, name
                assert column.null_count == 0
                column = column.flatten()
            assert str(column.type).replace("float", "float32").replace("double", "float64") == feature["dtype"], name
            assert column.null_count == 0
            if feature["dtype"].startswith("float"):
                assert np.isfinite(column.to_numpy()).all(), name
        rows = table.num_rows
        np.testing.assert_array_equal(table["index"], begin + np.arange(rows))
        np.testing.assert_array_equal(table["frame_index"], np.arange(rows))
        np.testing.assert_array_equal(table["episode_index"], number)
        np.testing.assert_array_equal(table["timestamp"], (np.arange(rows) / 30).astype(np.float32))
        begin += rows


def test_names_keep_out_of_the_roles_of_policies(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    for name, feature in features.items():
        if feature["dtype"] == "video":
            assert name.startswith("observation.images.")
            assert feature["shape"] == [36 if name.endswith("front") else 48, 64, 3]
            assert [feature["info"][f"video.{side}"] for side in ("height", "width")] == feature["shape"][:2]
            assert feature["names"][2] == "channels"
            assert feature["info"]["video.codec"] == "h264"
            assert feature["info"]["video.fps"] == 30
        else:
            assert not name.startswith(("observation", "action"))
            assert "image" not in name
        assert "/" not in name
        assert "names" in feature
    defaults = ("timestamp", "frame_index", "episode_index", "index", "task_index")
    assert [features[name]["dtype"] for name in defaults] == ["float32", *["int64"] * 4]


def test_tables_of_episodes_and_tasks(root):
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], info["total_episodes"], info["total_frames"], info["total_tasks"]) == (30, 3, 95, 3)
    tasks = pq.read_table(root / "meta/tasks.parquet", partitioning=None)
    assert tasks.to_pydict() == {"task_index": [0, 1, 2], "task": ["no labelled action", "open box", "close box"]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet", partitioning=None).to_pydict()
    assert episodes["episode_index"] == [0, 1, 2]
    assert episodes["length"] == [40, 25, 30]
    assert episodes["dataset_from_index"] == [0, 40, 65]
    assert episodes["dataset_to_index"] == [40, 65, 95]
    key = "videos/observation.images.head"
    assert episodes[f"{key}/file_index"] == [0, 1, 2]
    assert episodes[f"{key}/from_timestamp"] == [0.0] * 3
    assert episodes[f"{key}/to_timestamp"] == [40 / 30, 25 / 30, 1.0]
    assert episodes["tasks"][0] == ["no labelled action", "close box", "open box"]
    assert not list((root / "data").rglob("*.json"))
    assert len(list(root.rglob("*.parquet"))) == 5


def test_labels_of_frames_follow_the_segment_that_began_last(root):
    columns = Store(root).columns(0)
    # open box in 2 ... 19, close box in 18 ... 39.
    expected = np.repeat([-1, 0, 1], [2, 16, 22])
    np.testing.assert_array_equal(columns["label.action"], expected)
    np.testing.assert_array_equal(columns["task_index"], expected + 1)
    words = Store(root).words
    assert [words["verb"][row].name for row in columns["label.verb"][[5, 30]]] == ["open", "close"]


def test_videos_stand_on_the_grid_with_short_ways_to_a_key_frame(root):
    for path in root.glob("videos/*/*/*.mp4"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            assert [packet.pts * stream.time_base * 30 for packet in packets] == list(range(len(packets)))
            keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
            assert keys[0] == 0
            assert max(np.diff([*keys, len(packets)])) <= 8
            assert stream.codec_context.pix_fmt == "yuv420p"


def test_statistics_are_exact(root):
    stats, store = json.loads((root / "meta/stats.json").read_text()), Store(root)
    joints = np.concatenate([store.columns(i)["hand.joints"] for i in range(3)]).astype(float).reshape(-1, 3)
    assert stats["hand.joints"]["count"] == [95]
    for name, value in (("min", joints.min(0)), ("mean", joints.mean(0)), ("std", joints.std(0))):
        np.testing.assert_allclose(stats["hand.joints"][name], value, atol=1e-9)
    np.testing.assert_allclose(stats["hand.joints"]["q90"], np.quantile(joints, 0.9, axis=0), atol=1e-9)
    assert np.shape(stats["timestamp"]["max"]) == (1,)
    assert np.shape(stats["hand.valid"]["mean"]) == (21,)
    picture = stats["observation.images.front"]
    assert all(np.shape(picture[name]) == (3, 1, 1) for name in picture if name != "count")
    assert 0.2 < picture["mean"][0][0][0] < 0.8
    assert picture["max"][0][0][0] > 0.95
    numeric = {name for name, f in store.features.items() if f["dtype"] != "string"}
    assert set(stats) == numeric


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "meta/info.json").unlink(), "holds no meta/info.json"),
        (lambda root: (root / "meta/handloom.json").unlink(), "no hands that Handloom knows"),
        (lambda root: (root / "meta/info.json").write_text('{"codebase_version": "v2.1"}'), "version v2.1; only 3"),
        (lambda root: (root / "meta/handloom.json").write_text('{"layout": {'), "truncated"),
        (lambda root: (root / "meta/episodes/chunk-000/file-000.parquet").unlink(), "holds no table of the recordings"),
        (lambda root: (root / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"PAR1"), "damaged"),
        (lambda root: (root / "data/chunk-000/file-001.parquet").unlink(), "file-001.parquet is missing"),
        (
            lambda root: (root / "data/chunk-000/file-001.parquet").write_bytes(b"nothing"),
            "file-001.parquet is damaged",
        ),
    ],
)
def test_damage_is_located(root, tmp_path, damage, message):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    damage(copy)
    with pytest.raises(InputError, match=message):
        Store(copy).columns(1)


def test_unknown_recording_and_data_set():
    with pytest.raises(InputError, match="unknown data set 'ho3d'; known: h2o, fpha"):
        dataset_rows("ho3d")
    assert tuple(card.name for card in CARDS) == DATASETS
    title, rows = dataset_rows("fpha")
    assert "Data sets" in title
    assert ("  then type", "handloom prepare fpha FOLDER --out stores/fpha") in rows
