"""What is written comes back: every time, every picture, every colour."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import make_video as make
from handloom.errors import OutputError
from handloom.video import VideoWriter, open_source

CLOCKS = {
    "29.97": (Fraction(1001, 30000), list(range(20))),
    "late start": (Fraction(1, 90000), [45017 + 3003 * k for k in range(20)]),
    "variable": (Fraction(1, 1000), [7 + k * k for k in range(20)]),
    "microseconds": (Fraction(1, 1_000_000), [k * 33333 + k % 3 for k in range(20)]),
    "coarse": (Fraction(100, 2997), list(range(5, 25))),
    "one picture": (Fraction(1, 30), [3]),
}


def write(path, pts, time_base, width=160, height=96, rate=30.0):
    with VideoWriter(path, width, height, time_base, rate) as writer:
        for number, moment in enumerate(pts):
            writer.write(make.picture(number, width, height), moment)


def write_and_raise(path, count, error):
    with VideoWriter(path, 160, 96, Fraction(1, 30), 30.0) as writer:
        for k in range(count):
            writer.write(make.picture(k), k)
        raise error


@pytest.mark.parametrize("size", [(160, 96), (161, 97), (160, 97)])
@pytest.mark.parametrize("clock", CLOCKS)
def test_times_and_pictures_come_back_exactly(tmp_path, clock, size):
    time_base, pts = CLOCKS[clock]
    write(tmp_path / "a.mp4", pts, time_base, *size)
    source = open_source(tmp_path / "a.mp4")
    got = [(f.pts * source.info.time_base, make.number_of(f.image)) for f in source]
    assert got == [(p * time_base, k) for k, p in enumerate(pts)]
    assert (source.info.width, source.info.height) == size
    assert not source.problems
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("size", [(160, 96), (161, 97)])
def test_colours_come_back(tmp_path, size):
    write(tmp_path / "a.mp4", range(3), Fraction(1, 30), *size)
    for frame in open_source(tmp_path / "a.mp4"):
        np.testing.assert_allclose(make.quadrants(frame.image), make.COLOURS, atol=4)


def test_reader_feeds_writer(tmp_path):
    source = open_source(make.rotate(make.clip(tmp_path / "a.mp4", 10), 90))
    info = source.info
    with VideoWriter(tmp_path / "b.mp4", info.width, info.height, info.time_base, info.frame_rate) as writer:
        for frame in source:
            writer.write(frame.image, frame.pts)
    again = open_source(tmp_path / "b.mp4")
    assert again.info.times_s.tolist() == info.times_s.tolist()
    assert again.info.frame_rate == pytest.approx(info.frame_rate)


def test_ctrl_c_leaves_a_whole_file_of_what_was_written(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(tmp_path / "a.mp4", 7, KeyboardInterrupt)
    assert [make.number_of(f.image) for f in open_source(tmp_path / "a.mp4")] == list(range(7))


def test_any_other_exception_leaves_nothing_and_keeps_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_and_raise(tmp_path / "a.mp4", 1, ZeroDivisionError)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.mp4", "old")]


def test_nothing_written_is_no_file_and_closing_twice_is_harmless(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 160, 96, Fraction(1, 30), 30.0)
    writer.close()
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_refusals(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere/a\.mp4: cannot be written: No such file or directory"):
        VideoWriter(tmp_path / "nowhere" / "a.mp4", 160, 96, Fraction(1, 30), 30.0)
    with pytest.raises(OutputError, match=r"a\.avi: the name of an output video must end in \.mp4"):
        VideoWriter(tmp_path / "a.avi", 160, 96, Fraction(1, 30), 30.0)
    with VideoWriter(tmp_path / "a.mp4", 160, 96, Fraction(1, 30), 30.0) as writer:
        writer.write(make.picture(0), 5)
        with pytest.raises(OutputError, match="timestamps must increase from 0 on; 5 follows 5"):
            writer.write(make.picture(1), 5)
        with pytest.raises(ValueError, match=r"shape \(96, 160, 3\), found \(97, 160, 3\)"):
            writer.write(make.picture(1, 160, 97), 6)


FILL = """
import sys, resource
from fractions import Fraction
import numpy as np
from handloom.errors import OutputError
from handloom.video import VideoWriter
limit, count = int(sys.argv[2]), int(sys.argv[3])
noise = np.random.default_rng(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with VideoWriter(sys.argv[1], 160, 96, Fraction(1, 30), 30.0) as writer:
        for k in range(count):
            writer.write(noise.integers(0, 256, (96, 160, 3), np.uint8), k)
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(("limit", "count"), [(100_000, 60), (1_000, 1)])
def test_no_space_left_is_told_and_leaves_nothing(tmp_path, limit, count):
    """Whether the disk fills while pictures come or with the last flush."""
    src = str(Path(__file__).parents[1] / "src")
    run = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "a.mp4"), str(limit), str(count)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": src},
        timeout=60,
    )
    assert run.stdout.strip() == f"{tmp_path / 'a.mp4'}: cannot be written: File too large", run.stderr
    assert list(tmp_path.iterdir()) == []
