import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handloom.errors import InputError
from handloom.formats.joints import StoredJoints, read_joints
from handloom.formats.result import write_track
from handloom.hands import HandTrack
from handloom.skeleton import JOINT_NAMES, JOINT_ORDERS, SOURCE_JOINT_COUNTS, STAND_INS

HEADER = {"format": "handloom-joints", "version": 1, "order": "mediapipe", "unit": "m", "space": "camera"}


def coordinates(frames: int, joints: int = 21, dim: int = 3) -> np.ndarray:
    """Every number differs from every other, and none is zero."""
    shape = (frames, 2, joints, dim)
    return np.arange(1, np.prod(shape) + 1).reshape(shape) / 64


def hand(side: str, joints: np.ndarray, **fields) -> dict:
    return {"side": side, "joints": joints.tolist()} | fields


def document(joints: np.ndarray, **header) -> dict:
    frames = [
        {"frame": 2 * row, "hands": [hand("right", pair[1]), hand("left", pair[0])]} for row, pair in enumerate(joints)
    ]
    return HEADER | header | {"frames": frames}


def save_json(folder: Path, content: dict) -> Path:
    path = folder / "hands.json"
    path.write_text(json.dumps(content))
    return path


def save_npz(folder: Path, **arrays) -> Path:
    np.savez(folder / "hands.npz", **{name: array for name, array in arrays.items() if array is not None})
    return folder / "hands.npz"


def long_form(joints: np.ndarray, frames: np.ndarray | None = None) -> dict:
    T, _, N, _ = joints.shape
    frames = np.arange(T) if frames is None else frames
    return {
        "frame": np.repeat(frames, 2 * N),
        "hand": np.tile(np.repeat(["left", "right"], N), T).tolist(),
        "joint": np.tile(np.arange(N), 2 * T),
        **dict(zip("xyz", joints.reshape(-1, 3).T)),
    }


def save_parquet(folder: Path, columns: dict, header: dict | None = HEADER) -> Path:
    table = pa.table(columns)
    if header is not None:
        table = table.replace_schema_metadata({"handloom-joints": json.dumps(header)})
    pq.write_table(table, folder / "hands.parquet")
    return folder / "hands.parquet"


