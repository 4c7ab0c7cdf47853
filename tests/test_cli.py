"""The command line as a user meets it: in its own process, with its own exit codes and one-line errors."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import handloom
from handloom.cli import main
from handloom.formats.cameras import write_camera
from handloom.formats.result import read_run
from handloom.geometry import Pinhole
from handloom.terminal import ProgressBar
from make_video import clip, sound_only


def run(*arguments, cwd=None):
    command = [
        sys.executable,
        "-c",
        "import sys; from handloom.cli import main; sys.exit(main())",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


def error_of(capsys, *arguments):
    """The one line that a user sees."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("handloom: ")
    return lines[0].removeprefix("handloom: ")


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("arguments", [["view", "--help"], ["datasets"], ["bench", "metrics", "--frames", "9"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments):
    """As `handloom ... | head` does; what is told on stderr is ours alone."""
    read, write_end = os.pipe()
    os.close(read)
    script = "import sys; from handloom.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=120
    )
    os.close(write_end)
    assert done.stderr == ""
    assert done.returncode == 141


def test_help_lists_the_verbs_and_imports_nothing_heavy():
    script = (
        "import sys; from handloom.cli import main\n"
        "for verb in (['--help'], ['train', 'svegonet', '--help']):\n"
        "    try: main(verb)\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'scipy', 'pyarrow'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for word in ("track", "view", "info", "bench", "--frame-step", "--batch-clips"):
        assert word in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"handloom {handloom.__version__}\n"


def test_a_failed_run_leaves_no_empty_folder(tmp_path, capsys):
    error_of(capsys, "track", tmp_path / "no.mp4", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_importing_handloom_imports_neither_torch_nor_mediapipe():
    script = (
        "import sys, handloom; handloom.track; handloom.HandTrack; print({'torch', 'mediapipe'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_unknown_names_of_the_package():
    with pytest.raises(AttributeError, match="module 'handloom' has no attribute 'trak'"):
        handloom.trak  # noqa: B018


INPUTS = {
    "missing": (lambda p: p / "no.mp4", r"no\.mp4: no such file or folder"),
    "text": (lambda p: write(p / "notes.mp4", "hello " * 100), r"is not a video that can be read"),
    "empty": (lambda p: write(p / "empty.mp4", b""), r"the file is empty"),
    "sound only": (lambda p: sound_only(p / "sound.mp4"), r"holds sound only, no pictures"),
    "cut off": (lambda p: write(p / "cut.mp4", clip(p / "w.mp4").read_bytes()[:900]), r"its moov box\) is missing"),
    "folder without images": (lambda p: p, r"none of which is an image"),
    "pattern without match": (lambda p: p / "*.png", r"no file matches this pattern"),
    "no webcam": (lambda p: 77, r"webcam 77 cannot be opened"),
    "no stream": (lambda p: "tcp://127.0.0.1:9", r"the stream cannot be opened \(Connection refused\)"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_bad_input_is_one_clear_line(name, tmp_path, capsys):
    make, message = INPUTS[name]
    line = error_of(capsys, "track", make(tmp_path), "--out", tmp_path / "out")
    assert re.search(message, line), line


CALIBRATIONS = {
    "another size": (
        '{"model": "pinhole", "width": 640, "height": 480, "fx": 500, "fy": 500, "cx": 320, "cy": 240}',
        "640 x 480",
    ),
    "unknown model": ('{"model": "magic", "width": 160, "height": 96, "fx": 1, "fy": 1, "cx": 1, "cy": 1}', "magic"),
    "NaN": ('{"model": "pinhole", "width": 160, "height": 96, "fx": NaN, "fy": 99, "cx": 80, "cy": 48}', "fx"),
    "negative focal length": (
        '{"model": "pinhole", "width": 160, "height": 96, "fx": -9, "fy": 9, "cx": 80, "cy": 48}',
        "-9",
    ),
    "not JSON": ('{"model": ', "camera.json"),
}


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_bad_calibration_is_one_clear_line(name, tmp_path, capsys):
    content, found = CALIBRATIONS[name]
    camera = write(tmp_path / "camera.json", content)
    line = error_of(capsys, "track", clip(tmp_path / "clip.mp4"), "--out", tmp_path / "out", "--camera", camera)
    assert "camera.json" in line
    assert found in line


def test_a_calibration_of_another_resolution_is_scaled_on_request(tmp_path, capsys):
    write_camera(tmp_path / "camera.json", Pinhole(320, 192, 240.0, 240.0, 159.5, 95.5))
    arguments = [
        "track",
        clip(tmp_path / "clip.mp4", 3),
        "--out",
        tmp_path / "out",
        "--camera",
        tmp_path / "camera.json",
    ]
    assert "--rescale-camera" in error_of(capsys, *arguments)
    pytest.importorskip("mediapipe")
    assert main([*map(str, arguments), "--rescale-camera"]) == 0
    assert handloom.load(tmp_path / "out").camera == Pinhole(160, 96, 120.0, 120.0, 79.5, 47.5)


def test_output_that_cannot_be_written(tmp_path, capsys):
    video = clip(tmp_path / "clip.mp4", 3)
    file = write(tmp_path / "file", "not a folder")
    line = error_of(capsys, "track", video, "--out", file / "out")
    assert re.search(r"cannot write to .*file/out: .*; choose another folder", line)


def test_a_full_disk_is_said_and_leaves_no_half_files(tmp_path):
    """The limit on file size stands in for a full disk: the system refuses to write on."""
    pytest.importorskip("mediapipe")
    resource = pytest.importorskip("resource")
    video = clip(tmp_path / "clip.mp4", 300)
    script = (
        "import resource, signal, sys; from handloom.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, {resource.RLIM_INFINITY}))\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", script, "track", str(video), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert re.search(r"handloom: .*overlay\.mp4: cannot be written: File too large", done.stderr)
    # What was finished before is whole.
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["hands.parquet"]
    assert len(handloom.load(tmp_path / "out")) == 300


@pytest.mark.parametrize(("presses", "number"), [(1, signal.SIGINT), (2, signal.SIGINT), (1, signal.SIGTERM)])
def test_ctrl_c_in_a_process_of_its_own(tmp_path, presses, number):
    """Once: whole outputs, marked partial. Twice at once: it ends, and no file is half written."""
    pytest.importorskip("mediapipe")
    video = clip(tmp_path / "clip.mp4", 1000, width=640, height=480)
    out = tmp_path / "out"
    command = [sys.executable, "-u", "-c", INTERRUPTED, "track", str(video), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "tracking\n"
    for _ in range(presses):
        process.send_signal(number)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    if presses == 1:
        assert read_run(out)["partial"] is True
        assert 0 < len(handloom.load(out)) < 1000
        assert (out / "overlay.mp4").is_file()
    elif out.exists():  # a slow machine may have begun to write before the second one
        assert len(handloom.load(out)) < 1000
    assert not list(tmp_path.glob("out/*.part"))


INTERRUPTED = """
import sys
import handloom.terminal as terminal
from handloom.cli import main
show = terminal.ProgressBar.__call__
def announce(self, stage, done, total):
    if done == 10:
        print("tracking", flush=True)
    show(self, stage, done, total)
terminal.ProgressBar.__call__ = announce
sys.exit(main())
"""


def test_unknown_options_are_refused():
    done = run("track", "clip.mp4", "--out", "o", "--fow", "60")
    assert done.returncode == 2
    assert "--fow" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_info_describes_videos_results_and_calibrations(tmp_path, capsys):
    pytest.importorskip("mediapipe")
    video = clip(tmp_path / "clip.mp4", 12, audio=True)
    assert main(["info", str(video)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"size\s+160 x 96 px", printed)
    assert re.search(r"frames\s+12 in 0\.40 s", printed)
    assert "with sound" in printed
    write_camera(tmp_path / "camera.json", Pinhole.from_fov(640, 480, 90.0))
    main(["info", str(tmp_path / "camera.json")])
    assert "90.0 degrees across" in capsys.readouterr().out
    handloom.track(video, tmp_path / "out")
    main(["info", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert re.search(r"left hand\s+not seen", printed)
    assert re.search(r"camera\s+guessed", printed)


def test_info_of_a_calibration_without_size(tmp_path, capsys):
    dat = write(tmp_path / "c.dat", "intrinsic:\n900 0 350\n0 901 360\n0 0 1\ndistortion:\n0.1 0 0 0 0\n")
    assert main(["info", str(dat)]) == 0
    printed = capsys.readouterr().out
    assert "BrownConrady" in printed
    assert "901" in printed


def test_info_of_a_cut_off_video_says_so(tmp_path, capsys):
    whole = clip(tmp_path / "whole.mp4", 60, container_options={"movflags": "faststart"})
    cut = write(tmp_path / "cut.mp4", whole.read_bytes()[:-400])
    assert main(["info", str(cut)]) == 0
    assert re.search(r"problem\s+the file is cut off: its header promises 60 frames", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "track", "clip.mp4", "--repetitions", "0"], "repetitions must be at least 1, found 0"),
        (["bench", "triangulation", "--views", "1"], "at least 1 point and 2 views, found 200000 and 1"),
        (["bench", "load", "--repetitions", "0"], "repetitions must be at least 1, found 0"),
        (["bench", "metrics", "--frames", "0"], "metrics need at least 1 frame, found 0"),
    ],
)
def test_impossible_benchmarks(arguments, message, capsys):
    assert message in error_of(capsys, *arguments)


def test_poses_alone_have_no_masks_and_no_depth(tmp_path, capsys):
    for kept in ("--masks", "--depth"):
        said = error_of(capsys, "simulate", "h2o", "--out", str(tmp_path / "s"), "--no-pictures", kept)
        assert "masks and depth are drawn with the pictures" in said


def test_the_progress_bar_counts(capsys):
    with ProgressBar() as progress:
        for done in range(1, 11):
            progress("track", done, 10)
            time.sleep(0.01)
    assert "10/10 frames" in capsys.readouterr().err


def test_bench_triangulation_prints_its_ratio(capsys):
    assert main(["bench", "triangulation", "--points", "4000"]) == 0
    assert re.search(r"DLT\s+[\d,]+ points/s\s+[\d.]+ x loop", capsys.readouterr().out)


def test_bench_metrics_prints_its_ratio(capsys):
    assert main(["bench", "metrics", "--frames", "100"]) == 0
    assert re.search(r"MEPE, PCK, AUC\s+[\d.]+ s\s+[\d.]+ x loop", capsys.readouterr().out)


def test_bench_track_prints_stages(tmp_path, capsys):
    pytest.importorskip("mediapipe")
    assert main(["bench", "track", str(clip(tmp_path / "clip.mp4", 8)), "--repetitions", "1"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"bare loop.*1\.00 x bare", printed)
    assert re.search(r"of which overlay\s+[\d.]+ ms/frame", printed)


def test_bench_depth_recovers_a_made_up_rig(tmp_path, monkeypatch, capsys):
    """Two views of a moving hand with known poses: no error for Handloom, some for a constant depth."""
    from handloom.benchmarks import depth
    from handloom.geometry import apply_rigid, rigid, rotation_from_vector
    from made_up_hands import detect, moving_hand
    from make_video import number_of

    camera = Pinhole(160, 96, 120.0, 120.0, 79.5, 47.5)
    poses = [np.eye(4), rigid(rotation_from_vector(np.array([0.0, 0.6, 0.0])), np.array([-0.25, 0.0, 0.1]))]
    hands = moving_hand(60, growth=0.4)
    for k, pose in enumerate(poses):
        clip(tmp_path / f"{k}.mp4", 60)
        rows = "\n".join(" ".join(map(repr, map(float, row))) for row in pose[:3, :3])
        column = "\n".join(repr(float(value)) for value in pose[:3, 3])
        write(tmp_path / f"{k}.dat", f"R:\n{rows}\nT:\n{column}\n")
    write_camera(tmp_path / "camera.json", camera)
    order = iter(poses)

    class Knowing:
        def __init__(self):
            self.pose = next(order)

        def detect(self, image):
            return [detect(camera, apply_rigid(self.pose, hands[number_of(image)]))]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(depth, "MediaPipeDetector", Knowing)
    arguments = ["bench", "depth", tmp_path / "0.mp4", tmp_path / "1.mp4"]
    arguments += ["--cameras", tmp_path / "camera.json", tmp_path / "camera.json"]
    arguments += ["--poses", tmp_path / "0.dat", tmp_path / "1.dat"]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    errors = {
        method: float(value) for method, value in re.findall(r"view 0: depth error, (.*?)\s+([\d.]+) % median", printed)
    }
    assert errors["Handloom"] == 0.0
    assert errors["one constant depth"] > 5


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_no_large_files_are_committed():
    root = Path(__file__).parents[1]
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    sizes = {name: (root / name).stat().st_size for name in listed.stdout.splitlines() if (root / name).exists()}
    weights = {name: size for name, size in sizes.items() if name.startswith("src/handloom/weights/")}
    others = {name: size for name, size in sizes.items() if name not in weights}
    assert max(others.values()) < 1_000_000, max(others, key=others.get)
    assert sum(weights.values()) < 50_000_000
