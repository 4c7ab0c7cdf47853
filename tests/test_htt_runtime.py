"""Running a trained HTT: lanes, pictures, actions on a timeline, recordings against streams, PyTorch against ONNX."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import handloom
from handloom.cli import main
from handloom.errors import InputError, MissingDependencyError
from handloom.estimators.htt_actions import covered_mean, lane_probabilities, mean_over_lanes, segments, window_starts
from handloom.estimators.htt_lanes import Lanes, lanes_of
from handloom.estimators.htt_network import HTTLayout
from handloom.estimators.htt_picture import PinholePicture
from handloom.geometry import BrownConrady, KannalaBrandt, Pinhole
from handloom.weights import HTT as PACKAGED
from make_video import clip
from with_torch import needs_torch, torch


@pytest.mark.parametrize(
    ("rate", "count"), [(10, 1), (15, 1), (20, 1), (24, 2), (25, 2), (30, 2), (50, 3), (60, 4), (120, 8)]
)
def test_a_constant_rate_gives_every_nth_frame(rate, count):
    lanes = lanes_of(np.arange(200) / rate + 7.3)
    assert lanes.tolist() == [k % count for k in range(200)]


def test_a_lost_frame_leaves_the_parity_of_the_others():
    kept = np.array([k for k in range(60) if k not in (20, 31)])
    assert lanes_of(kept / 30).tolist() == (kept % 2).tolist()


def test_a_camera_that_slows_down_fills_one_lane():
    """At 10 frames per second the lane goes on with every frame; its steps are nearest to 1/15 s."""
    times = np.concatenate([np.arange(60) / 30, 2 + np.arange(60) / 10])
    lanes = lanes_of(times)
    assert set(lanes[:60]) == {0, 1}
    assert len(set(lanes[80:])) == 1


def test_lanes_follow_from_the_past_alone():
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.08, 300))
    lanes = Lanes()
    assert [lanes.push(t) for t in times] == lanes_of(times).tolist()
    assert lanes_of(times[:100]).tolist() == lanes_of(times)[:100].tolist()


CAMERAS = {
    "pinhole": Pinhole(160, 96, 120.0, 125.0, 80.0, 45.0),
    "square": Pinhole(96, 96, 80.0, 80.0, 47.5, 47.5),
    "distorted": BrownConrady(160, 96, 120.0, 125.0, 80.0, 45.0, (-0.3, 0.05, 0.001, 0.002, 0.0)),
    "fisheye": KannalaBrandt(160, 96, 70.0, 70.0, 80.0, 47.0, (0.05, -0.01, 0.0, 0.0)),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_a_point_keeps_its_place_through_the_pinhole_picture(name):
    """A white dot in the source is where the pinhole's projection says it is, and comes back to where it was."""
    camera = CAMERAS[name]
    picture = PinholePicture(camera, (64, 36))
    for point in ([0.0, 0.0, 1.0], [0.25, 0.1, 1.0], [-0.2, -0.15, 0.8]):
        pixel, _ = camera.project(np.array(point))
        rows, columns = np.indices((96, camera.width))
        image = 250 * np.exp(-((columns - pixel[0]) ** 2 + (rows - pixel[1]) ** 2) / 18)
        seen = picture.view(np.repeat(image[..., None], 3, -1).astype(np.uint8))[..., 0].astype(float)
        assert seen.shape == (36, 64)
        rows, columns = np.indices(seen.shape)
        centre = np.array([(columns * seen).sum(), (rows * seen).sum()]) / seen.sum()
        expected, _ = picture.camera.project(np.array(point))
        assert centre == pytest.approx(expected, abs=0.25)
        assert picture.to_source(expected) == pytest.approx(pixel, abs=1e-6)
    assert picture.undistorts == (name in ("distorted", "fisheye"))


def test_windows_cover_all_frames():
    assert window_starts(5, 8, 2) == [0]
    assert window_starts(8, 8, 2) == [0]
    assert window_starts(13, 8, 2) == [0, 2, 4, 5]
    found = covered_mean(4, 3, [0, 1], np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert found.tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]]


def test_lanes_are_averaged_by_time():
    times = np.arange(6) / 30
    lanes = [np.array([0, 2, 4]), np.array([1, 3, 5])]
    one, two = np.array([[0.0], [1], [2]]), np.array([[10.0], [11], [12]])
    found = mean_over_lanes(times, lanes, [one, two])[:, 0]
    assert found[2] in (5.5, 6.0)  # of lane two, frames 1 and 3 are equally near
    assert found[0] == 5.0
    assert found[5] == 7.0


