"""The command line: one short function per verb."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import tyro

from handloom import __version__
from handloom.errors import HandloomError, MissingDependencyError
from handloom.tracking.options import TrackOptions

app = tyro.extras.SubcommandApp()
bench = tyro.extras.SubcommandApp()


@app.command
def track(
    source: tyro.conf.Positional[str],
    out: Path,
    tracking: tyro.conf.OmitArgPrefixes[TrackOptions] = TrackOptions(),  # noqa: B008 - frozen
    overwrite: bool = False,
    overlay: bool = True,
    report: bool = True,
    truth: str | None = None,
) -> None:
    """Track both hands in a video: metric 3D poses, overlay video, report page.

    Ctrl-C finishes the outputs for the frames done, marked partial; the exit code is then 130.

    Args:
        source: Video file, image folder, glob, one image, webcam index, or stream URL.
        out: Folder for hands.parquet, overlay.mp4, report.html and run.json.
        tracking: How to track.
        overwrite: Replace a result that is already there.
        overlay: Write overlay.mp4.
        report: Write report.html.
        truth: What is known to be true of the video, to show and measure beside: STORE, STORE:RECORDING,
            STORE:RECORDING:CAMERA, result folder or hands.parquet.
    """
    from handloom.terminal import ProgressBar, print_result
    from handloom.tracking.job import Job
    from handloom.tracking.outputs import Outputs
    from handloom.tracking.pipeline import run

    with ProgressBar() as progress:
        outputs = Outputs(out.expanduser(), overwrite, overlay, report)
        result = run(Job(source, tracking, progress), outputs, truth)
    print_result(result.summary(), outputs.written)
    if result.interrupted:
        sys.exit(130)


@app.command
def view(
    result: tyro.conf.Positional[Path], video: Path | None = None, host: str = "127.0.0.1", port: int = 8080
) -> None:
    """Look at a result in 3D in the browser: both hands, the video frame, the camera; play and scrub.

    Args:
        result: Result folder of `handloom track`, or its hands.parquet.
        video: The video, where it is not where run.json says.
        host: Address to serve on.
        port: Port to serve on.
    """
    from handloom.view.result import view_result

    view_result(result, video, host, port)


@app.command
def info(path: tyro.conf.Positional[Path]) -> None:
    """Say what is in a video, a result folder or a calibration.

    Args:
        path: Video, image folder, result folder, hands.parquet, or calibration file.
    """
    from handloom.describe import describe
    from handloom.terminal import print_rows

    print_rows(*describe(path))


@app.command
def simulate(
    rig: tyro.conf.Positional[Literal["h2o", "fpha", "assembly", "desktop"]],
    out: Path,
    layout: Literal["native", "h2o", "fpha", "assemblyhands", "assembly101"] = "native",
    subjects: int | None = None,
    repetitions: int = 2,
    seconds: float = 20.0,
    seed: int = 0,
    size: tuple[int, int] = (480, 270),
    cameras: tuple[str, ...] = (),
    actions: tuple[str, ...] = (),
    sensor: bool = True,
    masks: bool = False,
    depth: bool = False,
    label_noise_mm: float = 0.0,
    dropped_frames: float = 0.0,
    time_offset_s: float = 0.0,
    swapped_hands: float = 0.0,
    missing_hands: float = 0.0,
    workers: int | None = None,
) -> None:
    """Simulate a capture: hands, objects and actions seen by a rig's cameras, with the truth; resumable.

    Args:
        rig: The cameras: h2o (4 fixed, 1 on the head), fpha (1 on the head, right hand), assembly (8 fixed,
            4 fisheyes on the head) or desktop (12 fixed).
        out: Folder; must be new or empty.
        layout: How it is stored: natively, or exactly as an official data set comes.
        subjects: Number of people; by default the rig's usual number.
        repetitions: Recordings per person; for fpha, of every action.
        seconds: Length of a recording; for fpha it is that of its action.
        seed: Of all chance.
        size: Width and height of the pictures.
        cameras: Names of the cameras that record; by default all. Official layouts need all.
        actions: For fpha: names of the actions to record; by default all.
        sensor: Pictures have the exposure, noise and motion blur of a camera.
        masks: Keep instance masks.
        depth: Keep depth, as 16-bit pictures in millimetres.
        label_noise_mm: Planted fault: standard deviation of the error of every coordinate of the labelled joints.
        dropped_frames: Planted fault: share of the frames that are lost (0 ... 0.9).
        time_offset_s: Planted fault: what the labels lag behind the pictures.
        swapped_hands: Planted fault: share of the frames whose labels exchange left and right.
        missing_hands: Planted fault: share of the frames in which a hand has no label, each hand by itself.
        workers: Processes; by default one per core. The result does not depend on it.
    """
    from handloom.simulate.faults import Faults
    from handloom.simulate.plan import Layout
    from handloom.simulate.simulation import Options
    from handloom.simulate.studio import simulate as run_simulation
    from handloom.terminal import ProgressBar, print_rows

    faults = Faults(label_noise_mm, dropped_frames, time_offset_s, swapped_hands, missing_hands)
    options = Options(Layout(layout), subjects, repetitions, seconds, seed, size, cameras, actions, sensor, faults)
    with ProgressBar("recordings") as progress:
        made = run_simulation(rig, out, options, cores() if workers is None else workers, masks, depth, progress)
    counts = {"recordings": made.recordings, "frames": made.frames, "drawn by an earlier run": made.found}
    print_rows(f"Simulated capture {made.out}", [(name, str(count)) for name, count in counts.items()])


@app.command
def prepare(
    dataset: tyro.conf.Positional[Literal["h2o", "fpha", "assemblyhands", "assembly101"]],
    src: tyro.conf.Positional[Path],
    out: Path,
    size: tuple[int, int] = (480, 270),
    cameras: tuple[str, ...] = (),
    workers: int | None = None,
    skip_bad: bool = False,
    pictures: bool = True,
) -> None:
    """Turn a data set as downloaded into the native store (a LeRobot v3 data set); resumable.

    Args:
        dataset: Which one; `handloom datasets` tells what each holds.
        src: Its folder, as downloaded and unpacked.
        out: The store.
        size: Width and height of the stored pictures; those of another shape keep it, at this width.
        cameras: Names of the cameras to keep; by default all, and then every recording must have them.
        workers: Processes; by default one per core. The result does not depend on it.
        skip_bad: Leave out what is damaged, and list it, instead of stopping.
        pictures: Store pictures, and stop where there are none; --no-pictures makes a store of poses alone.
    """
    from handloom.datasets.prepare import prepare as run_prepare
    from handloom.terminal import ProgressBar, print_rows

    with ProgressBar("recordings") as progress:
        done = run_prepare(
            dataset, src, out, size, cameras, cores() if workers is None else workers, skip_bad, pictures, progress
        )
    counts = {"recordings": done.recordings, "frames": done.frames, "pictures": done.pictures}
    rows = [(name, str(value)) for name, value in (counts | {"left out": len(done.left_out)}).items()]
    print_rows(f"Store {done.store}", rows + [("  " + problem.place, problem.reason) for problem in done.left_out])


@app.command
def check(store: tyro.conf.Positional[Path], contact_sheet: Path | None = None) -> None:
    """Check a store item by item: schema, times, gaps, videos, poses, calibration, labels, splits.

    The exit code is 1 if an item fails.

    Args:
        store: The store.
        contact_sheet: PNG with pictures of every recording to write.
    """
    from handloom.datasets.check import check as run_check
    from handloom.terminal import ProgressBar, print_rows

    with ProgressBar("recordings") as progress:
        verdicts = run_check(store, contact_sheet, progress)
    print_rows(f"Store {store}", [(f"{verdict.state:<4} {verdict.item}", verdict.message) for verdict in verdicts])
    if any(verdict.state == "fail" for verdict in verdicts):
        sys.exit(1)


@app.command
def datasets(name: tyro.conf.Positional[str | None] = None) -> None:
    """Say what each data set holds, its licence, where to ask for it, and what to type once you have it.

    Args:
        name: One data set; by default all.
    """
    from handloom.datasets.catalogue import dataset_rows
    from handloom.terminal import print_rows

    print_rows(*dataset_rows(name))


@app.command
def train(
    network: tyro.conf.Positional[Literal["htt"]],
    data: Path,
    out: Path,
    preset: Literal["paper", "small"] = "paper",
    camera: str | None = None,
    split: str = "train",
    behaviour: Literal["official", "paper"] = "official",
    backbone_weights: Path | None = None,
    backbone_from: Path | None = None,
    features: Path | None = None,
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    workers: int = 1,
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train a network on a store; killed at any moment, the same command goes on. Ctrl-C writes a checkpoint first.

    Several GPUs: torchrun --nproc-per-node N -m handloom train ...

    Args:
        network: Which.
        data: The store.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        preset: paper, as published, for a GPU; or small, for 2 CPU cores and without pre-trained weights.
        camera: Whose pictures; by default the only camera, or H2O's on the head.
        split: Of the store.
        behaviour: Of the released code, or of the paper where the two differ.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        backbone_from: Folder of weights of a trained HTT whose backbone is frozen and used; only the preset's last
            stage is trained.
        features: Folder for the features of frozen backbones, which several runs may share; by default in the run.
        epochs: Of every stage, instead of the preset's.
        batch_clips: Clips of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        precision: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        workers: Processes that load pictures.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.htt import TrainOptions, train_htt
    from handloom.terminal import ProgressBar, print_rows
    from handloom.tracking.interrupt import Interruption

    options = TrainOptions(
        preset, camera, split, seed, behaviour, backbone_weights, backbone_from, features, epochs, batch_clips,
        learning_rate, precision, device, workers, checkpoint_minutes, max_steps,
    )  # fmt: skip
    with ProgressBar("steps") as progress, Interruption() as interruption:
        weights = train_htt(data, out, options, progress=progress, should_stop=lambda: interruption.requested)
    if weights is not None:
        print_rows(
            "Training finished", [("weights", str(weights)), ("score it", f"handloom evaluate {out} --data ...")]
        )
        return
    print_rows("Training ended early", [("go on with", "the same command")])
    if interruption.requested:
        sys.exit(130)


@app.command
def evaluate(
    run: tyro.conf.Positional[Path],
    data: Path,
    out: Path,
    split: str = "test",
    camera: str | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
) -> None:
    """Score a trained network on a store: pose errors, PCK, objects, actions; numbers, predictions and a page.

    Args:
        run: Folder of a training run or of weights, or an exported .onnx file.
        data: The store.
        out: Folder for predictions.npz, scores.json, evaluation.html, and H2O's submission files.
        split: Of the store.
        camera: Whose pictures; by default the only camera, or H2O's on the head.
        device: Where to compute.
        precision: Of the backbone.
    """
    from handloom.evaluation.evaluate import evaluate as run_evaluate
    from handloom.evaluation.evaluate import score_rows
    from handloom.terminal import ProgressBar, print_rows

    with ProgressBar("videos") as progress:
        scores = run_evaluate(run, data, split, out, camera, device, precision, progress)
    print_rows(*score_rows(scores, out))


@app.command(name="import-weights")
def import_weights(
    network: tyro.conf.Positional[Literal["htt"]],
    checkpoint: tyro.conf.Positional[Path],
    out: Path,
    actions: Path | None = None,
    objects: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Turn the authors' checkpoint into weights that every verb takes; nothing in it is executed.

    Args:
        network: Whose checkpoint it is.
        checkpoint: The .pth file.
        out: Folder for model.safetensors and config.json.
        actions: Names of the action classes, one per line; by default those of H2O or FPHA, told by their number.
        objects: Names of the object classes, likewise.
        overwrite: Replace weights that are already there.
    """
    with needing_torch():
        from handloom.formats.htt_checkpoint import import_htt
    from handloom.terminal import print_rows

    print_rows(*import_htt(checkpoint, out, actions, objects, overwrite))


