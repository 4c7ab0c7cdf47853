"""Preparing: resumable after a kill, idempotent, the same bytes for any number of workers, faults located."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from handloom.datasets.frames import project_hands
from handloom.datasets.prepare import prepare, prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError, OutputError
from handloom.formats.episode import Episode, PictureFiles
from made_up_store import FRONT, MadeUp, picture

SIZE = (64, 36)
TESTS = Path(__file__).parent


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "store"
    prepare_episodes(MadeUp(), out, SIZE)
    return digest(out)


@pytest.mark.parametrize("workers", [2, 3])
def test_same_bytes_whatever_the_number_of_workers(tmp_path, one_worker, workers):
    seen = []
    prepare_episodes(MadeUp(), tmp_path / "s", SIZE, workers=workers, progress=lambda *step: seen.append(step))
    assert digest(tmp_path / "s") == one_worker
    assert seen == [("prepare", done, 3) for done in range(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_killed_and_run_again(tmp_path, one_worker):
    out, part = tmp_path / "s", tmp_path / "s.part"
    script = f"""
        import sys, time
        sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent / "src")!r}]
        from pathlib import Path
        from handloom.datasets.prepare import prepare_episodes
        from made_up_store import MadeUp
        class Slow(MadeUp):
            def read(self, name):
                if name == self.names[2]:
                    print("two are done", flush=True)
                    time.sleep(60)
                return super().read(name)
        prepare_episodes(Slow(), Path({str(out)!r}), {SIZE})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "two are done\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in (part / "shards").rglob("*.mp4")}
    assert len(kept) == 4
    # What a kill in the middle of a recording and of the last step leaves behind.
    half = part / "shards" / "recording-subject2%2Ftake%2F2.part"
    half.mkdir()
    (half / "front.mp4.part").write_bytes(b"half")
    (part / "store").mkdir()
    (part / "store" / "rubbish").write_bytes(b"half")

    done = prepare_episodes(MadeUp(), out, SIZE)
    assert (done.found, done.recordings, done.frames) == (2, 3, 95)
    assert digest(out) == one_worker
    assert not part.exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc to see the processes in")
def test_killed_with_several_workers_and_run_again(tmp_path, one_worker):
    """Nothing outlives the killed process; what it had finished is kept, and the bytes are those of a whole run."""
    out = tmp_path / "s"
    slow = """
        import time
        from made_up_store import MadeUp
        class Slow(MadeUp):
            def read(self, name):
                if name == self.names[2]:
                    time.sleep(60)
                return super().read(name)
    """
    (tmp_path / "slow_source.py").write_text(textwrap.dedent(slow))
    script = f"""
        import sys
        sys.path[:0] = [{str(tmp_path)!r}, {str(TESTS)!r}, {str(TESTS.parent / "src")!r}]
        from pathlib import Path
        from slow_source import Slow
        from handloom.datasets.prepare import prepare_episodes
        if __name__ == "__main__":
            prepare_episodes(Slow(), Path({str(out)!r}), {SIZE}, workers=2)
    """
    (tmp_path / "run.py").write_text(textwrap.dedent(script))
    process = subprocess.Popen([sys.executable, tmp_path / "run.py"])
    shards = tmp_path / "s.part" / "shards"
    try:
        _wait(lambda: all((shards / f"recording-subject1%2Ftake%2F{n}").is_dir() for n in (0, 1)))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = [int(child) for child in children.read_text().split()]
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(workers) >= 2  # and the process that Python itself keeps beside them
    _wait(lambda: not any(_runs(worker) for worker in workers))
    done = prepare_episodes(MadeUp(), out, SIZE, workers=2)
    assert (done.found, done.recordings) == (2, 3)
    assert digest(out) == one_worker
    assert not (tmp_path / "s.part").exists()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"  # whoever adopted it may not have looked yet


