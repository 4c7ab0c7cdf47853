"""Training HTT: the same weights however it is interrupted and launched; what it refuses; evaluation of the result."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.prepare import prepare_episodes
from handloom.errors import InputError, TrainingError
from made_up_store import MadeUp
from with_torch import TINY, needs_torch, torch

pytestmark = needs_torch
OPTIONS = {"preset": "paper", "camera": "front", "workers": 0, "device": "cpu", "epochs": 2, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(MadeUp(), out, (64, 36))
    return out


def train(store, out, changes=TINY, **options):
    from handloom.training.htt import train_htt
    from handloom.training.options import HTTOptions

    return train_htt([store], out, HTTOptions(**(OPTIONS | options)), changes)


def weights(folder):
    from handloom.formats.weights import read_tensors

    return read_tensors(folder / "model.safetensors")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "r"
    assert train(store, out) == out / "model"
    return out


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_weights_log_curves_and_checkpoints(run):
    assert {path.name for path in run.iterdir()} == {"training.json", "log.csv", "curves.html", "checkpoints", "model"}
    log = rows(run / "log.csv")
    assert [row["split"] for row in log] == ["train"] * len(log)
    assert float(log[-1]["total"]) < float(log[0]["total"])
    about = json.loads((run / "training.json").read_text())
    assert about["recipe"]["batch_clips"] == 2
    assert about["model"]["actions"] == ["open box", "close box"]


def test_stopped_anywhere_and_resumed_gives_the_same_bits(store, run, tmp_path):
    for steps in (1, 6, 3):
        assert train(store, tmp_path / "r", max_steps=steps) is None
    assert train(store, tmp_path / "r") == tmp_path / "r" / "model"
    whole, pieces = weights(run / "model"), weights(tmp_path / "r" / "model")
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    steps = [int(row["step"]) for row in rows(tmp_path / "r" / "log.csv")]
    assert steps == sorted(set(steps))


def test_killed_without_warning_it_goes_on(store, run, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from handloom.training import stage\n"
        "from handloom.training.htt import train_htt\n"
        "from handloom.training.options import HTTOptions\n"
        "step = stage.Stage._step\n"
        "def killed(self, batch):\n"
        "    if self.place.step == 7:\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return step(self, batch)\n"
        "stage.Stage._step = killed\n"
        f"options = HTTOptions(checkpoint_minutes=0, **{OPTIONS!r})\n"
        f"train_htt([Path({str(store)!r})], Path({str(tmp_path / 'r')!r}), options, {TINY!r})\n"
    )
    assert subprocess.run([sys.executable, script], check=False, env=_environment()).returncode == -9
    kept = sorted(path.name for path in (tmp_path / "r" / "checkpoints").iterdir())
    assert kept == ["step-00000006", "step-00000007"]
    train(store, tmp_path / "r")
    whole, pieces = weights(run / "model"), weights(tmp_path / "r" / "model")
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_ctrl_c_ends_with_a_checkpoint(store, tmp_path, monkeypatch, capsys):
    import signal

    from handloom.training.stage import Stage

    step = Stage._step

    def interrupted(self, batch):
        if self.place.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch)

    monkeypatch.setattr(Stage, "_step", interrupted)
    arguments = ["train", "htt", "--data", str(store), "--out", str(tmp_path / "r"), "--camera", "front"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--preset", "small", "--batch-clips", "2", "--workers", "0", "--device", "cpu"])
    assert left.value.code == 130
    assert [path.name for path in (tmp_path / "r").glob("*/checkpoints/*")] == ["step-00000002"]
    assert "go on with" in capsys.readouterr().out


def test_two_processes_train_as_one(store, run, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(
        "from pathlib import Path\n"
        "from handloom.training.htt import train_htt\n"
        "from handloom.training.options import HTTOptions\n"
        f"train_htt([Path({str(store)!r})], Path({str(tmp_path / 'r')!r}), HTTOptions(**{OPTIONS!r}), {TINY!r})\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(launcher, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = weights(run / "model"), weights(tmp_path / "r" / "model")
    # Attention does not depend on the bias of its keys: their gradient is rounding, which Adam blows up.
    for name in (name for name in one if not name.endswith("queries_keys.bias")):
        off = (two[name].float() - one[name].float()).abs()
        # So is that of a channel which a ReLU cuts off: a few numbers may lie a few steps apart.
        assert (off > 2e-3).float().mean() < 1e-3, name
        assert off.max() < 1e-2, name
    logs = [[float(row["total"]) for row in rows(path / "log.csv")] for path in (run, tmp_path / "r")]
    np.testing.assert_allclose(logs[1], logs[0], rtol=1e-3)
    (tmp_path / "r" / "model").rename(tmp_path / "kept")
    with pytest.raises(InputError, match="processes: begun with 2, now 1"):
        train(store, tmp_path / "r")


def _environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 1e-4}, "recipe.learning_rate: begun with 0.001, now 0.0001"),
        ({"seed": 1}, "seed: begun with 0, now 1"),
        ({"behaviour": "paper"}, "model.first_token_seen: begun with True, now False"),
    ],
)
def test_a_run_is_not_continued_with_other_settings(store, tmp_path, options, message):
    train(store, tmp_path / "r", max_steps=1)
    with pytest.raises(InputError, match=message):
        train(store, tmp_path / "r", **options)


def test_a_finished_run_is_not_taken_for_another(store, run):
    assert train(store, run) == run / "model"
    with pytest.raises(InputError, match="seed: begun with 0, now 5"):
        train(store, run, seed=5)


def test_a_run_is_not_continued_on_other_data(store, tmp_path):
    train(store, tmp_path / "r", max_steps=1)
    prepare_episodes(MadeUp((40, 25, 30, 30)), tmp_path / "s", (64, 36))
    with pytest.raises(InputError, match=r"data.stores.*begun with"):
        train(tmp_path / "s", tmp_path / "r")


def test_several_stores_are_trained_on_as_one(store, tmp_path):
    from handloom.datasets.clips import htt_clips
    from handloom.datasets.loader import ClipDataset
    from handloom.datasets.store import Store
    from handloom.training.htt import config_for
    from handloom.training.samples import JoinedSamples, PictureSamples

    prepare_episodes(MadeUp((24, 16, 16, 16)), tmp_path / "more", (64, 36))
    stores = [Store(store), Store(tmp_path / "more")]
    config = replace(config_for(stores), **TINY)
    assert config.actions == config_for(stores[:1]).actions
    parts = [
        PictureSamples(ClipDataset(one.root, "front", htt_clips(one, "train", True, 8, 2, 2)), config, 3)
        for one in stores
    ]
    joined = JoinedSamples(parts)
    first, second = (len(part) for part in parts)
    assert len(joined) == first + second
    assert joined.names == [recording.name for one in stores for recording in one.recordings]
    for number, part, within in ((first - 1, 0, first - 1), (first, 1, 0), (first + second - 1, 1, second - 1)):
        sample, expected = joined[2, number], parts[part][2, within]
        assert torch.equal(sample.inputs, expected.inputs)
        recording, frame = expected.place.tolist()
        assert sample.place.tolist() == [recording + part * len(stores[0].recordings), frame]
    from handloom.training.htt import train_htt
    from handloom.training.options import HTTOptions

    options = HTTOptions(**(OPTIONS | {"epochs": 1}))
    assert train_htt([store, tmp_path / "more"], tmp_path / "r", options, TINY) == tmp_path / "r" / "model"
    with pytest.raises(InputError, match=r"data.stores.*begun with"):
        train_htt([store], tmp_path / "r", options, TINY)
    with pytest.raises(InputError, match="give a store, or several"):
        train_htt([], tmp_path / "n", options, TINY)


def test_the_small_preset_trains_its_backbone_first_and_then_on_its_features(store, tmp_path):
    small = {**TINY, "pixel_scale": 50.0}
    out = tmp_path / "r"
    assert train(store, out, small, preset="small", epochs=1, batch_clips=2, max_steps=1) is None
    assert not (out / "1-frames" / "model").exists()
    assert train(store, out, small, preset="small", epochs=1, batch_clips=2) == out / "model"
    frames, clips = weights(out / "1-frames" / "model"), weights(out / "2-clips" / "model")
    backbone = [name for name in frames if name.startswith("backbone.")]
    assert all(torch.equal(frames[name], clips[name]) for name in backbone)
    assert not torch.equal(frames["pose_head.4.weight"], clips["pose_head.4.weight"])
    assert not torch.equal(frames["backbone.bn1.running_mean"], torch.zeros(16))
    # Two training recordings, plain and in two variants.
    assert len(list((out / "features").rglob("*.safetensors"))) == 6
    final = weights(out / "model")
    assert all(torch.equal(final[name], clips[name]) for name in final)
    # A later run may take the backbone alone, and share its features.
    other = tmp_path / "other"
    shared = {"backbone_from": out / "1-frames" / "model", "features": out / "features"}
    train(store, other, {**small, "cascaded": False}, preset="small", epochs=1, batch_clips=2, **shared)
    assert len(list((out / "features").rglob("*.safetensors"))) == 6
    assert torch.equal(weights(other / "model")["backbone.conv1.weight"], frames["backbone.conv1.weight"])


def test_a_training_goes_on_from_weights_but_for_classes_that_differ(store, tmp_path):
    from handloom.datasets.store import Store
    from handloom.formats.weights import save_pretrained
    from handloom.models.htt import HTT
    from handloom.training.htt import config_for, take_over
    from handloom.training.recipe import PRESETS

    small = {**TINY, "pixel_scale": 50.0}
    config = replace(PRESETS["small"].config(config_for([Store(store)])), **small)
    torch.manual_seed(5)
    trained = HTT(config)
    save_pretrained(trained, tmp_path / "w")
    renamed = replace(config, actions=tuple(f"other {k}" for k in range(len(config.actions))))
    for wanted, left_out in ((config, []), (renamed, ["action_head.bias", "action_head.weight"])):
        torch.manual_seed(6)
        model, chance = HTT(wanted), HTT(wanted)
        chance.load_state_dict(model.state_dict())
        take_over(model, tmp_path / "w", backbone_only=False)
        found, begun, before = model.state_dict(), trained.state_dict(), chance.state_dict()
        assert sorted(name for name in found if not torch.equal(found[name], begun[name])) == left_out
        assert all(torch.equal(found[name], before[name]) for name in left_out)
    # All stages are trained, the first one from there: at a rate of next to nothing it stays there.
    options = {"preset": "small", "epochs": 1, "batch_clips": 2, "start_from": tmp_path / "w", "learning_rate": 1e-12}
    train(store, tmp_path / "r", small, **options)
    frames = weights(tmp_path / "r" / "1-frames" / "model")
    torch.testing.assert_close(frames["pose_head.4.weight"], trained.state_dict()["pose_head.4.weight"])
    with pytest.raises(InputError, match="weights to go on from, or a backbone to freeze, not both"):
        train(store, tmp_path / "s", backbone_from=tmp_path / "w", **options)


def test_frozen_features_are_those_of_the_pictures(store):
    from handloom.datasets.clips import htt_clips
    from handloom.datasets.loader import ClipDataset
    from handloom.datasets.store import Store
    from handloom.models.htt import HTT
    from handloom.training.features import FeatureSamples, FeatureStore
    from handloom.training.htt import config_for
    from handloom.training.samples import PictureSamples

    config = replace(config_for([Store(store)]), **TINY)
    torch.manual_seed(0)
    model = HTT(config).eval()
    places = htt_clips(Store(store), "train", True, 8, 2, 2)
    clips = ClipDataset(store, "front", places)
    features = FeatureStore(store.parent / "features", model, 3, "float32", "front")
    features.compute(clips, [0, 1], 2, lambda *_: None)
    cached, pictures = FeatureSamples(clips, config, 3, features, 2), PictureSamples(clips, config, None)
    plain = FeatureSamples(clips, config, None, features, 2)
    with torch.inference_mode():
        expected = model.features(pictures[0, 5].inputs)
    np.testing.assert_allclose(plain[0, 5].inputs, expected, atol=2e-3)
    shifts = set()
    for epoch in range(12):
        sample, true = cached[epoch, 5], pictures[0, 5]
        moved = true.intrinsics[:2, 2] - sample.intrinsics[:2, 2]
        np.testing.assert_allclose(true.target.keypoints_px - sample.target.keypoints_px, moved.expand(8, 2, 21, 2))
        shifts.add(tuple(moved.tolist()))
    assert (0, 0) in shifts
    assert len(shifts) == 3


def test_mirrored_features_are_those_of_mirrored_pictures(store):
    from handloom.datasets.clips import htt_clips
    from handloom.datasets.loader import ClipDataset
    from handloom.datasets.store import Store
    from handloom.models.htt import HTT
    from handloom.training.features import FeatureSamples, FeatureStore
    from handloom.training.htt import config_for
    from handloom.training.samples import PictureSamples

    config = replace(config_for([Store(store)]), **TINY)
    model = HTT(config).eval()
    clips = ClipDataset(store, "front", htt_clips(Store(store), "train", True, 8, 2, 2))
    features = FeatureStore(store.parent / "features", model, 3, "float32", "front", mirror=1.0)
    features.compute(clips, [0, 1], 1, lambda *_: None)
    cached, plain = FeatureSamples(clips, config, 3, features, 1), PictureSamples(clips, config, None)
    turned = 0
    for epoch in range(8):
        sample, true = cached[epoch, 5], plain[0, 5]
        across, across_before = (one.target.keypoints_px[..., 0] - one.intrinsics[0, 2] for one in (sample, true))
        if not torch.allclose(across, across_before, atol=1e-3):
            turned += 1
            # The left hand is the right one of the mirror, and as far away.
            np.testing.assert_allclose(across, -across_before.flip(1), atol=1e-3)
            assert torch.equal(sample.target.depth_m, true.target.depth_m.flip(1))
    assert 0 < turned < 8
    assert FeatureStore(store.parent, replaced_hands(model), 3, "float32", "front", mirror=1.0).mirror == 0


def replaced_hands(model):
    from handloom.models.htt import HTT

    return HTT(replace(model.config, hands=("right",)))


def test_a_loss_that_is_not_finite_names_its_clips(store, tmp_path):
    with pytest.raises(TrainingError, match=r"not finite .* clips: subject1/take/\d from frame \d+; subject1/take"):
        train(store, tmp_path / "r", learning_rate=1e30)


def test_what_cannot_be_trained(store, tmp_path):
    with pytest.raises(InputError, match="several cameras; choose one with --camera: front, head"):
        train(store, tmp_path / "r", camera=None)
    with pytest.raises(InputError, match="'head' is a OVFishEye62; networks place joints by a pinhole"):
        train(store, tmp_path / "r", camera="head")
    with pytest.raises(InputError, match="no recordings of split 'dev'"):
        train(store, tmp_path / "r", split="dev")
    with pytest.raises(TrainingError, match="less than one batch of 999"):
        train(store, tmp_path / "r", batch_clips=999)


def test_only_so_much_of_a_batch_fits():
    from handloom.training.memory import GPUMemoryError, largest_batch

    def attempt(size):
        if size > 3:
            raise torch.OutOfMemoryError("made up")

    assert largest_batch(attempt, 16) == 2
    assert largest_batch(lambda size: attempt(9), 16) == 0
    assert "of 16 clips; 2 would fit: use --batch-clips 2" in str(GPUMemoryError(16, 2, 1))
    assert "of 16 clips (of 64 over 4 processes); 8 would fit: use --batch-clips 8" in str(GPUMemoryError(16, 2, 4))
    assert "not even one fits" in str(GPUMemoryError(16, 0, 1))


def test_learning_rates():
    from handloom.training.recipe import PRESETS, Recipe
    from handloom.training.schedule import learning_rate

    paper = PRESETS["paper"].stages[0].recipe
    rates = [learning_rate(paper, epoch * 100 + 99, 100) for epoch in range(45)]
    np.testing.assert_allclose(rates, [3e-5] * 15 + [1.5e-5] * 15 + [7.5e-6] * 15)
    cosine = Recipe(epochs=2, learning_rate=1.0, schedule="cosine", warm_up_steps=4)
    found = [learning_rate(cosine, step, 50) for step in (0, 3, 50, 99)]
    np.testing.assert_allclose(found, [0.25, 0.9978, 0.5, 0.00025], atol=1e-4)
    # As many steps, however many there are in an epoch.
    for per_epoch in (7, 50):
        assert learning_rate(replace(cosine, steps=100), 50, per_epoch) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["statistics frozen", "frozen", "trained"])
def test_what_of_batch_norm_is_trained(kind):
    from handloom.models.htt import HTT, HTTConfig
    from handloom.training.loop import make_optimizer
    from handloom.training.picture_stage import set_mode, set_trainable
    from handloom.training.recipe import Recipe

    model, recipe = HTT(HTTConfig(("a",), ("o",), **TINY)), Recipe(batch_norm=kind, learning_rate=0.1)
    set_trainable(model, recipe)
    set_mode(model, recipe)
    optimizer = make_optimizer(model, recipe)
    before = {name: value.clone() for name, value in model.backbone.bn1.state_dict().items()}
    model.features(torch.rand(2, 3, 36, 64)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.backbone.bn1.state_dict().items() if not torch.equal(value, before[name])}
    assert (
        changed
        == {
            "statistics frozen": {"weight", "bias"},
            "frozen": set(),
            "trained": {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"},
        }[kind]
    )


def test_published_backbones_load(store, tmp_path):
    from handloom.models.resnet import Grid, ResNet
    from handloom.training.backbone import load_backbone

    torch.manual_seed(7)
    published = ResNet("resnet18", 4)
    state = {**published.state_dict(), "fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "resnet.pth")
    net = ResNet("resnet18", 4)
    load_backbone(net, tmp_path / "resnet.pth")
    assert torch.equal(net.conv1.weight, published.conv1.weight)
    with_grid = ResNet("resnet18", 4, Grid(2, 2, 4, 8))
    kept = with_grid.grid[-1].weight.clone()
    load_backbone(with_grid, tmp_path / "resnet.pth")
    assert torch.equal(with_grid.conv1.weight, published.conv1.weight)
    assert torch.equal(with_grid.grid[-1].weight, kept)
    with pytest.raises(InputError, match=r"resnet.pth: .* has shape .* expected"):
        load_backbone(ResNet("resnet18", 8), tmp_path / "resnet.pth")
    with pytest.raises(InputError, match="does not exist"):
        train(store, tmp_path / "r", backbone_weights=tmp_path / "none.pth")


def test_a_damaged_checkpoint_is_named(store, tmp_path):
    train(store, tmp_path / "r", max_steps=1)
    path = tmp_path / "r" / "checkpoints" / "step-00000001" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"optimizer.safetensors is truncated"):
        train(store, tmp_path / "r")


def test_evaluation_from_the_command_line(store, run, tmp_path, capsys):
    out = tmp_path / "scores"
    arguments = ["evaluate", str(run), "--data", str(store), "--out", str(out), "--split", "train", "--camera", "front"]
    assert main([*arguments, "--precision", "float32"]) == 0
    printed = capsys.readouterr().out
    assert "MEPE root-aligned, left" in printed
    assert "action accuracy, top 1" in printed
    assert {path.name for path in out.iterdir()} == {"predictions.npz", "scores.json", "evaluation.html"}
    scores = json.loads((out / "scores.json").read_text())
    assert scores["action"]["videos"] == 4
    assert main([*arguments[:-4], "--split", "dev", "--camera", "front"]) == 2
    assert "no recordings of split 'dev'" in capsys.readouterr().err
    (tmp_path / "file").touch()
    at_a_file = ["--out", str(tmp_path / "file"), "--split", "train", "--camera", "front"]
    assert main(["evaluate", str(run), "--data", str(store), *at_a_file]) == 2
    printed = capsys.readouterr().err
    assert "cannot make the folder" in printed
    assert "videos" not in printed  # nothing was evaluated in vain


def test_predictions_are_the_models_own(store, run):
    """Every frame once; what `predict` collects is what the network says of the clips."""
    from handloom.datasets.clips import htt_clips
    from handloom.datasets.loader import ClipDataset
    from handloom.datasets.store import Store
    from handloom.estimators.htt_network import load_network
    from handloom.evaluation.predict import predict
    from handloom.formats.weights import load_pretrained
    from handloom.models.htt import HTT, HTTConfig
    from handloom.training.samples import PictureSamples, collate

    network = load_network(run / "model", "cpu", "float32")
    found, videos = predict(network, Store(store), "front", "train", "made up")
    assert [video.end - video.start for video in videos] == [18, 22, 10, 15]
    assert len(found) == 18 + 22 + 10 + 15
    assert found.action_truth.tolist() == [0, 1, 0, 1]
    model = load_pretrained(HTT, HTTConfig, run / "model")
    places = htt_clips(Store(store), "train", False, 8, 2, 2)
    samples = PictureSamples(ClipDataset(store, "front", places), model.config, None)
    for number, place in enumerate(places):
        batch = collate([samples[0, number]])
        with torch.inference_mode():
            features = torch.from_numpy(network.features(batch.inputs[0].permute(0, 2, 3, 1).numpy()))
            output = model.from_features(features[None], torch.from_numpy(place.valid)[None], batch.intrinsics)
        probabilities = found.action_probabilities[number]
        np.testing.assert_allclose(output.action_logits[0].softmax(-1), probabilities, atol=1e-4)
        for k in np.flatnonzero(place.valid):
            row = (found.frame_index == place.frames[k]) & (found.frame_video == found.clip_video[number])
            np.testing.assert_allclose(found.joints_m[row][0], output.joints_m[0, k], atol=1e-4)
    # With all of a video seen, the early answer is the vote.
    for number in range(4):
        vote = found.action_probabilities[found.clip_video == number].mean(0)
        np.testing.assert_allclose(found.early_probabilities[number, -1], vote, atol=1e-5)


def test_a_network_of_other_classes_is_refused(store, run, tmp_path):
    from handloom.formats.weights import load_pretrained, save_pretrained
    from handloom.models.htt import HTT, HTTConfig

    model = load_pretrained(HTT, HTTConfig, run / "model")
    model.config = replace(model.config, actions=("open box", "shut box"))
    save_pretrained(model, tmp_path / "other")
    from handloom.evaluation.evaluate import evaluate

    with pytest.raises(InputError, match="actions that the network does not know: close box; it knows open box, shut"):
        evaluate(tmp_path / "other", store, "train", tmp_path / "out", camera="front")
