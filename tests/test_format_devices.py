"""Recordings of Leap Motion controllers and of a HoloLens: made-up files, malformed ones, the shared recordings."""

import csv
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.formats.hololens import COLUMNS, read_hololens
from handloom.formats.leap import read_leap
from handloom.formats.tracks import read_any_track
from handloom.metrics.track import palm_spread
from handloom.skeleton import LEFT, RIGHT

SHARED = Path(__file__).parents[2] / "shared" / "data"
LEAP, HOLOLENS = SHARED / "leap-recordings", SHARED / "hololens2-gestures"
shared = pytest.mark.skipif(not LEAP.is_dir(), reason="the shared recordings are not beside this checkout")


def finger(kind, hand=7):
    parts = ("mcpPosition", "pipPosition", "dipPosition", "tipPosition")
    points = {part: [10.0 * kind, 100 + kind, -20.0 * k] for k, part in enumerate(parts)}
    return {"type": kind, "handId": hand, "tool": False, **points}


def frame(t=0, side="right"):
    hand = {"id": 7, "type": side, "direction": [0, 0, -1], "confidence": 0.8}
    return {"timestamp": 1000 + 10_000 * t, "hands": [hand], "pointables": [finger(k) for k in range(5)]}


def test_leap_by_hand(tmp_path):
    path = tmp_path / "r.json.xz"
    frames = [frame(0), frame(1, "left"), {"timestamp": 21_000, "hands": [], "pointables": []}]
    path.write_bytes(lzma.compress(json.dumps({"frames": frames}).encode()))
    track = read_leap(path)
    np.testing.assert_allclose(track.times_s, [0, 0.01, 0.02])
    assert track.present.tolist() == [[False, True], [True, False], [False, False]]
    np.testing.assert_allclose(track.joints_m[0, RIGHT, 6], [0.01, -0.101, 0.02], atol=1e-6)
    np.testing.assert_allclose(track.joints_m[0, RIGHT, 0], [0.025, -0.1025, -1.9 * 0.02], atol=1e-6)
    assert track.confidence[0, RIGHT, :2].tolist() == pytest.approx([0.4, 0.8])
    assert track.frame == "world"
    assert len(read_any_track(path)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "damaged or no JSON"),
        (b"[]", "an object with a list of frames"),
        (json.dumps({"frames": [{"hands": []}]}).encode(), "frame 0: no frame of a Leap Motion"),
        (json.dumps({"frames": [frame(1), frame(0)]}).encode(), "frame 1: its time is not later"),
        (json.dumps({"frames": [frame() | {"hands": [{"id": 7, "type": "foot"}]}]}).encode(), "frame 0: no frame"),
    ],
)
def test_malformed_leap(tmp_path, content, message):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_leap(path)
    with pytest.raises(InputError, match="does not exist"):
        read_leap(tmp_path / "none.json")


def log(path, changes=()):
    names = ["Label", "Time", "Counter", *COLUMNS, *(f"{name}.1" for name in COLUMNS), "Palm"]
    rows = []
    for t, label in enumerate(["", "8.0", "0.0", "0.0", "8.0"]):
        row = dict.fromkeys(names, "0") | {"Label": label, "Time": f"2024-02-19 20:28:37.{100 + 40 * t}"}
        for k, name in enumerate(COLUMNS):
            row[f"{name}.1"] = f"(0.{k:03d}/ -0.300/ 0.4{t}0)"
        rows.append(row)
    for t, name, value in changes:
        rows[t][name] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_hololens_by_hand(tmp_path):
    track = read_any_track(log(tmp_path / "t.csv"))
    assert track.present[:, LEFT].all()
    assert not track.present[:, RIGHT].any()
    np.testing.assert_allclose(track.joints_m[2, LEFT, 5], [0.005, 0.3, 0.42], atol=1e-6)
    assert [(a.label, round(a.start_s, 3), round(a.end_s, 3)) for a in track.actions] == [("gesture 0", 0.08, 0.16)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((1, "Wrist.1", "(1/ 2)"), r"row 3, column 'Wrist.1': expected \(x/ y/ z\) or 0"),
        ((1, "Time", "noon"), "row 3: Time is no time, found 'noon'"),
        ((1, "Time", "2023-02-19 20:28:37"), "row 3: its time is not later"),
    ],
)
def test_malformed_hololens(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_hololens(log(tmp_path / "t.csv", [change]))


def test_other_tables_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="it has no column 'Time'"):
        read_hololens(tmp_path / "t.csv")


@shared
def test_shared_recordings_hold_hands_of_human_size():
    tracks = [read_leap(path) for path in (LEAP / "pinch.json.xz", LEAP / "confidence2-49fps.json.xz")]
    tracks.append(read_hololens(HOLOLENS / "20240216_202836897-Tracking.csv"))
    for track in tracks:
        from handloom.geometry.hand_frames import palm_size

        sizes = palm_size(track.joints_m.astype(np.float64))[track.present]
        assert 0.07 < np.median(sizes) < 0.11
        assert np.nanmax(palm_spread(track)) < 0.05
    assert {action.label for action in tracks[2].actions} == {f"gesture {k}" for k in range(4)}
    # Seen from the front a left thumb lies on the other side of the fingers than a right one.
    assert tracks[1].present.all(0).tolist() == [True, False]


RECORDINGS = sorted([*LEAP.glob("*.json.xz"), *HOLOLENS.glob("*.csv")]) if LEAP.is_dir() else []


@shared
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_left_and_right_are_not_mixed_up(path):
    """Fingers bend to the palm's side: from index to little finger it lies right-handed in the right hand alone."""
    track = read_any_track(path)
    joints = track.joints_m.astype(np.float64)
    index, little = (joints[..., k, :] - joints[..., 0, :] for k in (5, 17))
    bent = joints[..., [8, 12, 16, 20], :].mean(-2) - joints[..., [5, 9, 13, 17], :].mean(-2)
    side = (np.cross(index, little) * bent).sum(-1)
    for hand, expected in ((LEFT, -1), (RIGHT, 1)):
        seen = side[track.present[:, hand], hand]
        if len(seen) > 100:
            assert np.sign(np.median(seen)) == expected