def refusal(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_joints(path, **options)
    message = str(caught.value)
    assert str(path) in message
    return message


def same(a: StoredJoints, b: StoredJoints) -> None:
    for name in ("valid", "confidence", "frames", "times_s", "keypoints_px", "joints_m"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.space, a.zero_hands) == (b.space, b.zero_hands)


def test_the_three_layouts_say_the_same(tmp_path):
    joints, pixels = coordinates(3), coordinates(3, dim=2) + 5
    confidence = np.linspace(0.5, 1, 3 * 2 * 21).reshape(3, 2, 21)
    joints[1, 0] = np.nan
    pixels[1, 0] = np.nan
    joints[2, 1, 4] = np.nan
    times = np.array([0.0, 0.05, 0.07])
    arrays = {"joints": joints, "keypoints_px": pixels, "confidence": confidence, "times_s": times}
    from_npz = read_joints(save_npz(tmp_path, frame=np.array([0, 1, 4]), **arrays, **HEADER))

    frames = []
    for row, frame in enumerate((0, 1, 4)):
        hands = []
        for side, name in enumerate(("left", "right")):
            if not np.isnan(joints[row, side]).all():
                place = [
                    [None if np.isnan(value) else value for value in joint] for joint in joints[row, side].tolist()
                ]
                fields = {
                    "keypoints_px": pixels[row, side].tolist(),
                    "confidence": confidence[row, side].tolist(),
                }
                hands.append({"side": name, "joints": place} | fields)
        frames.append({"frame": frame, "time_s": times[row], "hands": hands})
    from_json = read_joints(save_json(tmp_path, HEADER | {"frames": frames}))

    columns = long_form(joints, np.array([0, 1, 4])) | {"time_s": np.repeat(times, 42)}
    columns |= dict(zip("uv", pixels.reshape(-1, 2).T)) | {"confidence": confidence.ravel()}
    shuffled = np.random.default_rng(0).permutation(len(columns["frame"]))
    shuffled = shuffled[np.isfinite(columns["x"][shuffled])]  # a row that is not there is a missing joint
    from_parquet = read_joints(save_parquet(tmp_path, {name: np.array(c)[shuffled] for name, c in columns.items()}))

    expected = np.isfinite(joints).all(-1)
    np.testing.assert_array_equal(from_npz.valid, expected)
    np.testing.assert_array_equal(from_npz.joints_m, joints)
    np.testing.assert_array_equal(from_npz.confidence, np.where(expected, confidence, 0))
    assert from_npz.frames.tolist() == [0, 1, 4]
    assert len(from_npz) == 3
    same(from_npz, from_json)
    same(from_npz, from_parquet)


@pytest.mark.parametrize("order", JOINT_ORDERS)
def test_orders_map_by_name_in_every_layout(tmp_path, order):
    joints = coordinates(2, SOURCE_JOINT_COUNTS[order])
    expected = joints[:, :, JOINT_ORDERS[order]]
    expected[:, :, np.isin(JOINT_ORDERS[order], STAND_INS.get(order, ()))] = np.nan
    for path in (
        save_json(tmp_path, document(joints, order=order)),
        save_npz(tmp_path, joints=joints, **HEADER | {"order": order}),
        save_parquet(tmp_path, long_form(joints), HEADER | {"order": order}),
    ):
        np.testing.assert_array_equal(read_joints(path).joints_m, expected)


@pytest.mark.parametrize(("unit", "per_metre"), [("m", 1), ("cm", 100), ("mm", 1000)])
def test_units_end_at_the_reader(tmp_path, unit, per_metre):
    joints = coordinates(2)
    header = {name: value for name, value in HEADER.items() if name != "unit"}
    path = save_npz(tmp_path, joints=joints * per_metre, **header)
    np.testing.assert_array_equal(read_joints(path, unit=unit).joints_m, joints)


def test_times_come_from_frame_numbers_and_frame_rate(tmp_path):
    stored = read_joints(save_json(tmp_path, document(coordinates(3), frame_rate=25)))
    np.testing.assert_array_equal(stored.frames, [0, 2, 4])
    np.testing.assert_array_equal(stored.times_s, np.array([0, 2, 4]) / 25)
    without = read_joints(save_json(tmp_path, document(coordinates(3))))
    assert without.times_s is None
    times = [0.5, 0.6, 0.8]
    content = document(coordinates(3), times_s=times)
    for entry in content["frames"]:
        del entry["frame"]
    listed = read_joints(save_json(tmp_path, content))
    assert listed.frames is None
    np.testing.assert_array_equal(listed.times_s, times)
    np.testing.assert_array_equal(read_joints(save_npz(tmp_path, joints=coordinates(3), **HEADER)).frames, [0, 1, 2])


def test_keypoints_alone_need_neither_unit_nor_space(tmp_path):
    pixels = coordinates(2, dim=2)
    pixels[1, 1, 3, 0] = np.nan  # half a position is none
    valid = np.ones((2, 2, 21), bool)
    valid[0, 0, :5] = False
    stored = read_joints(
        save_npz(tmp_path, keypoints_px=pixels, valid=valid, order="openpose", confidence=np.full((2, 2), 0.5))
    )
    assert stored.joints_m is None
    assert stored.space is None
    assert not stored.valid[0, 0, :5].any()
    assert not stored.valid[1, 1, 3]
    assert stored.valid.sum() == 2 * 42 - 6
    assert np.isnan(stored.keypoints_px[~stored.valid]).all()
    np.testing.assert_array_equal(stored.confidence, np.where(stored.valid, 0.5, 0))


def test_a_hand_of_zeros_is_missing_and_counted(tmp_path):
    joints = coordinates(4)
    joints[1, 0] = 0
    joints[3, 1] = 0
    joints[3, 1, :3] = np.nan
    joints[2, 1, 0] = 0  # the root of a root-relative hand
    for path in (save_json(tmp_path, document(joints)), save_npz(tmp_path, joints=joints, **HEADER)):
        stored = read_joints(path)
        assert stored.zero_hands == 2
        assert np.argwhere(~stored.valid.any(-1)).tolist() == [[1, 0], [3, 1]]
        assert stored.valid[2, 1].all()


def test_named_joints_in_any_row_order(tmp_path):
    joints = coordinates(1)
    columns = long_form(joints)
    columns["joint"] = [JOINT_NAMES[index] for index in columns["joint"]]
    header = {name: value for name, value in HEADER.items() if name != "order"}
    reverse = {name: np.array(column)[::-1] for name, column in columns.items()}
    table = pa.table(reverse)
    table = table.set_column(2, "joint", table["joint"].dictionary_encode())
    path = save_parquet(tmp_path, table, header)
    np.testing.assert_array_equal(read_joints(path).joints_m, joints)
    assert 'says its order is "handloom", but "mano" was given' in refusal(path, order="mano")
    columns["joint"][3] = "pinky"
    assert "joint 'pinky' in row 3 is unknown; known: wrist, thumb_cmc" in refusal(
        save_parquet(tmp_path, columns, header)
    )


def test_our_own_hands_parquet(tmp_path):
    joints, valid = coordinates(3), np.ones((3, 2, 21), bool)
    valid[1, 0] = False
    track = HandTrack(np.array([0, 0.1, 0.4]), joints, valid, valid * 0.5, joints[..., :2] * 100, frame="world")
    write_track(tmp_path / "hands.parquet", track)
    stored = read_joints(tmp_path / "hands.parquet")
    np.testing.assert_array_equal(stored.joints_m, track.joints_m)
    np.testing.assert_array_equal(stored.keypoints_px, track.keypoints_px)
    np.testing.assert_array_equal(stored.times_s, track.times_s)
    np.testing.assert_array_equal(stored.valid, valid)
    assert stored.space == "world"
    assert 'says its unit is "m", but "mm" was given' in refusal(tmp_path / "hands.parquet", unit="mm")


def test_a_hundred_thousand_frames_of_parquet(tmp_path):
    joints = coordinates(100_000).astype(np.float32)
    columns = long_form(joints)
    columns["hand"] = pa.array(columns["hand"]).dictionary_encode()
    path = save_parquet(tmp_path, columns)
    stored = read_joints(path)
    np.testing.assert_array_equal(stored.joints_m[::999], joints[::999])


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ({"order": None}, {}, 'does not say its joint "order"; give one of assembly101, assemblyhands, fpha'),
        ({"unit": None}, {}, 'holds 3D joints but does not say their "unit"; give one of m, cm, mm'),
        (
            {"space": None},
            {},
            'holds 3D joints but does not say their "space"; give one of camera, root_relative',
        ),
        ({"unit": "inch"}, {}, "unknown unit 'inch'; known: cm, m, mm"),
        ({"unit": None}, {"unit": "km"}, "unknown unit 'km'; known: cm, m, mm"),
        ({"order": "smplx"}, {}, "unknown order 'smplx'; known: assembly101, assemblyhands, fpha, h2o, handloom, mano"),
        (
            {},
            {"order": "mano"},
            'says its order is "mediapipe", but "mano" was given; correct one of the two',
        ),
        ({"space": "screen"}, {}, "unknown space 'screen'; known: camera, root_relative, world"),
        ({"version": 2}, {}, "this Handloom reads version 1 of handloom-joints, found 2"),
        ({"format": "other"}, {}, '"format" must be "handloom-joints", found \'other\''),
        ({"frame_rate": 0}, {}, "frame_rate must be a positive number, found 0"),
    ],
)
def test_header_refusals_in_every_layout(tmp_path, header, options, message):
    joints = coordinates(1)
    changed = {name: value for name, value in (HEADER | header).items() if value is not None}
    content = document(joints)
    content = changed | {"frames": content["frames"]}
    for path in (
        save_json(tmp_path, content),
        save_npz(tmp_path, joints=joints, **changed),
        save_parquet(tmp_path, long_form(joints), changed),
    ):
        assert message in refusal(path, **options)