@app.command
def export(
    network: tyro.conf.Positional[Literal["htt"]],
    weights: tyro.conf.Positional[Path],
    out: Path,
    int8: bool = False,
    calibration: tuple[str, ...] = (),
    overwrite: bool = False,
) -> None:
    """Write a trained network as one ONNX file, for `handloom track --weights FILE.onnx` and other programs.

    The file is run against PyTorch, and the differences are printed.

    Args:
        network: What it is.
        weights: Its folder of weights.
        out: The .onnx file.
        int8: Compute the backbone in 8-bit integers; needs pictures to calibrate on.
        calibration: Videos or pictures of the kind that the network will see.
        overwrite: Replace a file that is already there.
    """
    with needing_torch():
        from handloom.estimators.htt_export import export_htt
    from handloom.terminal import print_rows

    print_rows(*export_htt(weights, out, int8, calibration, overwrite))


@bench.command(name="htt")
def bench_htt(weights: Path | None = None, repetitions: int = 3, training: bool = True) -> None:
    """Time HTT on one clip of 128 frames against the plain forward; a training step, with its memory.

    Args:
        weights: A folder of weights; by default a full-size network with random ones.
        repetitions: Runs of each; medians are printed.
        training: Time training steps, too (needs up to 10 GB of memory).
    """
    with needing_torch():
        from handloom.benchmarks.htt import measure_htt
    from handloom.terminal import print_rows

    print_rows(*measure_htt(weights, repetitions, training))


