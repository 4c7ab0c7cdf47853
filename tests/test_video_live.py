"""Webcams, streams, and threads that read ahead."""

import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import make_video as make
from handloom.errors import InputError
from handloom.video import Frame, VideoWriter, open_source, prefetch


@pytest.fixture
def serve(tmp_path):
    """Start a loopback server that sends an MPEG-TS and hangs up; gives its address."""
    servers = []

    def start(count=60, seconds=0.0, data=None, forever=False, hang_up_early=False):
        if data is None:
            path = tmp_path / f"{len(servers)}.ts"
            # No B-frames, as cameras send.
            data = make.clip(path, count, options={"bf": "0"}).read_bytes()
        packets = [data[k : k + 188] for k in range(0, len(data), 188)]

        class Sender(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                if not forever:
                    self.send_header("Content-Length", str(len(data) * (10 if hang_up_early else 1)))
                self.end_headers()
                try:
                    for packet in itertools.cycle(packets) if forever else packets:
                        self.wfile.write(packet)
                        if seconds:
                            time.sleep(seconds / len(packets))
                except OSError:
                    return

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Sender)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/live.ts"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def wait_for(condition):
    """Until it holds, or so long that it never will on any machine."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def reader_threads():
    return [t for t in threading.enumerate() if t.name == "handloom-frames"]


def test_a_stream_read_in_full_loses_nothing(serve):
    with open_source(serve(60)) as source:
        frames = list(source)
    assert [(f.index, make.number_of(f.image)) for f in frames] == [(k, k) for k in range(60)]
    np.testing.assert_allclose(np.diff([f.time_s for f in frames]), 1 / 30, atol=1e-9)
    assert source.info.frame_count is None
    assert source.dropped == 0
    assert not source.problems


def test_a_slow_reader_of_a_live_stream_loses_the_oldest_and_counts_them(serve):
    with open_source(serve(90), live=True) as source:
        coming = iter(source)
        frames = [next(coming)]
        wait_for(lambda: source.dropped >= 85)  # one is read, and at most four wait
        frames += coming
    indices = [f.index for f in frames]
    assert [make.number_of(f.image) for f in frames] == indices
    assert indices == sorted(set(indices))
    assert source.dropped >= 85
    assert len(frames) + source.dropped == 90
    assert indices[-4:] == [86, 87, 88, 89]  # what waited at the end; the oldest went
    assert [p.reason.split(": ")[-1] for p in source.problems] == ["the stream ended after 90 pictures"]


def test_a_live_stream_holds_few_pictures_however_late_its_reader_is(serve):
    with open_source(serve(600), live=True) as source:
        next(iter(source))
        wait_for(lambda: source.dropped >= 595)
        # 600 = the one read, those dropped, and at most four that wait.
        assert 595 <= source.dropped <= 599


def test_a_sender_that_starts_again_does_not_turn_time_back(serve, tmp_path):
    data = make.clip(tmp_path / "a.ts", 30, options={"bf": "0"}).read_bytes()
    with open_source(serve(data=data + data)) as source:
        times = [f.time_s for f in source]
    assert len(times) >= 55
    assert (np.diff(times) > 0).all()
    assert any("the clock of the stream jumps back" in p.reason for p in source.problems)


def test_a_sender_that_dies_ends_the_iteration_with_a_problem(serve):
    with open_source(serve(60, hang_up_early=True), live=True) as source:
        last = [frame.index for frame in source][-1]
    assert last == 59
    (problem,) = source.problems
    assert problem.index is None
    assert "broke off after 60 pictures" in problem.reason


def test_closing_ends_the_thread_while_the_stream_goes_on(serve):
    source = open_source(serve(60, seconds=1, forever=True), live=True)
    next(iter(source))
    assert reader_threads()
    source.close()
    assert not reader_threads()


def test_what_is_no_stream(serve):
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9/x: the stream cannot be opened \(Connection refused"):
        open_source("http://127.0.0.1:9/x", live=True)
    with pytest.raises(InputError, match=r"the stream cannot be opened .*Invalid data"):
        open_source(serve(data=b"no video\n" * 400), live=True)


class FakeCamera:
    """Gives numbered BGR pictures, and goes away after `count`."""

    count = 8

    def __init__(self, index):
        self.given = 0
        self.open = index == 0
        self.released = False
        type(self).latest = self

    def isOpened(self):  # noqa: N802
        return self.open

    def read(self):
        if not self.open or self.given > self.count:
            return False, None
        self.given += 1
        return True, np.ascontiguousarray(make.picture(self.given - 1)[:, :, ::-1])

    def get(self, _):
        return 0.0

    def release(self):
        self.released = True


@pytest.fixture
def camera(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    return FakeCamera


@pytest.mark.parametrize("name", [0, "0", "/dev/video0"])
def test_a_webcam_that_goes_away_ends_with_a_problem(camera, name):
    with open_source(name) as source:
        frames = list(source)
    assert len(frames) + source.dropped == 8
    assert all(make.number_of(f.image) == f.index + 1 for f in frames)  # the first was spent on opening
    np.testing.assert_array_equal(frames[-1].image, make.picture(8))
    assert (np.diff([f.time_s for f in frames]) > 0).all()
    assert (source.info.width, source.info.height, source.info.frame_rate) == (160, 96, 30.0)
    assert [p.reason for p in source.problems] == ["webcam 0 stopped giving pictures after 8"]
    assert camera.latest.released
    assert not reader_threads()


def test_a_mirrored_webcam(camera):
    with open_source(0, mirrored=True) as source:
        *_, last = source
    np.testing.assert_array_equal(last.image, make.picture(8)[:, ::-1])


def test_no_such_webcam(camera):
    with pytest.raises(InputError, match="webcam 7 cannot be opened or gives no picture"):
        open_source("7")
    assert camera.latest.released


class Counter:
    """Frames without end that say how many were taken, and whether their iterator was closed."""

    def __init__(self, stop_at=None):
        self.taken, self.closed, self.stop_at = 0, False, stop_at

    def __iter__(self):
        try:
            for k in itertools.count():
                if k == self.stop_at:
                    raise InputError("broken at 5")
                self.taken += 1
                yield Frame(k, k, k / 30, np.zeros((1, 1, 3), np.uint8))
        finally:
            self.closed = True


def test_prefetch_gives_the_same_frames(tmp_path):
    source = open_source(make.clip(tmp_path / "a.mp4", 30))
    assert [(f.pts, make.number_of(f.image)) for f in prefetch(source)] == [
        (f.pts, make.number_of(f.image)) for f in source
    ]
    assert not reader_threads()


def test_memory_does_not_grow_with_length(tmp_path):
    psutil = pytest.importorskip("psutil")
    source = open_source(make.clip(tmp_path / "a.mp4", 1500, options={"preset": "ultrafast"}))
    process, used = psutil.Process(), {}
    with VideoWriter(tmp_path / "b.mp4", 160, 96, source.info.time_base, 30.0) as writer:
        for frame in prefetch(source):
            writer.write(frame.image, frame.pts)
            if frame.index in (300, 1499):
                used[frame.index] = process.memory_info().rss
    # One kept picture in three would show: 1200 of 46 kB are 55 MB.
    assert used[1499] - used[300] < 18e6


def test_prefetch_stays_within_its_depth_and_stops_with_its_reader():
    source = Counter()
    ahead = prefetch(source, depth=3)
    assert [next(ahead).index for _ in range(4)] == [0, 1, 2, 3]
    wait_for(lambda: source.taken >= 8)
    time.sleep(0.05)
    assert source.taken == 4 + 3 + 1  # given, waiting, and one in the thread's hands
    ahead.close()
    assert source.closed
    assert not reader_threads()


def test_prefetch_raises_what_the_source_raises_after_the_frames_before_it():
    ahead = prefetch(Counter(stop_at=5))
    assert [next(ahead).index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="broken at 5"):
        next(ahead)
    assert not reader_threads()
