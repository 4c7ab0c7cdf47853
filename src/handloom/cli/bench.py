"""`handloom bench`: speed and accuracy on your machine."""

from pathlib import Path

import tyro

from handloom.annotate.options import AnnotateOptions
from handloom.cli.machine import cores, needing_torch

bench = tyro.extras.SubcommandApp()


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


@bench.command(name="timeline")
def bench_timeline(
    store: tyro.conf.Positional[Path],
    weights: Path | None = None,
    split: str = "test",
    camera: str | None = None,
    limit: int | None = None,
) -> None:
    """HTT's actions on whole recordings, as `handloom track` finds them in untrimmed video.

    Args:
        store: With videos and labelled actions.
        weights: Folder of weights or of a training run, or an .onnx file; by default those that come
            with Handloom.
        split: Of the store.
        camera: Whose videos; by default the one on the head.
        limit: Measure on so many recordings, evenly chosen.
    """
    with needing_torch():
        from handloom.benchmarks.timeline import measure_timeline
    from handloom.terminal import ProgressBar, print_rows

    with ProgressBar("recordings") as progress:
        title, rows = measure_timeline(store, weights, split, camera, limit, progress)
    print_rows(title, rows)


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


@bench.command(name="annotate")
def bench_annotate(
    capture: tyro.conf.Positional[Path],
    annotating: tyro.conf.OmitArgPrefixes[AnnotateOptions] = AnnotateOptions(),  # noqa: B008 - frozen
    images: int = 3_000_000,
    hours: float = 24.0,
    machine_cores: int | None = None,
) -> None:
    """Annotate a capture once: frames per second on one core of every stage, and machines for a large capture.

    Args:
        capture: As for `annotate`, of a minute or so; simulated, where there is none.
        annotating: How to annotate.
        images: Pictures of the large capture, of all cameras together.
        hours: In which they are to be done.
        machine_cores: Cores of one machine; by default of this one.
    """
    from handloom.benchmarks.annotate import measure_annotate
    from handloom.terminal import print_rows

    print_rows(*measure_annotate(capture, annotating, images, hours, machine_cores or cores()))


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


@bench.command(name="forecast")
def bench_forecast(
    recordings: tyro.conf.Positional[tuple[Path, ...]],
    weights: Path | None = None,
    split: str = "test",
    limit: int | None = None,
    samples: int = 20,
) -> None:
    """Forecasts of G-HTT's path P.a at 0.25, 0.5 and 1 s, against hands that stay and hands that go straight on.

    Args:
        recordings: Stores, results, recordings of a Leap Motion (.json, .json.xz) or HoloLens (.csv).
        weights: Folder of a run of ghtt-pose or ghtt-action; by default those that come with Handloom, trained on
            simulated hands.
        split: Of stores.
        limit: Measure on so many recordings, evenly chosen.
        samples: Futures of which the best is shown, too.
    """
    with needing_torch():
        from handloom.benchmarks.motion import measure_forecasts
    from handloom.terminal import print_rows

    print_rows(*measure_forecasts(recordings, weights, split, limit, samples))


@bench.command(name="moving-camera")
def bench_moving_camera(
    store: tyro.conf.Positional[Path],
    weights: Path | None = None,
    split: str = "test",
    limit: int | None = None,
    camera: str | None = None,
    seconds: float = 1.0,
    videos: bool = True,
) -> None:
    """Forecasts of G-HTT where the camera moves: its poses known or estimated, against what it sees as it is.

    Args:
        store: With a camera on the head (handloom simulate h2o --cameras cam4).
        weights: As for `bench forecast`.
        split: Of the store.
        limit: Measure on so many recordings, evenly chosen.
        camera: By default the first that moves.
        seconds: The horizon.
        videos: Estimate poses from the videos, too, if the store has any.
    """
    with needing_torch():
        from handloom.benchmarks.motion import measure_moving_camera
    from handloom.terminal import print_rows

    print_rows(*measure_moving_camera(store, weights, split, limit, camera, seconds, videos))


@bench.command(name="refine")
def bench_refine(
    recordings: tyro.conf.Positional[tuple[Path, ...]],
    weights: Path | None = None,
    split: str = "test",
    limit: int | None = None,
    noise_mm: tuple[float, ...] = (0.0, 3.0, 10.0),
    gap_frames: int = 5,
) -> None:
    """Refinement by G-HTT of recordings that are disturbed on purpose, and of gaps that are cut into them.

    Args:
        recordings: As for `bench forecast`.
        weights: As for `bench forecast`.
        split: Of stores.
        limit: Measure on so many recordings, evenly chosen.
        noise_mm: Standard deviations of every coordinate's noise; of the whole hand's, three times as much.
        gap_frames: Length of the gaps; each hand has one per second. 0 for none.
    """
    with needing_torch():
        from handloom.benchmarks.motion import measure_refinement
    from handloom.terminal import print_rows

    print_rows(*measure_refinement(recordings, weights, split, limit, noise_mm, gap_frames))


@bench.command(name="blend")
def bench_blend(
    recordings: tyro.conf.Positional[tuple[Path, ...]],
    weights: Path | None = None,
    split: str = "test",
    limit: int | None = None,
    pairs: int = 200,
) -> None:
    """Blend G-HTT's mid-levels of pairs of observations: does the future go from the one's to the other's?

    Args:
        recordings: As for `bench forecast`.
        weights: As for `bench forecast`.
        split: Of stores.
        limit: Measure on so many recordings, evenly chosen.
        pairs: How many, drawn at random.
    """
    with needing_torch():
        from handloom.benchmarks.motion import measure_blends
    from handloom.terminal import print_rows

    print_rows(*measure_blends(recordings, weights, split, limit, pairs))


@bench.command(name="transitions")
def bench_transitions(
    recordings: tyro.conf.Positional[tuple[Path, ...]],
    weights: Path | None = None,
    split: str = "test",
    limit: int | None = None,
    samples: int = 5,
) -> None:
    """Futures of G-HTT from the end of an action: do they go over to the next one, and smoothly?

    Args:
        recordings: Labelled ones: stores.
        weights: As for `bench forecast`.
        split: Of stores.
        limit: Measure on so many transitions, evenly chosen.
        samples: Futures of each, the mean among them.
    """
    with needing_torch():
        from handloom.benchmarks.motion import measure_transitions
    from handloom.terminal import print_rows

    print_rows(*measure_transitions(recordings, weights, split, limit, samples))


@bench.command(name="recognise")
def bench_recognise(
    recordings: tyro.conf.Positional[tuple[Path, ...]], weights: Path | None = None, split: str = "test"
) -> None:
    """Accuracy of G-HTT's actions on labelled segments.

    Args:
        recordings: Labelled ones: stores, results.
        weights: As for `bench forecast`.
        split: Of stores.
    """
    with needing_torch():
        from handloom.benchmarks.gestures import measure_recognition
    from handloom.terminal import print_rows

    print_rows(*measure_recognition(recordings, weights, split))


@bench.command(name="gestures")
def bench_gestures(recordings: tyro.conf.Positional[tuple[Path, ...]], pose: Path | None = None) -> None:
    """Train G-HTT's block A on half of the labelled runs of recordings, and test it on the others.

    Args:
        recordings: Labelled ones: logs of a HoloLens (.csv), stores.
        pose: Folder of a run of ghtt-pose; by default those that come with Handloom, trained on
            simulated hands.
    """
    with needing_torch():
        from handloom.benchmarks.gestures import measure_gestures
    from handloom.terminal import print_rows

    print_rows(*measure_gestures(recordings, pose))