@bench.command(name="track")
def bench_track(video: tyro.conf.Positional[Path], repetitions: int = 3) -> None:
    """Time `handloom track` by stage, against the bare loop "decode, MediaPipe, discard" on the same file.

    Args:
        video: A video file.
        repetitions: Runs of each; medians are printed.
    """
    from handloom.benchmarks.track import measure_track
    from handloom.terminal import print_rows

    print_rows(*measure_track(video, repetitions))


@bench.command(name="depth")
def bench_depth(
    videos: tyro.conf.Positional[tuple[Path, Path]], cameras: tuple[Path, Path], poses: tuple[Path, Path]
) -> None:
    """Wrist depth from one view against the depth triangulated from two calibrated, synchronised views.

    Args:
        videos: The two videos.
        cameras: Calibration of each camera.
        poses: World-to-camera pose of each camera (R and T blocks in a .dat file).
    """
    from handloom.benchmarks.depth import measure_depth
    from handloom.terminal import print_rows

    print_rows(*measure_depth(videos, cameras, poses))


@bench.command(name="triangulation")
def bench_triangulation(points: int = 200_000, views: int = 8) -> None:
    """Triangulated points per second on one core, against a per-point loop of SVDs.

    Args:
        points: Number of points.
        views: Number of cameras.
    """
    from handloom.benchmarks.triangulation import measure_triangulation
    from handloom.terminal import print_rows

    print_rows(*measure_triangulation(points, views))