def _wait(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_finished_shards_are_not_made_again(tmp_path):
    read = []

    class Counted(MadeUp):
        def read(self, name: str) -> Episode:
            read.append(name)
            if name == self.names[2] and read.count(name) == 1:
                raise InputError("the disk was pulled out")
            return super().read(name)

    with pytest.raises(InputError, match="pulled out"):
        prepare_episodes(Counted(), tmp_path / "s", SIZE)
    prepare_episodes(Counted(), tmp_path / "s", SIZE)
    # The first is read twice at the start: once for the layout.
    assert read == ["subject1/take/0", "subject1/take/0", "subject1/take/1", "subject2/take/2", "subject2/take/2"]


def test_a_finished_store_is_left_alone(tmp_path):
    out = tmp_path / "s"
    prepare_episodes(MadeUp(), out, SIZE)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = prepare_episodes(MadeUp(), out, SIZE)
    assert again.found == again.recordings == 3
    assert again.frames == 95
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    with pytest.raises(OutputError, match="prepared with other settings"):
        prepare_episodes(MadeUp(), out, (32, 18))
    with pytest.raises(OutputError, match="holds subject2/take/2, which the source has not"):
        prepare_episodes(MadeUp((40, 25, 10, 9)), out, SIZE)


def test_an_interrupted_run_is_not_mixed_with_other_settings(tmp_path):
    class Broken(MadeUp):
        def read(self, name: str) -> Episode:
            if name == self.names[1]:
                raise InputError("bad")
            return super().read(name)

    with pytest.raises(InputError, match="bad"):
        prepare_episodes(Broken(), tmp_path / "s", SIZE)
    with pytest.raises(OutputError, match="begun with another size"):
        prepare_episodes(MadeUp(), tmp_path / "s", (32, 18))


def test_foreign_folders_and_names_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="is no store"):
        prepare_episodes(MadeUp(), tmp_path / "mine", SIZE)
    (tmp_path / "empty").mkdir()
    assert prepare_episodes(MadeUp((10,)), tmp_path / "empty", SIZE).recordings == 1
    with pytest.raises(OutputError, match="LeRobot's loader cannot open"):
        prepare_episodes(MadeUp(), tmp_path / "a[1]", SIZE)
    with pytest.raises(InputError, match="unknown data set 'h20'; known: h2o, fpha, assemblyhands, assembly101"):
        prepare("h20", tmp_path, tmp_path / "s")
    for wrong, message in (({"workers": 0}, "at least one worker"), ({"size": (0, 0)}, "even sides .* found 0 x 0")):
        with pytest.raises(InputError, match=message):  # before the source is looked at
            prepare("h2o", tmp_path / "nowhere", tmp_path / "s", **wrong)
    with pytest.raises(InputError, match="at least one worker"):
        prepare_episodes(MadeUp(), tmp_path / "s", SIZE, workers=0)
    with pytest.raises(InputError, match=r"even sides of 16 ... 8192 pixels, found 63 x 36"):
        prepare_episodes(MadeUp(), tmp_path / "s", (63, 36))
    with pytest.raises(InputError, match=r"subject1.take.0 has no camera 'side' .it has front, head."):
        prepare_episodes(MadeUp(), tmp_path / "s", SIZE, ("side",))
    one = prepare_episodes(MadeUp((10,)), tmp_path / "head", None, ("head",))
    assert Store(one.store).layout.camera("head").size == (64, 48)


@pytest.mark.parametrize(
    ("size", "front", "head"),
    [
        (None, (64, 36), (64, 48)),
        ((64, 36), (64, 36), (64, 48)),
        ((32, 18), (32, 18), (32, 24)),
        ((48, 28), (48, 28), (48, 36)),  # 27 rounded to an even number is still the same shape
        ((40, 40), (40, 22), (40, 30)),  # nothing is squeezed to what is asked for
    ],
)
def test_every_camera_keeps_its_shape(tmp_path, size, front, head):
    done = prepare_episodes(MadeUp((6,)), tmp_path / "s", size)
    store = Store(done.store)
    assert done.pictures == f"{front[0]} x {front[1]} px (front); {head[0]} x {head[1]} px (head)"
    for name, expected in (("front", front), ("head", head)):
        camera = store.recordings[0].cameras[name]
        assert (camera.width, camera.height) == expected
        with av.open(str(store.recordings[0].videos[name][0])) as video:
            assert (video.streams.video[0].width, video.streams.video[0].height) == expected
        joints = MadeUp((6,)).read("subject2/take/0").hands.joints_m
        stream = store.episode(0).stream(name)
        pixels, seen = project_hands(joints, stream.world_from_camera, camera)
        stored = store.columns(0)[f"camera.{name}.keypoints"]
        np.testing.assert_allclose(stored[seen], pixels[seen], atol=1e-3)