def test_windows_of_two_lengths_find_actions_of_a_second_and_of_many():
    clip, spans = 64, (("open", 20), ("pour", 130), ("close", 16), ("open", 94))
    names = ("open", "close", "pour")
    truth = np.concatenate([np.full(length, names.index(name)) for name, length in spans])
    tokens, asked = np.eye(3)[truth], []

    def recognise(part):
        """The more frames of an action a window holds, the likelier it is."""
        asked.append(len(part))
        return part.mean(1)

    found = lane_probabilities(recognise, tokens, clip)
    np.testing.assert_allclose(found.sum(1), 1)
    sure = [k for k in range(len(truth)) if len(set(truth[max(0, k - 4) : k + 5])) == 1]
    assert (found.argmax(1) == truth)[sure].all()
    assert max(asked) <= 64
    assert sum(asked) == len(window_starts(260, 12, 2)) + len(window_starts(260, 24, 2))
    short = lane_probabilities(recognise, tokens[:5], clip)
    np.testing.assert_array_equal(short, tokens[:5])


def test_segments_merge_and_drop():
    times = np.arange(90) / 30
    labels = np.array([0] * 30 + [2] * 6 + [1] * 24 + [0] * 6 + [1] * 24)
    probabilities = np.full((90, 3), 0.1)
    probabilities[np.arange(90), labels] = 0.8
    first, second = segments(times, probabilities, ("open", "close", "pour"), 0.5)
    assert (first.label, second.label) == ("open", "close")
    assert (first.start_s, first.end_s) == pytest.approx((0.0, 1.1))
    assert (second.start_s, second.end_s) == pytest.approx((1.1, 3.0))
    assert first.score == pytest.approx((30 * 0.8 + 3 * 0.1) / 33)
    assert second.score == pytest.approx((48 * 0.8 + 9 * 0.1) / 57)


