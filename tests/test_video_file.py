"""Reading video files: exact times, true indices, located damage, clear errors."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import make_video as make
from handloom.errors import InputError
from handloom.video import FrameLookup, file_digest, open_source

REAL_CLIP = Path(__file__).parents[2] / "shared/data/handpose3d-stereo/media/cam0_test.mp4"


def numbers(source):
    """What each frame says that it is, and what its picture shows."""
    return [(frame.index, make.number_of(frame.image)) for frame in source]


def whole(count):
    return [(k, k) for k in range(count)]


def test_frames_carry_their_number_and_exact_time(tmp_path):
    path = make.clip(tmp_path / "a.mp4", 25, time_base=Fraction(1001, 30000), audio=True)
    with open_source(path) as source:
        frames = list(source)
        info = source.info
    assert [f.index for f in frames] == [make.number_of(f.image) for f in frames] == list(range(25))
    assert [f.pts * info.time_base for f in frames] == [k * Fraction(1001, 30000) for k in range(25)]
    assert [f.time_s for f in frames] == [float(k * Fraction(1001, 30000)) for k in range(25)]
    assert info.times_s.tolist() == [f.time_s for f in frames]
    assert (info.width, info.height, info.frame_count, info.codec) == (160, 96, 25, "h264")
    assert info.frame_rate == pytest.approx(30000 / 1001, abs=1e-9)
    assert info.duration_s == pytest.approx(25 * 1001 / 30000, abs=1e-3)
    assert info.audio
    assert not info.variable_frame_rate
    assert not source.problems
    image = frames[0].image
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    # Untagged clips are BT.601 to every reader; four colours within what 4:2:0 and crf 23 cost.
    np.testing.assert_allclose(make.quadrants(image), make.COLOURS, atol=6)


def test_a_file_can_be_read_again_and_problems_are_not_counted_twice(tmp_path):
    source = open_source(make.damage(make.clip(tmp_path / "a.mp4", 20), 19))
    first = numbers(source)
    problems = list(source.problems)
    assert len(problems) >= 1
    assert numbers(source) == first
    assert source.problems == problems


def test_variable_frame_rate_keeps_every_time(tmp_path):
    pts = [7 + k * k for k in range(20)]
    source = open_source(make.clip(tmp_path / "a.mkv", time_base=Fraction(1, 1000), pts=pts))
    assert [f.pts for f in source] == pts
    assert source.info.variable_frame_rate
    assert source.info.times_s.tolist() == [t / 1000 for t in pts]
    assert source.info.frame_rate == pytest.approx(19 / ((pts[-1] - pts[0]) / 1000))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mkv", "ffv1", "gray"),
        ("a.mp4", "libx264", "yuv420p10le"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "libx264", "yuv420p"),  # B-frames, of which AVI does not know the order
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mov", "mpeg4", "yuv420p"),
    ],
)
def test_containers_and_pixel_formats(tmp_path, name, codec, pixel_format):
    time_base = Fraction(1, 25)
    source = open_source(make.clip(tmp_path / name, 15, codec=codec, pixel_format=pixel_format, time_base=time_base))
    frames = list(source)
    assert [(f.index, make.number_of(f.image)) for f in frames] == whole(15)
    np.testing.assert_allclose(np.diff([f.time_s for f in frames]), 0.04, atol=1e-9)
    assert source.info.frame_count == 15
    assert source.info.frame_rate == pytest.approx(25)
    assert not source.problems
    if pixel_format == "gray":
        np.testing.assert_array_equal(np.ptp(frames[0].image, axis=2), 0)
        luma = make.COLOURS @ [0.299, 0.587, 0.114]
        np.testing.assert_allclose(make.quadrants(frames[0].image)[:, 0], luma, atol=3)
    elif pixel_format != "rgb8":  # 256 colours are too few for an exact one
        np.testing.assert_allclose(make.quadrants(frames[0].image), make.COLOURS, atol=6)


def test_a_stream_without_any_times_is_counted_at_its_nominal_rate(tmp_path):
    source = open_source(make.clip(tmp_path / "a.h264", 12, container="h264"))
    assert numbers(source) == whole(12)
    assert source.info.nominal_times
    np.testing.assert_allclose(source.info.times_s, np.arange(12) / 30)


def test_odd_sizes_keep_every_row_and_column(tmp_path):
    source = open_source(make.clip(tmp_path / "a.mp4", 3, width=161, height=97, pixel_format="yuv444p"))
    assert (source.info.width, source.info.height) == (161, 97)
    assert all(f.image.shape == (97, 161, 3) and f.image.flags.c_contiguous for f in source)


@pytest.mark.parametrize(("turn", "order"), [(0, "0123"), (90, "2031"), (180, "3210"), (270, "1302")])
def test_rotated_files_come_upright(tmp_path, turn, order):
    source = open_source(make.rotate(make.clip(tmp_path / "a.mp4", 3), turn))
    image = next(iter(source)).image
    assert source.info.rotation_deg == turn
    assert image.shape[:2] == ((96, 160) if turn % 180 == 0 else (160, 96))
    assert image.shape[:2] == (source.info.height, source.info.width)
    assert image.flags.c_contiguous
    np.testing.assert_allclose(make.quadrants(image), make.COLOURS[[int(k) for k in order]], atol=6)


def test_rotation_agrees_with_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = make.rotate(make.clip(tmp_path / "a.mp4", 2), 90)
    theirs = cv2.VideoCapture(str(path)).read()[1][:, :, ::-1]
    np.testing.assert_allclose(make.quadrants(next(iter(open_source(path))).image), make.quadrants(theirs), atol=4)


def test_mirrored_flips_the_upright_picture(tmp_path):
    path = make.rotate(make.clip(tmp_path / "a.mp4", 3), 90)
    plain, flipped = (next(iter(open_source(path, mirrored=m))).image for m in (False, True))
    np.testing.assert_array_equal(flipped, plain[:, ::-1])


@pytest.mark.parametrize("full_range", [False, True])
def test_full_range_greys_do_not_fade(tmp_path, full_range):
    path = tmp_path / "a.mkv"
    luma = 200 if full_range else 16 + 200 * 219 / 255
    planes = np.full((96 * 3 // 2, 160), 128, np.uint8)
    planes[:96] = round(luma)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.color_range = 2 if full_range else 1
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.color_range = 2 if full_range else 1
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    np.testing.assert_allclose(next(iter(open_source(path))).image, 200, atol=2)


B_FRAMES = {"bf": "2", "b-pyramid": "normal"}


@pytest.mark.parametrize("packet", range(0, 30, 3))
@pytest.mark.parametrize(("codec", "options"), [("libx264", B_FRAMES), ("libvpx-vp9", {})])
def test_damage_anywhere_loses_no_sound_frame_and_lets_no_wrong_one_through(tmp_path, packet, codec, options):
    path = make.damage(make.clip(tmp_path / "a.mp4", 30, codec=codec, options=options), packet)
    source = open_source(path)
    got = numbers(source)
    lost = [problem.index for problem in source.problems]
    assert all(index == number for index, number in got)
    assert sorted([index for index, _ in got] + lost) == list(range(30))
    assert 1 <= len(lost) <= 10  # never beyond the group of pictures
    assert {index // 10 for index in lost} == {packet // 10}
    assert all(problem.time_s == source.info.times_s[problem.index] for problem in source.problems)
    culprits = [p for p in source.problems if "cannot be decoded" in p.reason or "with errors" in p.reason]
    assert culprits
    assert all(p in culprits or "refers to frame" in p.reason for p in source.problems)


def test_without_b_frames_the_damaged_frame_itself_is_named(tmp_path):
    path = make.damage(make.clip(tmp_path / "a.mp4", 30, codec="mpeg4"), 16, keep=0)
    source = open_source(path)
    assert numbers(source) == [(k, k) for k in (*range(16), *range(20, 30))]
    assert [p.index for p in source.problems] == [16, 17, 18, 19]
    assert source.problems[0].reason.startswith("cannot be decoded")
    assert source.problems[1].reason == "refers to frame 16, which is damaged"
    assert source.problems[0].time_s == pytest.approx(16 / 30)


def test_a_truncated_mp4_says_how_much_is_there(tmp_path):
    path = make.clip(tmp_path / "a.mp4", 40, container_options={"movflags": "faststart"})
    os.truncate(path, make.packet_ranges(path)[25][0])
    source = open_source(path)
    assert source.info.frame_count == 25
    got = numbers(source)
    assert all(index == number for index, number in got)
    assert len(got) >= 20
    reasons = [p.reason for p in source.problems if p.index is None]
    assert reasons == ["the file is cut off: its header promises 40 frames, 25 are there"]


def test_a_truncated_mkv_says_how_much_is_there(tmp_path):
    path = make.clip(tmp_path / "a.mkv", 90)
    os.truncate(path, path.stat().st_size // 2)
    source = open_source(path)
    got = numbers(source)
    assert 10 < len(got) < 80
    assert all(index == number for index, number in got)
    assert "its header promises 3.0 s" in source.problems[0].reason


def test_an_mp4_without_its_index_says_what_to_do(tmp_path):
    path = make.clip(tmp_path / "a.mp4", 40)
    os.truncate(path, path.stat().st_size - 700)
    with pytest.raises(InputError, match=r"a\.mp4: the index of this MP4 .* missing.* Copy it again"):
        open_source(path)


def test_equal_timestamps_are_one_frame(tmp_path):
    path = tmp_path / "b.mkv"
    steady = make.clip(tmp_path / "a.mkv", 10, codec="mjpeg", pixel_format="yuvj420p")
    with av.open(str(steady)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for k, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.pts = packet.dts = 100 * (k if k != 5 else 4)
            packet.stream = stream
            out.mux(packet)
    read = open_source(path)
    times = [f.time_s for f in read]
    assert (np.diff(times) > 0).all()
    assert len(times) == read.info.frame_count == 9
    assert read.problems[0].reason == "1 frames repeat the timestamp of another and are left out"


def empty(path):
    path.write_bytes(b"")
    return path


def text(path):
    path.write_text("not a video\n" * 200)
    return path


def header_only(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        out.start_encoding()
    return path


@pytest.mark.parametrize(
    ("build", "name", "message"),
    [
        (lambda path: path, "a.mp4", r"a\.mp4: no such file or folder"),
        (empty, "a.mp4", r"a\.mp4: the file is empty"),
        (text, "a.mp4", r"a\.mp4: is not a video that can be read, .*; give a video"),
        (text, "a.txt", r"a\.txt: is not a video that can be read"),
        (make.sound_only, "a.m4a", r"a\.m4a: holds sound only, no pictures"),
        (header_only, "a.mkv", r"a\.mkv: is not a video that can be read, or ends before its first frame"),
        (header_only, "a.mp4", r"a\.mp4: (the video has no frames|is not a video)"),
    ],
)
def test_what_is_not_a_video_is_named(tmp_path, build, name, message):
    path = build(tmp_path / name)
    with pytest.raises(InputError, match=message):
        open_source(path)


def test_a_video_of_which_nothing_decodes(tmp_path):
    path = make.clip(tmp_path / "a.mp4", 10)
    data = bytearray(path.read_bytes())
    for start, stop in make.packet_ranges(path):
        data[start:stop] = b"\xff" * (stop - start)
    path.write_bytes(data)
    with pytest.raises(InputError, match="none of the 10 frames can be decoded"):
        open_source(path)


def test_an_unreadable_file_says_so(tmp_path):
    path = make.clip(tmp_path / "a.mp4", 2)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InputError, match="Permission denied"):
        open_source(path)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


@pytest.mark.parametrize("name", ["12:30.mp4", "clip %03d.mp4", "Hände [1].mp4", "0"])
def test_strange_names_are_only_names(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make.clip(tmp_path / "plain.mp4", 4).rename(tmp_path / name)
    assert numbers(open_source(name)) == whole(4)


def test_live_reading_of_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="live reading is for webcams and streams"):
        open_source(make.clip(tmp_path / "a.mp4", 2), live=True)


def test_digest(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match="nowhere: cannot be read: No such file"):
        file_digest(tmp_path / "nowhere")


@pytest.mark.skipif(not REAL_CLIP.exists(), reason=f"the shared clip is not here: {REAL_CLIP}")
def test_a_real_clip_decodes_whole():
    source = open_source(REAL_CLIP)
    count = sum(1 for _ in source)
    assert (count, source.info.frame_count, source.info.duration_s) == (378, 378, 12.6)
    assert not source.problems


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_any_frame_can_be_looked_up_in_any_order(tmp_path, suffix):
    """Forwards, backwards, far jumps; what is given is the frame that was asked for."""
    path = make.clip(tmp_path / f"clip.{suffix}", 60, gop=12, codec="mpeg4" if suffix == "avi" else "libx264")
    with open_source(path) as source:
        lookup = FrameLookup(source, kept=3)
        for index in (0, 1, 2, 40, 41, 17, 59, 58, 0, 30):
            assert make.number_of(lookup(index)) == index
        assert lookup(60) is None


def test_threads_may_read_one_file_side_by_side(tmp_path):
    path = make.damage(make.clip(tmp_path / "clip.mp4", 40), 15)
    with open_source(path) as source, ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda k: [f.index for f in source.select(lambda i: i % 3 == k)], range(3)))
        lost = {problem.index for problem in source.problems}
    assert sorted(index for part in parts for index in part) == [index for index in range(40) if index not in lost]
    assert 15 in lost


def test_selection_stops_at_the_limit(tmp_path):
    with open_source(make.clip(tmp_path / "clip.mp4", 20)) as source:
        assert [f.index for f in source.select(lambda i: i % 2 == 0, limit=7)] == [0, 2, 4, 6]
        assert [f.index for f in source.select(lambda _: True, start=17)] == [17, 18, 19]
        assert source.problems == []


def test_gradual_refresh_is_no_key_frame(tmp_path):
    """x264's intra refresh marks packets as keys from which the picture is not whole yet."""
    options = {"x264-params": "intra-refresh=1:keyint=12:bframes=0:scenecut=0"}
    path = make.clip(tmp_path / "clip.mp4", 60, gop=12, options=options)
    with open_source(path) as source:
        lookup = FrameLookup(source)
        for index in (30, 13, 55):
            assert make.number_of(lookup(index)) == index
        sound = {frame.index: frame.image for frame in source}
    make.damage(path, 14)
    with open_source(path) as source:
        for frame in source:
            assert np.abs(frame.image.astype(int) - sound[frame.index]).mean() < 1, frame.index