class Filed(MadeUp):
    """Recordings whose front pictures are files, twice the stored size."""

    def __init__(self, folder: Path, skip_bad: bool = False, **options) -> None:
        super().__init__((12, 10), skip_bad)
        self.folder = folder
        self.change = options.get("change", lambda episode: episode)
        for number in range(2):
            for frame in range(12):
                image = picture(number, frame, FRONT.resized(128, 72))
                cv2.imwrite(str(folder / f"{number}_{frame}.png"), image)

    def read(self, name: str) -> Episode:
        """One recording."""
        number, made = self.names.index(name), super().read(name)
        paths = tuple(self.folder / f"{number}_{frame}.png" for frame in range(len(made)))
        front = replace(made.stream("front"), camera=FRONT.resized(128, 72), pictures=PictureFiles(paths))
        return self.change(replace(made, streams=(front,)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "not a picture that can be read"),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((50, 60, 3), np.uint8)),
            "60 x 50, but the calibration is for 128 x 72",
        ),
    ],
)
def test_bad_pictures_are_located_or_marked(tmp_path, damage, message):
    source = Filed(tmp_path)
    damage(tmp_path / "1_3.png")
    with pytest.raises(InputError, match=rf"subject2/take/1, camera front, frame 3: .*{message}"):
        prepare_episodes(source, tmp_path / "s", SIZE)
    source.skip_bad = True
    done = prepare_episodes(source, tmp_path / "s", SIZE)
    assert [problem.place for problem in done.left_out] == ["subject2/take/1, camera front, frame 3"]
    assert message in done.left_out[0].reason
    pictured = Store(done.store).columns(1)["camera.front.pictured"]
    np.testing.assert_array_equal(pictured, [frame != 3 for frame in range(10)])
    assert Store(done.store).episode(1).stream("front").pictures.frames.tolist() == [0, 1, 2, -1, *range(4, 10)]
    assert prepare_episodes(source, tmp_path / "s", SIZE).left_out == done.left_out


def test_pictures_and_intrinsics_are_scaled_together(tmp_path):
    store = Store(prepare_episodes(Filed(tmp_path), tmp_path / "s", SIZE).store)
    camera = store.recordings[0].cameras["front"]
    np.testing.assert_allclose(camera.matrix, FRONT.matrix)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: replace(e, frame_rate=e.frame_rate * 2), "rate 60, but the store began with 30"),
        (lambda e: replace(e, streams=(replace(e.streams[0], name="side"),)), "has no camera 'front' .it has side."),
        (
            lambda e: replace(e, streams=(replace(e.streams[0], pictures=None),)),
            "subject2/take/1: no pictures of camera front. Put them there, choose cameras .* with --no-pictures",
        ),
        (
            lambda e: replace(e, streams=(replace(e.streams[0], camera=FRONT.resized(128, 128)),)),
            "camera 'front' has 128 x 128 pixels, another shape than the 64 x 36",
        ),
        (lambda e: replace(e, object_names=("box", "hat")), "objects .*hat.*, but the store began with"),
        (
            lambda e: replace(e, segments=(replace(e.segments[0], label="open box", label_id=9),)),
            "'open box' has number 9, elsewhere 1",
        ),
    ],
)
def test_recordings_that_do_not_fit_are_named(tmp_path, change, message):
    def second(episode: Episode) -> Episode:
        return (
            change(episode)
            if episode.name.endswith("1")
            else replace(
                episode, segments=tuple(replace(s, label="open box", label_id=1) for s in episode.segments[:1])
            )
        )

    with pytest.raises(InputError, match=message):
        prepare_episodes(Filed(tmp_path, change=second), tmp_path / "s", SIZE)


def test_bad_recordings_are_left_out_and_listed(tmp_path):
    class Partly(MadeUp):
        def read(self, name: str) -> Episode:
            if name == self.names[0]:
                raise InputError("labels.txt, line 3: expected 6 columns, found 5")
            return super().read(name)

    done = prepare_episodes(Partly(skip_bad=True), tmp_path / "s", SIZE)
    assert [str(p) for p in done.left_out] == ["subject1/take/0: labels.txt, line 3: expected 6 columns, found 5"]
    assert [recording.name for recording in Store(done.store).recordings] == ["subject1/take/1", "subject2/take/2"]

    class Empty(MadeUp):
        def read(self, name: str) -> Episode:
            raise InputError("nothing here")

    with pytest.raises(InputError, match="none of the 3 recordings can be used; the first: nothing here"):
        prepare_episodes(Empty(skip_bad=True), tmp_path / "t", SIZE)