def edited(change) -> dict:
    content = document(coordinates(3))
    change(content["frames"])
    return content


def set_in(frame: int, hand_index: int, **fields):
    return lambda frames: frames[frame]["hands"][hand_index].update(fields)


def set_frame(row: int, **fields):
    return lambda frames: frames[row].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            set_in(1, 0, joints=[[1, 2, 3]] * 20),
            "joints of frames[1], right hand must have shape (21, 3) for order 'mediapipe', found (20, 3)",
        ),
        (
            set_in(1, 1, joints=[[1, 2, 3]] * 20 + [[1, 2]]),
            "joints of frames[1], left hand must have shape (21, 3) for order 'mediapipe', found ragged",
        ),
        (set_in(2, 0, joints=[["a", 2, 3]] * 21), "joints of frames[2], right hand must have shape"),
        (
            set_in(2, 0, keypoints_px=[[1, 2, 3]] * 21),
            "keypoints_px of frames[2], right hand must have shape (21, 2)",
        ),
        (set_in(0, 0, confidence=[0.5] * 3), "confidence of frames[0], right hand must have shape (21,) for"),
        (
            set_in(0, 0, confidence=1.5),
            "confidence of frame 0, right hand, joint 0 must lie in 0 ... 1 (21 such)",
        ),
        (
            set_in(1, 0, joints=[[1, float("inf"), 3]] * 21),
            "joints of frame 2, right hand, joint 0 is infinite; mark a",
        ),
        (
            set_in(1, 1, side="right"),
            "frames[1] holds two right hands; a frame holds at most one of each side",
        ),
        (
            set_in(1, 1, side="Left"),
            'the side of a hand in frames[1] must be "left" or "right", found \'Left\'',
        ),
        (
            set_in(1, 1, keypoint=[]),
            "unknown field in frames[1], left hand: keypoint; known: side, keypoints_px",
        ),
        (set_frame(1, score=1), "unknown field in frames[1]: score; known: frame, time_s, hands"),
        (
            set_frame(1, hands=None),
            'frames[1] must have "hands", a list of objects; an empty list if none was seen',
        ),
        (set_frame(2, frame=2), "frame 2 in row 2 appears twice; frames must increase"),
        (set_frame(2, frame=1), "frame 1 in row 2 comes after 2; frames must increase"),
        (set_frame(0, frame=-1), "frame numbers start at 0, found -1"),
        (set_frame(0, frame=0.5), "frame numbers must be whole, found 0.5"),
        (set_frame(0, frame=1e300), "frame numbers must be whole, found 1e+300"),
        (set_frame(0, frame="a"), "frame of frames[0] must be a number, found 'a'"),
        (lambda frames: frames[1].pop("frame"), 'frames[1] has no "frame", but other frames have'),
    ],
)
def test_json_refusals(tmp_path, change, message):
    assert message in refusal(save_json(tmp_path, edited(change)))


