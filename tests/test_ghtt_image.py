"""G-HTT's image estimator F and object aggregator E^PO: the virtual camera, training that resumes, tracking, scores."""

import json
from dataclasses import replace

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import HandloomError, InputError
from handloom.formats.tracks import read_any_track
from handloom.geometry import BrownConrady, Pinhole, apply_rigid, rigid, rotation_from_vector
from handloom.geometry.reposing import VIRTUAL, repose, virtual_camera
from made_up_hands import open_hand
from made_up_store import MadeUp
from make_video import clip as make_clip
from with_torch import needs_torch, torch

TINY = {
    "image_size": (64, 36),
    "backbone_width": 16,
    "dim": 32,
    "label_dim": 16,
    "pixel_scale": 15.0,
    "heads": 2,
    "feedforward": 32,
    "layers": 1,
}
OPTIONS = {"cameras": ("front",), "device": "cpu", "epochs": 1, "batch_clips": 4, "workers": 0}


class Views(MadeUp):
    """The made-up store with the front camera twice: once from the side, with a longer lens."""

    def read(self, name):
        episode = super().read(name)
        front = episode.streams[0]
        side = rigid(rotation_from_vector(np.array([0.0, 0.5, 0.0])), np.array([-0.25, 0.0, 0.05]))
        longer = replace(front.camera, fx=60.0, fy=60.0)
        beside = np.broadcast_to(side, front.world_from_camera.shape)
        return replace(
            episode,
            streams=(front, replace(front, name="side", camera=longer, world_from_camera=beside), episode.streams[1]),
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(Views((20, 17, 40)), out)
    return out


@pytest.fixture(scope="module")
def tiny():
    """The small preset, smaller."""
    from handloom.training import ghtt_image_recipe as recipes

    kept = recipes.PRESETS["small"]
    recipes.PRESETS["small"] = replace(
        kept,
        config=TINY,
        recipe=replace(kept.recipe, precision="float32"),
        aggregator=replace(kept.aggregator, batch_clips=2, most_clips=3),
    )
    yield TINY
    recipes.PRESETS["small"] = kept


def train(store, out, **options):
    from handloom.training.ghtt_image import train_ghtt_image
    from handloom.training.options import ImageOptions

    return train_ghtt_image(store, out, ImageOptions(**(OPTIONS | {"cameras": ("front", "side")} | options)))


@pytest.fixture(scope="module")
def run(store, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "r"
    assert train(store, out) == out / "model"
    return out


def tensors(folder):
    from handloom.formats.weights import WEIGHTS, read_tensors

    return read_tensors(folder / WEIGHTS)


def some_hands(count=6):
    rng = np.random.default_rng(1)
    turns = rotation_from_vector(rng.normal(size=(count, 3)))
    places = rng.uniform([-0.2, -0.1, 0.35], [0.2, 0.1, 0.7], (count, 3))
    return open_hand() @ turns.transpose(0, 2, 1) + places[:, None]


def test_true_hands_in_the_virtual_camera_stay_where_they_are():
    hands = some_hands()
    known = np.ones(hands.shape[:2], bool)
    moved, valid = repose(hands, known, VIRTUAL.project(hands)[0], VIRTUAL)
    assert valid.all()
    np.testing.assert_allclose(moved, hands, atol=1e-6)
    # In any frame and from any place, a camera finds the pose that its own picture shows.
    turned = apply_rigid(rigid(rotation_from_vector(np.array([0.3, -0.2, 0.4])), np.array([3.0, 1.0, -2.0])), hands)
    bent = BrownConrady(480, 270, 300.0, 305.0, 236.0, 133.0, (0.05, -0.02, 1e-3, 1e-3))
    for camera in (VIRTUAL, bent):
        found, valid = repose(turned, known, camera.project(hands)[0], camera)
        assert valid.all()
        np.testing.assert_allclose(found, hands, atol=2e-5)


@pytest.mark.parametrize(
    ("camera", "most_mm"),
    [(Pinhole(480, 270, 238.7, 238.6, 237.9, 137.3), 1), (Pinhole(480, 270, 300.0, 300.0, 240.0, 134.0), 12)],
)
def test_into_the_virtual_camera_and_back(camera, most_mm):
    """A network that says the truth of the virtual camera gives it for the real one: exactly where the lenses agree."""
    hands = some_hands(20)
    known = np.ones(hands.shape[:2], bool)
    pixels = camera.project(hands)[0]
    there, _ = repose(hands, known, pixels, VIRTUAL)
    rays, _ = VIRTUAL.unproject(pixels)
    said = rays / rays[..., 2:] * there[..., 2:]
    back, valid = repose(said, known, pixels, camera)
    assert valid.all()
    assert 1000 * np.abs(back - hands).max() < most_mm
    sizes = np.linalg.norm(there[:, 9] - there[:, 0], axis=-1)
    np.testing.assert_allclose(sizes, np.linalg.norm(hands[:, 9] - hands[:, 0], axis=-1), rtol=1e-9)


def test_what_cannot_be_placed_is_said_so():
    hands = some_hands(4)
    known = np.ones(hands.shape[:2], bool)
    pixels = VIRTUAL.project(hands)[0]
    known[0, 3:] = False
    pixels[1] = np.nan
    pixels[2, 5:] = np.nan
    moved, valid = repose(hands, known, pixels, VIRTUAL)
    assert valid.tolist() == [False, False, True, True]
    assert (moved[:2] == 0).all()
    np.testing.assert_allclose(moved[2, :5], hands[2, :5], atol=1e-6)
    assert (moved[2, 5:] == 0).all()


@needs_torch
def test_the_networks_own_truth_decodes_to_the_hands_of_the_virtual_camera(store, tiny):
    from handloom.models.ghtt_image import ImageEstimatorConfig
    from handloom.models.picture_hands import decode_hands
    from handloom.training.image_samples import frame_places, joined_views

    config = ImageEstimatorConfig(("box", "lid"), **tiny)
    places = frame_places(Store(store), "train", 4, 8)
    views = joined_views(Store(store), ("front", "side"), places, config, 3, 0.5)
    assert len(views) == 2 * len(places)
    camera = virtual_camera(config.image_size)
    seen = set()
    for number in (0, 3, len(places), len(places) + 3):
        for epoch in range(3):
            sample = views[epoch, number]
            target = sample.target
            seen |= {tuple(target.joints_valid.any(-1).any(0).tolist())}
            u = (target.keypoints_px - torch.tensor(config.image_size) / 2) / config.pixel_scale
            s = (target.depth_m - config.depth_offset_m) / (camera.fx * config.depth_scale)
            raw = torch.cat([u, s[..., None]], -1)
            pixels, depth, joints = decode_hands(raw, sample.intrinsics.expand(len(raw), 3, 3), config)
            known = target.joints_valid
            torch.testing.assert_close(pixels[known], target.keypoints_px[known], atol=1e-3, rtol=0)
            torch.testing.assert_close(depth[known], target.depth_m[known], atol=1e-5, rtol=0)
            # The size is that of the made-up hand, from whichever view; what lenses of other lengths see is not quite
            # what this one would see of any turned hand.
            bones = torch.linalg.vector_norm(joints[:, :, 9] - joints[:, :, 0], dim=-1)
            true = np.linalg.norm(open_hand()[9] - open_hand()[0])
            whole = known[..., 0] & known[..., 9]
            assert (bones[whole] / true - 1).abs().max() < 0.15
            torch.testing.assert_close(sample.intrinsics, torch.from_numpy(camera.matrix).float())
    assert (True, True) in seen


@needs_torch
def test_stopped_anywhere_and_resumed_it_has_the_same_bits(store, tiny, run, tmp_path):
    for _ in range(3):
        assert train(store, tmp_path / "r", max_steps=2) is None
    while train(store, tmp_path / "r", max_steps=3) is None:
        pass
    whole, pieces = tensors(run / "model"), tensors(tmp_path / "r" / "model")
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    first = tensors(run / "1-frames" / "model")
    same = {name: torch.equal(first[name], whole[name]) for name in whole}
    assert all(equal != name.startswith(("object_token", "object_block")) for name, equal in same.items()), same
    with pytest.raises(InputError, match="seed: begun with 0, now 1"):
        train(store, run, seed=1)


@needs_torch
def test_clips_of_a_track_are_those_of_recognise():
    from handloom.estimators.ghtt import clip_rows

    for rate, frames, last in ((30.0, 40, 8), (60.0, 80, 8), (15.0, 20, 7)):
        since = np.arange(frames) / rate
        rows, seen = clip_rows(since, 16)
        np.testing.assert_allclose(since[rows[:2]], np.arange(32).reshape(2, 16) / 30, atol=0.51 / rate)
        assert seen[:2].all()
        assert seen[2].sum() == last
        assert (rows[2, seen[2]] < frames).all()
    rows, seen = clip_rows(np.zeros(1), 16)
    assert seen.sum() == 1
    assert (rows == 0).all()


@needs_torch
def test_from_video_to_actions(store, run, tmp_path, capsys):
    video = make_clip(tmp_path / "v.mp4", 36, width=64, height=48)
    out = tmp_path / "t"
    command = ["track", str(video), "--out", str(out), "--estimator", "ghtt", "--weights", str(run), "--fov", "70"]
    assert main([*command, "--no-overlay", "--device", "cpu"]) == 0
    track = read_any_track(out)
    assert track.object_names == ("box", "lid")
    said = track.object_probabilities
    np.testing.assert_allclose(said.sum(-1), 1, atol=1e-3)
    assert [len(np.unique(said[k : k + 16], axis=0)) for k in (0, 16, 32)] == [1, 1, 1]
    np.testing.assert_allclose(track.camera.project(track.joints_m[track.valid])[0].shape[1], 2)
    notes = json.loads((out / "run.json").read_text())["notes"]
    assert "handloom refine makes them one motion" in notes[0]
    assert main([*command[:2], "--out", str(tmp_path / "x"), *command[4:], "--live"]) == 2
    assert "ghtt tracks recordings" in capsys.readouterr().err


@needs_torch
def test_scores_of_every_camera(store, run, tmp_path, capsys, monkeypatch):
    from handloom.evaluation import ghtt_image as evaluation

    arguments = ["evaluate", str(run), "--data", str(store), "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "e")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("front, left", "side, right", "side, object"):
        assert words in said
    scores = json.loads((tmp_path / "e" / "scores.json").read_text())
    assert set(scores["cameras"]) == {"front", "side"}, "the fisheye is left out"
    page = (tmp_path / "e" / "evaluation.html").read_text()
    assert page.count("<figure>") == 4, "two videos, two cameras"
    assert f"{scores['cameras']['side']['left']['pa_mm']:.2f}" in page
    assert main([*arguments, "--camera", "side", "--out", str(tmp_path / "s")]) == 0
    alone = json.loads((tmp_path / "s" / "scores.json").read_text())
    assert alone["cameras"] == {"side": scores["cameras"]["side"]}

    # A network that is right about the picture is right about the hands, up to the change of camera.
    def told(found, camera):
        return truths.pop(0)

    truths = []
    kept = evaluation.ClipDataset.__getitem__

    def looked_at(dataset, number):
        clip = kept(dataset, number)
        if len(clip.frames) > 1:
            truths.append(clip.joints_m.astype(np.float64))
        return clip

    monkeypatch.setattr(evaluation.ClipDataset, "__getitem__", looked_at)
    monkeypatch.setattr(evaluation, "in_real_camera", told)
    found = evaluation.evaluate_image(run, store, "test", tmp_path / "t", ("front",), "cpu")
    for hand in ("left", "right"):
        assert max(found["cameras"]["front"][hand].values()) < 1e-3


@needs_torch
def test_what_it_refuses(store, tiny, run, tmp_path, capsys):
    from handloom.estimators.ghtt import GHTTEstimator

    with pytest.raises(InputError, match="has no pictures of camera 'cam9'; it has front, side, head"):
        train(store, tmp_path / "a", cameras=("cam9",))
    with pytest.raises(InputError, match="head bend straight lines; give cameras that are pinholes, front, side"):
        train(store, tmp_path / "b", cameras=("front", "head"))
    with pytest.raises(InputError, match="a camera comes twice: front, front"):
        train(store, tmp_path / "c", cameras=("front", "front"))
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"box": [1, 0, 1], "lid": [0, 1, 0]}))
    with pytest.raises(InputError, match="even and a multiple of 2"):
        train(store, tmp_path / "d", labels=table)
    table.write_text(json.dumps({"box": [1, 0, 1, 0]}))
    with pytest.raises(InputError, match="no vector for 'lid'"):
        train(store, tmp_path / "e", labels=table)

    class Plain(MadeUp):
        def read(self, name):
            return replace(super().read(name), object_names=(), object_poses=None, object_labels=None)

    prepare_episodes(Plain((20, 20)), tmp_path / "plain")
    with pytest.raises(InputError, match="labels no objects; F learns hands and the object"):
        train(tmp_path / "plain", tmp_path / "f", cameras=())
    poses = MadeUp((20, 20))
    poses.with_pictures = False
    prepare_episodes(poses, tmp_path / "poses")
    with pytest.raises(InputError, match="has no pictures; prepare it with pictures"):
        train(tmp_path / "poses", tmp_path / "g", cameras=())

    class Short(MadeUp):
        def read(self, name):
            return replace(super().read(name), segments=())

    prepare_episodes(Short((8, 8)), tmp_path / "one")
    with pytest.raises(InputError, match="no recording has 16 frames in a row"):
        train(tmp_path / "one", tmp_path / "h", cameras=())
    with pytest.raises(InputError, match=r"holds no config\.json"):
        GHTTEstimator.load(tmp_path)
    for options, message in (
        ({}, "ghtt has no weights of its own; train some with handloom train ghtt-image"),
        ({"weights": run, "trimmed": True}, "precision and trimmed belong to htt"),
    ):
        from handloom.tracking.options import TrackOptions

        with pytest.raises(HandloomError, match=message):
            TrackOptions(estimator="ghtt", **options)
    command = ["train", "ghtt-image", "--data", str(tmp_path / "poses"), "--out", str(tmp_path / "x")]
    assert main([*command, "--preset", "paper"]) == 2
    assert "has no pictures" in capsys.readouterr().err