@bench.command(name="simulate")
def bench_simulate(frames: int = 200) -> None:
    """Rendered frames per second on one core, ground truth included.

    Args:
        frames: Frames to draw.
    """
    from handloom.benchmarks.simulate import measure_simulate
    from handloom.terminal import print_rows

    print_rows(*measure_simulate(frames))


@bench.command(name="load")
def bench_load(store: Path | None = None, camera: str | None = None, repetitions: int = 3) -> None:
    """Frames per second out of a store, against one PNG per frame; augmentation; size.

    Args:
        store: A store; by default a temporary one with made-up noisy pictures.
        camera: Whose pictures; by default the first camera's.
        repetitions: Runs of each; the fastest counts.
    """
    from handloom.benchmarks.load import measure_load
    from handloom.terminal import print_rows

    print_rows(*measure_load(store, camera, repetitions))


@bench.command(name="metrics")
def bench_metrics(frames: int = 23_391) -> None:
    """Time the pose metrics on one core, against the usual loop over frames.

    Args:
        frames: Frames with two hands; by default as many as H2O's test split has.
    """
    from handloom.benchmarks.metrics import measure_metrics
    from handloom.terminal import print_rows

    print_rows(*measure_metrics(frames))


app.command(bench, name="bench", help="Measure speed and accuracy on your machine.")


@contextmanager
def needing_torch() -> Iterator[None]:
    """Say how to get torch, an extra, where it cannot be imported."""
    try:
        yield
    except ImportError as failure:
        raise MissingDependencyError(
            f"this needs the extras torch and onnx ({failure}); install them with: pip install 'handloom[torch,onnx]'"
        ) from failure


def cores() -> int:
    """Processors of this machine."""
    return os.cpu_count() or 1


def main(arguments: list[str] | None = None) -> int:
    """Entry point. User errors are one line on stderr and exit code 2."""
    if (sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        print(f"handloom {__version__}")
        return 0
    try:
        app.cli(prog="handloom", description="Video of hands in, metric 3D poses out.", args=arguments)
    except HandloomError as error:
        print(f"handloom: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("handloom: interrupted", file=sys.stderr)
        return 130
    return 0