def test_json_document_refusals(tmp_path):
    content = document(coordinates(2))
    for change, message in (
        ({"times_s": [0.1]}, '"times_s" must be a list of 2 numbers, one per frame, found shape (1,)'),
        ({"times_s": [0.2, 0.1]}, "time 0.1 in row 1 comes after 0.2; times must increase"),
        ({"times_s": [0.2, None]}, "the time of row 1 is not finite"),
        ({"frames": {}}, '"frames" must be a list of objects, one per frame'),
        (
            {"fps": 30},
            "unknown field fps; known: format, version, order, unit, space, frame_rate, times_s, frames",
        ),
    ):
        assert message in refusal(save_json(tmp_path, content | change))
    empty = save_json(tmp_path, HEADER | {"frames": []})
    assert "holds neither 2D keypoints nor 3D joints" in refusal(empty)
    plain = save_json(tmp_path, {"model": "pinhole"})
    assert 'has no "format": "handloom-joints"; is it a file of stored joints?' in refusal(plain)
    text = json.dumps(content)
    plain.write_text(text[: len(text) // 2])
    assert "ends in the middle (truncated?) at line 1, column" in refusal(plain)


def test_npz_refusals(tmp_path):
    joints = coordinates(2)
    for arrays, message in (
        ({"joints": joints[:, :, :20]}, "joints must have shape (2, 2, 21, 3), found (2, 2, 20, 3)"),
        (
            {"joints": joints, "keypoints_px": joints},
            "keypoints_px must have shape (2, 2, 21, 2), found (2, 2, 21, 3)",
        ),
        ({"joints": joints, "times_s": [0.1]}, "times_s must have shape (2,), found (1,)"),
        ({"joints": joints, "times_s": [0.1, 0.1]}, "time 0.1 in row 1 appears twice; times must increase"),
        ({"joints": joints, "frame": [0.0, 1.0]}, "frame must hold integers, found float64"),
        ({"joints": joints, "valid": np.ones((2, 2, 21))}, "valid must hold booleans, found float64"),
        ({"joints": joints.astype(str)}, "joints must hold numbers, found <U"),
        ({"joints": joints, "frame_rate": [30]}, "frame_rate must be a single value, found shape (1,)"),
        ({"joints": joints, "hand": [0]}, "unknown array hand; known: format"),
        ({"joints": joints.astype(object)}, "holds pickled objects, which could run code"),
        ({"joints": np.float64(1)}, "joints must have shape (0, 2, 21, 3), found ()"),
        ({}, "holds neither 2D keypoints nor 3D joints"),
    ):
        assert message in refusal(save_npz(tmp_path, **HEADER | arrays)), message


class RunsCode:
    def __reduce__(self):
        return (Path("/tmp/handloom-pickle-ran").touch, ())


def test_pickles_and_damage_in_npz(tmp_path):
    path = tmp_path / "hands.npz"
    path.write_bytes(pickle.dumps(RunsCode()))
    assert "holds pickled objects, which could run code when read" in refusal(path)
    np.savez(path, joints=np.array([RunsCode()], dtype=object))
    assert "holds pickled objects" in refusal(path)
    assert not Path("/tmp/handloom-pickle-ran").exists()
    whole = save_npz(tmp_path, joints=coordinates(2), **HEADER).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged or not an NPZ archive" in refusal(path)
    np.savez_compressed(path, joints=coordinates(2), **HEADER)
    packed = path.read_bytes()
    path.write_bytes(packed[:100] + b"\xff" * 100 + packed[200:])
    assert "is damaged or not an NPZ archive" in refusal(path)
    path.write_bytes(whole[:600] + b"\0" * 100 + whole[700:])
    assert "is damaged or not an NPZ archive" in refusal(path)


def test_parquet_refusals(tmp_path):
    columns = long_form(coordinates(2))
    rows = len(columns["frame"])

    def with_value(name, row, value):
        column = np.array(columns[name])
        column[row] = value
        return {name: column}

    for changes, message in (
        (with_value("hand", 5, "both"), "hand 'both' in row 5 is unknown; known: left, right"),
        (with_value("joint", 7, 21), "joint 21 in row 7 is outside 0 ... 20 of order 'mediapipe'"),
        (with_value("joint", 7, 6), "frame 0, left hand, joint 6 appears 2 times"),
        (with_value("x", 30, np.inf), "joints of frame 0, right hand, joint 9 is infinite"),
        (with_value("frame", 0, -1), "frame numbers start at 0, found -1"),
        ({"frame": columns["frame"] + 0.5}, "column frame must hold whole numbers, found double"),
        ({"hand": columns["joint"]}, "column hand must hold text, found int64"),
        ({"x": ["a"] * rows}, "column x must hold numbers, found string"),
        ({"time_s": np.arange(rows) / 10}, "rows of frame 0 have different time_s: 0 and 4.1"),
        ({"time_s": 1.0 - columns["frame"]}, "time 0.0 in row 1 comes after 1.0; times must increase"),
        ({"time_s": np.full(rows, np.nan)}, "time_s of row 0 is missing"),
        ({"side": columns["hand"]}, "unknown column side; known: frame, time_s, hand, joint"),
        ({"z": None}, "needs all of the columns x, y, z, or none of them"),
        ({"hand": None}, "has no column hand; found frame, joint, x, y, z"),
        ({"frame": None}, "has no column frame or time_s; found hand"),
    ):
        changed = {name: column for name, column in (columns | changes).items() if column is not None}
        assert message in refusal(save_parquet(tmp_path, changed)), message
    path = tmp_path / "hands.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "is damaged or not a Parquet file" in refusal(path)
    garbled = pa.array([b"\xfft"] * rows).view(pa.string())
    assert "is damaged or not a Parquet file" in refusal(save_parquet(tmp_path, columns | {"hand": garbled}))
    bare = save_parquet(tmp_path, columns, header=None)
    assert read_joints(bare, order="mediapipe", unit="mm", space="camera").joints_m[0, 0, 0, 0] == 1 / 64 / 1000


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    assert "does not exist" in refusal(tmp_path / "hands.npz")
    assert "stored joints end in .json, .npz, .parquet; found '.csv'" in refusal(tmp_path / "hands.csv")
    (tmp_path / "a.json").mkdir()
    assert "is a folder; give the file itself" in refusal(tmp_path / "a.json")
