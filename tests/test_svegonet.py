"""SVEgoNet: crops, targets, training that resumes, evaluation, tracking, and what it refuses."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.label_noise import LabelNoise
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.geometry import apply_rigid, invert_rigid, rigid, rotation_from_vector
from made_up_hands import open_hand
from made_up_store import FRONT, HEAD, MadeUp
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(MadeUp((40, 25, 30)), out)
    return out


@pytest.fixture(scope="module")
def tiny():
    """The small preset, smaller."""
    from handloom.training import svegonet_recipe as recipes

    kept = recipes.PRESETS["small"]
    config = replace(kept.config, image_px=32, voxels=16, features=16)
    recipes.PRESETS["small"] = replace(
        kept, config=config, recipe=replace(kept.recipe, epochs=2, batch_clips=4, frame_step=5, precision="float32")
    )
    yield config
    recipes.PRESETS["small"] = kept


def train(store, out, **options):
    from handloom.training.options import EgoOptions
    from handloom.training.svegonet import train_svegonet

    return train_svegonet(store, out, EgoOptions(**({"device": "cpu"} | options)))


@pytest.fixture(scope="module")
def run(store, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "r"
    assert train(store, out) == out / "model"
    return out


def test_stopped_anywhere_and_resumed_it_has_the_same_bits(store, tiny, run, tmp_path):
    from handloom.formats.weights import WEIGHTS, read_tensors

    for steps in (1, 4):
        assert train(store, tmp_path / "r", crops=run / "crops", max_steps=steps) is None
    train(store, tmp_path / "r", crops=run / "crops")
    whole, pieces = (read_tensors(place / "model" / WEIGHTS) for place in (run, tmp_path / "r"))
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    with pytest.raises(InputError, match="seed: begun with 0, now 1"):
        train(store, run, seed=1)


@pytest.mark.parametrize("camera", [FRONT, HEAD])
def test_a_joint_is_where_its_view_says(camera):
    """Through a crop to voxels and back by the true depth of the wrist, a hand is itself again."""
    from handloom.estimators import ego_crops
    from handloom.estimators.ego_crops import OURS, cutter, depths_of, hand_boxes, hand_targets
    from handloom.models.internet import CELL_PX, InterNetConfig

    config = InterNetConfig()
    joints = np.stack([open_hand() - [0.15, 0, -0.4], open_hand() * [-1, 1, 1] + [0.02, 0.1, 0.45]])[None]
    pixels, seen = camera.project(joints)
    cut = cutter(config, camera, hand_boxes(pixels[:, 1], seen[:, 1]))
    targets = hand_targets(config, cut.views, joints, seen, np.array([1]))
    assert targets.joint_valid[0, :21].all(), "all of the hand that the crop is of"
    voxels = targets.joints[:, :21][:, OURS]
    _, depth = cut.views.project(joints[:, 1])
    found = cut.views.back_project(CELL_PX * voxels[..., :2], depths_of(config, voxels[..., 2]) + depth[:, :1])
    np.testing.assert_allclose(found, joints[:, 1], atol=1e-6)
    assert cut.crops is not None
    exact, there = cut.crops.source_map()
    quick, known = ego_crops._source_places(cut.crops)
    assert (known == there[0]).mean() > 0.99
    assert np.abs(quick - exact[0])[known & there[0]].max() < 0.1, "a tenth of a pixel, between every fourth one"


def test_in_a_mirror_hands_change_sides(store, tiny, run):
    from handloom.datasets.hand_crops import Subset, read_hand_crops
    from handloom.training.svegonet_samples import WIDER, EgoSamples

    crops = read_hand_crops(Store(store), ["head"], Subset((0, 1), 5), tiny, run / "crops", WIDER)
    samples = EgoSamples(crops, tiny, 0)
    drawn = [(epoch, 3) for epoch in range(16)]
    flips = [samples._draw(*item)[1] for item in drawn]
    assert 2 < sum(flips) < 14
    again = samples.batch(drawn)
    for row, flip in enumerate(flips):
        # Right hands come first. Hand 3 is a left one, and a right one in a mirror.
        assert again.hands[row, 0 if flip else 1]
        assert again.joint_valid[row].reshape(2, 21)[0 if flip else 1].sum() >= 10
    assert torch.equal(again.pictures[5], samples.batch([drawn[5]]).pictures[0]), "the same in any batch"


def test_noise_of_labels_is_what_it_says():
    joints, valid = np.zeros((4000, 2, 21, 3)), np.ones((4000, 2, 21), bool)
    found, known = LabelNoise().applied(joints, valid, 3)
    assert 5.5 < 1000 * np.linalg.norm(found, axis=-1).mean() < 6.5
    assert 0.03 < 1 - known.mean() < 0.05
    again, _ = LabelNoise().applied(joints, valid, 3)
    assert (again == found).all()
    jump, wander = np.diff(found, axis=0).std(), found.std()
    assert jump < wander, "errors wander more than they jump"
    still = LabelNoise(wander_mm=0, jump_mm=0, hidden=0).applied(joints, valid, 0)
    assert (still[0] == 0).all()
    assert still[1].all()


def test_views_are_taken_together_and_depth_comes_from_the_hand():
    from handloom.estimators.ego_crops import cutter, hand_boxes
    from handloom.estimators.ego_views import merge_views
    from handloom.estimators.svegonet import OneHand, wrist_depths
    from handloom.models.internet import InterNetConfig
    from handloom.skeleton import bone_lengths

    rng = np.random.default_rng(0)
    world = open_hand() @ rotation_from_vector(np.array([0.4, 0.3, -0.2])).T + [0.05, 0.0, 0.45]
    turns = rotation_from_vector(0.2 * rng.normal(size=(3, 3)))
    poses = rigid(turns, 0.08 * rng.normal(size=(3, 3)))
    joints = apply_rigid(invert_rigid(poses), world[None].repeat(3, 0))
    sure, group = rng.uniform(0.2, 1, (3, 21)), np.zeros(3, int)
    merged = merge_views(joints, sure, poses, group)
    np.testing.assert_allclose(merged.relative_m[0], world - world[0], atol=1e-12)
    np.testing.assert_allclose(merged.wrist_m[0], world[0], atol=1e-12)
    # Each view is wrong about the distance; together they know it better, and better than their mean does.
    wrong = joints + 0.05 * joints[:, :1] / np.linalg.norm(joints[:, :1], axis=-1, keepdims=True)
    found = merge_views(wrong, sure, poses, group).wrist_m[0]
    mean = apply_rigid(poses, wrong[:, :1])[:, 0].mean(0)
    assert np.linalg.norm(found - world[0]) < 0.8 * np.linalg.norm(mean - world[0])

    pixels, seen = HEAD.project(joints)
    views = cutter(InterNetConfig(), HEAD, hand_boxes(pixels, seen)).views
    inside, depth = views.project(joints)
    said = OneHand(inside, depth - depth[:, :1], sure)
    recovered, error = wrist_depths(views, said, bone_lengths(world))
    np.testing.assert_allclose(recovered, depth[:, 0], atol=1e-6)
    assert error.max() < 1e-6
    larger, _ = wrist_depths(views, said._replace(depth_m=1.1 * said.depth_m), 1.1 * bone_lengths(world))
    np.testing.assert_allclose(larger, 1.1 * depth[:, 0], atol=1e-6)


def test_evaluation_from_the_command_line(store, run, tmp_path, capsys, monkeypatch):
    from handloom.estimators import svegonet

    out = tmp_path / "scores"
    arguments = ["evaluate", str(run), "--data", str(store), "--device", "cpu"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "Wrist-relative errors on madeup (s), split test, cameras head" in " ".join(capsys.readouterr().out.split())
    scores = json.loads((out / "scores.json").read_text())
    assert set(scores["official"]) == set(scores["own_depth"])
    assert scores["hands"] == scores["hands_in_frames"] == 57, "one camera; the left hand is missing in 3 of 30 frames"
    single = scores["official"]["single"]
    assert np.isclose(single["mpjpe_without_wrists_mm"], single["mpjpe_mm"] * 42 / 40)
    assert "From the worst to the best" in (out / "evaluation.html").read_text()

    # A network that says where the hand is in its crop, and that it is flat, is off by the hand's depth alone.
    truths = []
    cut = svegonet.one_hand

    def told(found, hand):
        one = cut(found, hand)
        return one._replace(keypoints_px=truths[0], depth_m=0 * one.depth_m)

    from handloom.datasets.hand_crops import Subset, read_hand_crops
    from handloom.evaluation import svegonet as evaluation

    config = svegonet.SVEgoNet.load(run, "cpu").config
    crops = read_hand_crops(Store(store), ["head"], Subset((2,)), config, tmp_path / "crops")[0]
    own = crops.joints_m[np.arange(len(crops.hand)), crops.hand]
    truths.append(crops.views.project(own)[0])
    monkeypatch.setattr(evaluation, "one_hand", told)
    found = evaluation.evaluate_svegonet(run, store, "test", tmp_path / "flat", device="cpu")
    depth = crops.views.project(own)[1]
    assert 1 < found["official"]["single"]["mpjpe_mm"] < 1000 * np.abs(depth - depth[:, :1]).max() * 1.5

    assert main(["evaluate", str(tmp_path / "none"), "--data", str(store), "--out", str(out)]) == 2
    config = run / "model" / "config.json"
    damaged = tmp_path / "damaged"
    shutil.copytree(run / "model", damaged)
    (damaged / "config.json").write_text(config.read_text().replace('"voxels": 16', '"voxels": 64'))
    assert main(["evaluate", str(damaged), "--data", str(store), "--out", str(out)]) == 2
    assert "root_fc.2.weight has shape (16, 512), expected (64, 512)" in capsys.readouterr().err


def test_what_it_refuses(store, tiny, tmp_path):
    with pytest.raises(InputError, match="squares need pictures of a pinhole, found a OVFishEye62"):
        train(store, tmp_path / "a", behaviour="official")
    with pytest.raises(InputError, match="has no pictures of camera 'cam9'; it has front, head"):
        train(store, tmp_path / "b", cameras=("cam9",))
    fixed = tmp_path / "fixed"
    prepare_episodes(MadeUp((20, 20)), fixed, cameras=("front",))
    with pytest.raises(InputError, match="no egocentric camera: front stand still"):
        train(fixed, tmp_path / "c")
    assert train(fixed, tmp_path / "d", cameras=("front",), behaviour="official", epochs=1, frame_step=2) is not None