def test_segments_of_next_to_nothing():
    names = ("open", "close")
    assert segments(np.zeros(0), np.zeros((0, 2)), names) == ()
    (only,) = segments(np.array([2.0]), np.array([[0.3, 0.7]]), names)
    assert (only.label, only.start_s, only.end_s) == ("close", 2.0, 3.0)
    flicker = np.eye(2)[np.arange(12) % 2] * 0.6 + 0.2
    (only,) = segments(np.arange(12) / 30, flicker, names)
    assert only.label in names
    assert only.end_s == pytest.approx(0.4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network whose hands lie inside the picture."""
    from handloom.formats.weights import save_pretrained
    from test_htt_model import small_model

    folder = tmp_path_factory.mktemp("weights") / "htt"
    save_pretrained(small_model(image_size=(64, 36)), folder)
    return folder


@pytest.fixture(scope="module")
def exported(weights):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = weights.parent / "htt.onnx"
    done = handloom_command("export", "htt", weights, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def handloom_command(*arguments):
    """The command in a process without the tests' checks of shapes: they would pin sizes that export leaves free."""
    script = "import sys; from handloom.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def network(weights):
    from handloom.estimators.htt_network import load_network

    return load_network(weights, "cpu", "float32")


def video(path, frames, rate=30):
    return clip(path, frames, time_base=Fraction(1, rate))


@needs_torch
@pytest.mark.parametrize("which", ["weights", "exported"])
@pytest.mark.parametrize("frames", [1, 2, 7, 32, 90])
def test_a_video_of_any_length(request, which, frames, tmp_path):
    """90 frames are two lanes of 45: more than one clip of 16, so sliding windows."""
    source, path = video(tmp_path / "v.mp4", frames), request.getfixturevalue(which)
    track = handloom.track(source, estimator="htt", weights=path)
    assert len(track) == frames
    assert track.present.any()
    assert set(np.unique(track.confidence)) <= {np.float32(0), np.float32(0.5)}
    assert track.object_names == ("milk", "book")
    assert track.object_probabilities.sum(-1) == pytest.approx(1.0)
    assert track.actions[0].start_s == track.times_s[0]
    assert track.actions[-1].end_s > track.times_s[-1]
    assert all(one.end_s == two.start_s for one, two in zip(track.actions, track.actions[1:]))
    trimmed = handloom.track(source, estimator="htt", weights=path, trimmed=True)
    assert len(trimmed.actions) == 1


@needs_torch
def test_the_released_protocol(weights, tmp_path):
    """Both parities, windows and clips from the first frame on: the model's own forward on the clips gives the same."""
    from handloom.formats.weights import load_pretrained
    from handloom.models.htt import HTT, HTTConfig

    source = video(tmp_path / "v.mp4", 41)
    track = handloom.track(source, estimator="htt", weights=weights, precision="float32", trimmed=True)
    picture = PinholePicture(track.camera, (64, 36))
    with handloom_video(source) as frames:
        images = torch.from_numpy(np.stack([picture.view(frame.image) for frame in frames])).permute(0, 3, 1, 2)
    model = load_pretrained(HTT, HTTConfig, weights)
    K = torch.tensor(picture.camera.matrix, dtype=torch.float32)[None]
    votes = 0
    for parity in (0, 1):
        for start in (0, 32):
            part = images[start + parity : start + 32 : 2][None]
            with torch.inference_mode():
                output = model(part, torch.ones(part.shape[:2], dtype=torch.bool), K)
            votes = votes + output.action_logits.softmax(-1)[0].numpy() / 4
            rows = np.arange(start + parity, min(start + 32, 41), 2)
            seen = track.valid[rows]
            assert np.abs(track.joints_m[rows] - output.joints_m[0].numpy())[seen].max() < 1e-5
            objects = output.object_logits[0].softmax(-1).numpy()
            assert np.abs(track.object_probabilities[rows] - objects).max() < 1e-5
    (action,) = track.actions
    assert action.label == model.config.actions[votes.argmax()]
    assert action.score == pytest.approx(votes.max(), abs=1e-5)


def handloom_video(path):
    from handloom.video import open_source

    return open_source(path)


@needs_torch
def test_a_stream_gives_what_the_recording_gives_once_a_window_is_complete(weights, tmp_path):
    """Every frame through the backbone once; poses of whole windows, and the action of whole clips, to 1e-5."""
    from handloom.estimators.htt import lane_poses
    from handloom.estimators.htt_stream import HTTStream

    source, net = video(tmp_path / "v.mp4", 70), network(weights)
    camera, seen = Pinhole.from_fov(160, 96, 60), []

    class Counting:
        layout, name, poses, action = net.layout, net.name, net.poses, net.action

        def features(self, pictures):
            seen.append(len(pictures))
            return net.features(pictures)

    stream = HTTStream(Counting(), camera)
    with handloom_video(source) as frames:
        pictures = [(frame.image, frame.time_s) for frame in frames]
    moments = [stream.push(*picture) for picture in pictures]
    assert seen == [1] * 70
    features = net.features(np.stack([stream.picture.view(image) for image, _ in pictures]))
    complete = [moment for moment in moments if moment.complete]
    assert [moment.window for moment in complete[:3]] == [(0, 2, 4, 6), (1, 3, 5, 7), (8, 10, 12, 14)]
    whole = [lane_poses(net, features[parity::2], stream.picture.camera.matrix) for parity in (0, 1)]
    for moment in complete:
        lane, first = whole[moment.window[0] % 2], moment.window[0] // 2
        expected = lane.joints_m[0, first : first + 4]
        found = moment.window_hands.joints_m
        known = np.isfinite(found)
        assert known.any()
        assert np.abs(found - expected)[known].max() < 1e-5
        assert np.abs(moment.object_probabilities - lane.object_probabilities[0, first + 3]).max() < 1e-5
    for end in (32, 64):
        clips = [lane.tokens[:, end // 2 - 16 : end // 2] for lane in whole]
        expected = np.mean([net.action(tokens, np.ones((1, 16), np.bool_))[0] for tokens in clips], 0)
        assert np.abs(moments[end - 1].action_probabilities - expected).max() < 1e-5


@needs_torch
def test_the_future_changes_nothing_in_a_stream(weights):
    from handloom.estimators.htt_stream import HTTStream

    pictures = np.random.default_rng(0).integers(0, 256, (20, 96, 160, 3), dtype=np.uint8)
    camera = Pinhole.from_fov(160, 96, 60)
    one, two = HTTStream(network(weights), camera), HTTStream(network(weights), camera)
    first = [one.push(image, k / 30) for k, image in enumerate(pictures)]
    second = [two.push(image, k / 30) for k, image in enumerate(pictures[:9])]
    for a, b in zip(first, second):
        assert np.array_equal(a.hands.joints_m, b.hands.joints_m, equal_nan=True)
        assert np.array_equal(a.action_probabilities, b.action_probabilities)


@needs_torch
def test_onnx_is_pytorch(weights, exported):
    one, two = network(weights), network(exported)
    pictures = np.random.default_rng(0).integers(0, 256, (23, 36, 64, 3), dtype=np.uint8)
    features, other = one.features(pictures), two.features(pictures)
    assert np.abs(features - other).max() < 1e-4
    K, valid = Pinhole.from_fov(64, 36, 60).matrix, np.ones((1, 23), np.bool_)
    for a, b in zip(one.poses(features[None], valid, K), two.poses(other[None], valid, K)):
        assert np.abs(a - b).max() < 1e-3
    tokens = one.poses(features[None], valid, K).tokens[:, :16]
    assert np.abs(one.action(tokens, valid[:, :16]) - two.action(tokens, valid[:, :16])).max() < 1e-5
    assert "float32" in two.name


@needs_torch
def test_the_exported_file_stands_alone(exported):
    """Any number of clips and frames, padding included, in plain onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported))
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 36, 64), dtype=np.uint8)
    valid, K = np.array([[True] * 5, [True] * 3 + [False] * 2]), np.eye(3, dtype=np.float32)[None].repeat(2, 0)
    joints, action = session.run(
        ["joints_m", "action_probabilities"], {"images": images, "valid": valid, "intrinsics": K}
    )
    assert joints.shape == (2, 5, 2, 21, 3)
    images[1, 3:] = 0
    again = session.run(["action_probabilities"], {"images": images, "valid": valid, "intrinsics": K})[0]
    assert action == pytest.approx(again, abs=1e-6)


@needs_torch
def test_int8(weights, tmp_path):
    pytest.importorskip("onnxscript")
    from handloom.estimators.htt_onnx import OnnxHTT

    out, source = tmp_path / "q.onnx", video(tmp_path / "v.mp4", 40)
    command = ["export", "htt", weights, "--out", out, "--int8"]
    assert "--calibration VIDEO" in handloom_command(*command).stderr
    done = handloom_command(*command, "--calibration", source)
    assert done.returncode == 0, done.stderr
    assert "int8 backbone" in done.stdout
    assert "mm from PyTorch float32" in done.stdout
    assert "int8" in OnnxHTT(out).name
    done = handloom_command(*command, "--calibration", source)
    assert done.returncode == 2
    assert "is there already" in done.stderr


@needs_torch
def test_bfloat16_is_near_float32(weights):
    from handloom.estimators.htt_network import load_network

    pictures = np.random.default_rng(0).integers(0, 256, (20, 36, 64, 3), dtype=np.uint8)
    full, half = network(weights), load_network(weights, "cpu", "bfloat16")
    one, two = full.features(pictures), half.features(pictures)
    assert 0 < np.abs(one - two).max() < 0.05 * np.abs(one).max()
    assert "bfloat16" in half.name


@needs_torch
def test_hands_outside_the_picture_are_missing(weights):
    from handloom.estimators.htt import hands_of
    from handloom.estimators.htt_network import HTTPoses

    layout = HTTLayout(("a",), ("o",), ("right",), (64, 36), 4, 16, 2)
    picture = PinholePicture(Pinhole.from_fov(160, 96, 60), (64, 36))
    keypoints, joints = np.full((1, 4, 1, 21, 2), 20.0), np.ones((1, 4, 1, 21, 3))
    keypoints[0, 1] += (60, 0)
    keypoints[0, 2, 0, :10] += (60, 0)
    joints[0, 3, 0, 5, 2] = -0.1
    hands = hands_of(layout, picture, HTTPoses(keypoints, joints, np.ones((1, 4, 1)), np.zeros((1, 4, 8))))
    assert not hands.valid[:, 0].any(), "a network of right hands knows no left one"
    assert hands.valid[:, 1].all(-1).tolist() == [True, False, True, False]
    assert hands.confidence[2, 1].tolist() == [0.0] * 10 + [0.5] * 11
    assert hands.keypoints_px[0, 1, 0] == pytest.approx((20.5 * 2.5 - 0.5, 20.5 * 96 / 36 - 0.5), abs=2)


@needs_torch
def test_live(weights, tmp_path):
    """As from a webcam: drawn as it comes, objects and actions in the record, the same poses as the stream's own."""
    from handloom.estimators.htt_stream import HTTStream
    from handloom.tracking.job import Job
    from handloom.tracking.live import track_live
    from handloom.tracking.options import TrackOptions
    from handloom.view.caption import Band, Said
    from handloom.view.colours import label_colours
    from handloom.view.overlay import draw_hands

    source = video(tmp_path / "v.mp4", 40)
    options = TrackOptions(estimator="htt", weights=weights, precision="float32")
    with handloom_video(source) as frames:
        result = track_live(frames, Job(str(source), options), tmp_path / "overlay.mp4")
        stream = HTTStream(network(weights), result.track.camera)
        moments = [stream.push(frame.image, frame.time_s) for frame in frames]
        joints = [moment.hands.joints_m[0] for moment in moments]
    assert result.estimator.endswith("float32), streaming")
    assert result.overlay_written
    assert result.track.joints_m == pytest.approx(np.float32(joints), abs=1e-6, nan_ok=True)
    assert result.track.object_probabilities.sum(-1) == pytest.approx(1.0)
    assert result.track.actions
    # What is likeliest at the moment stands in the corner.
    with handloom_video(source) as frames, handloom_video(tmp_path / "overlay.mp4") as written:
        for moment, plain, drawn in zip(moments, frames, written):
            layout, hands, shown = stream.network.layout, moment.hands, plain.image.copy()
            draw_hands(shown, hands.keypoints_px[0], hands.valid[0], hands.confidence[0])
            bare, said = shown.copy(), []
            found = ((layout.actions, moment.action_probabilities), (layout.objects, moment.object_probabilities))
            for names, likely in found:
                row = int(likely.argmax())
                said.append(Said(names[row], float(likely[row]), label_colours(names)[names[row]]))
            Band(bare.shape[1], bare.shape[0]).draw(shown, said)
            band = (shown != bare).any(-1)
            off, off_bare = (np.abs(drawn.image.astype(int) - image)[band].mean() for image in (shown, bare))
            assert off < 0.3 * off_bare
    with pytest.raises(InputError, match="need a recording"), handloom_video(source) as frames:
        track_live(frames, Job(str(source), TrackOptions(estimator="htt", weights=weights, trimmed=True)), None)


@needs_torch
def test_notes_say_what_was_done(weights, tmp_path):
    source = video(tmp_path / "v.mp4", 9, rate=60)
    command = ["track", str(source), "--estimator", "htt", "--weights", str(weights), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    notes = " ".join(json.loads((tmp_path / "out/run.json").read_text())["notes"])
    assert "no confidence of its own" in notes
    assert "of 60 per second it takes 4 interleaved sequences, each of 15" in notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": Path("w")}, "add --estimator and one of these"),
        ({"trimmed": True}, "add the option --estimator htt"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(InputError, match=message):
        handloom.track("clip.mp4", **options)


@needs_torch
def test_weights_that_cannot_be_used(weights, tmp_path):
    source = video(tmp_path / "v.mp4", 3)

    def refused(path, message, **options):
        with pytest.raises(InputError, match=message):
            handloom.track(source, estimator="htt", weights=path, **options)

    refused(tmp_path / "no", "does not exist; give a folder with weights")
    refused(tmp_path, "holds no config.json")
    (tmp_path / "c.pth").write_bytes(b"x")
    refused(tmp_path / "c.pth", "become a folder with: handloom import-weights htt")
    (tmp_path / "c.onnx").write_bytes(b"x")
    refused(tmp_path / "c.onnx", "is damaged, or no exported HTT")
    if not torch.cuda.is_available():
        refused(weights, "there is no device 'cuda' here; use one of: auto, cpu", device="cuda")


def test_without_torch(tmp_path, monkeypatch):
    (tmp_path / "w").mkdir()
    for name in ("torch", "handloom.estimators.htt_torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[torch\]' in a clone"):
        handloom.track(video(tmp_path / "v.mp4", 3), estimator="htt", weights=tmp_path / "w")


def test_tracking_imports_no_torch():
    script = "import sys, handloom.tracking.pipeline; print({'torch', 'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@needs_torch
def test_frames_that_do_not_decode_have_no_hands(weights, tmp_path):
    from make_video import damage

    source = damage(video(tmp_path / "v.mp4", 20), 7)
    track = handloom.track(source, estimator="htt", weights=weights)
    lost = ~track.any_hand
    assert len(track) == 20
    if lost.any():
        assert np.isnan(track.object_probabilities[lost]).all()


@needs_torch
def test_weights_come_with_the_package_and_say_what_they_know(tmp_path):
    source = video(tmp_path / "v.mp4", 5)
    assert main(["track", str(source), "--estimator", "htt", "--out", str(tmp_path / "out")]) == 0
    notes = " ".join(json.loads((tmp_path / "out/run.json").read_text())["notes"])
    assert "the weights that come with Handloom know simulated hands alone" in notes
    assert "simulated hands alone" in (PACKAGED / "README.md").read_text()
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 30e6
