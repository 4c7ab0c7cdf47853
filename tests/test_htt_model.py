"""HTT against the outputs of the released implementation, and its variants against themselves."""

from pathlib import Path

import numpy as np
import pytest

from handloom.errors import InputError
from with_torch import needs_torch, torch

pytestmark = needs_torch
GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "htt-fpha.npz"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="the golden numbers are not beside this checkout")

TOLERANCE = {
    "keypoints_px": 1e-3,
    "depth_m": 5e-7,
    "joints_m": 2e-6,
    "object_prob": 1e-5,
    "object_logits": 5e-5,
    "action_prob": 2e-6,
    "action_logits": 2e-5,
    "backbone_feature": 2e-5,
    "pose_block_feature": 2e-5,
    "hand_head_raw": 1e-5,
    "action_block_input": 2e-5,
}
"""Those that shared/golden/README.md suggests; this README tells how they were found."""


def small_config(**changes):
    from handloom.models.htt import HTTConfig

    values = {
        "actions": ("open milk", "close milk", "pour milk"),
        "objects": ("milk", "book"),
        "image_size": (48, 32),
        "backbone_width": 16,
        "dim": 32,
        "heads": 4,
        "feedforward": 64,
        "pose_window": 4,
        "clip_frames": 16,
    }
    return HTTConfig(**(values | changes))


def small_model(seed=0, **changes):
    from handloom.models.htt import HTT

    torch.manual_seed(seed)
    return HTT(small_config(**changes)).eval()


def clips(batch=2, frames=16, seed=0):
    random = np.random.default_rng(seed)
    images = torch.from_numpy(random.integers(0, 256, (batch, frames, 3, 32, 48), dtype=np.uint8))
    K = torch.tensor([[40.0, 0, 23], [0, 42, 15], [0, 0, 1]]).expand(batch, 3, 3)
    return images, torch.ones(batch, frames, dtype=torch.bool), K


@pytest.fixture(scope="module")
def released():
    import htt_golden
    from handloom.formats.htt_checkpoint import model_of_state_dict

    weights = {key: torch.from_numpy(np.asarray(value)) for key, value in htt_golden.released_weights().items()}
    return model_of_state_dict(weights, "made up")


@needs_golden
@pytest.mark.parametrize("which", ["a", "b"])
def test_outputs_are_those_of_the_released_implementation(released, which):
    import htt_golden

    golden, given = np.load(GOLDEN), htt_golden.case(which)
    images = torch.from_numpy(given["image"]).permute(0, 3, 1, 2)
    valid, K = torch.from_numpy(given["valid"])[None], torch.from_numpy(given["K"])[None]
    with torch.inference_mode():
        features = torch.cat([released.features(chunk) for chunk in images.split(16)])[None]
        output, pose = released.from_features(features, valid, K), released.estimate_poses(features, valid)
        found = {
            "keypoints_px": output.keypoints_px[0, :, 0],
            "depth_m": output.depth_m[0, :, 0],
            "joints_m": output.joints_m[0, :, 0],
            "object_prob": output.object_logits[0].softmax(-1),
            "object_logits": output.object_logits[0],
            "action_prob": output.action_logits[0].softmax(-1),
            "action_logits": output.action_logits[0],
            "backbone_feature": features[0],
            "pose_block_feature": pose.tokens[0],
            "hand_head_raw": pose.raw[0, :, 0],
            "action_block_input": released.action_input(features, pose)[0],
        }
    for name, values in found.items():
        expected = golden[f"{which}_{name}"]
        values = values[golden["feature_frames"]] if len(expected) == 8 else values
        assert np.abs(values.numpy() - expected).max() < TOLERANCE[name], name


def test_padding_changes_nothing_but_itself():
    """What follows behind padding in the pictures is never seen by a real frame, nor by the action."""
    model = small_model()
    images, valid, K = clips()
    valid[:, 9:] = False
    other = images.clone()
    other[:, 9:] = 255 - other[:, 9:]
    with torch.inference_mode():
        one, two = model(images, valid, K), model(other, valid, K)
    assert torch.equal(one.joints_m[:, :9], two.joints_m[:, :9])
    assert torch.equal(one.action_logits, two.action_logits)
    assert not torch.equal(one.joints_m[:, 9:], two.joints_m[:, 9:])


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("frames", [1, 3, 4, 6, 16])
def test_clips_of_any_length_up_to_the_longest(paper, frames):
    from handloom.models.htt import HTT

    config = small_config().as_paper if paper else small_config()
    torch.manual_seed(1)
    model = HTT(config).eval()
    images, valid, K = clips(frames=frames)
    with torch.inference_mode():
        output = model(images, valid, K)
    assert output.joints_m.shape == (2, frames, 2, 21, 3)
    assert output.object_logits.shape == (2, frames, 2)
    assert output.action_logits.shape == (2, 3)
    assert all(bool(values.isfinite().all()) for values in output)


@pytest.mark.parametrize("paper", [False, True])
def test_a_window_of_nothing_but_padding_gives_no_nan(paper):
    from handloom.models.htt import HTT

    model = HTT(small_config().as_paper if paper else small_config()).eval()
    images, valid, K = clips()
    valid[:, 3:] = False
    with torch.inference_mode():
        assert all(bool(values.isfinite().all()) for values in model(images, valid, K))


def test_poses_depend_on_their_window_alone_and_actions_on_the_whole_clip():
    model = small_model()
    images, valid, K = clips()
    other = images.clone()
    other[:, 4:8] = 255 - other[:, 4:8]
    with torch.inference_mode():
        one, two = model(images, valid, K), model(other, valid, K)
    same = (one.joints_m == two.joints_m).flatten(2).all(-1).all(0)
    assert same.tolist() == [True] * 4 + [False] * 4 + [True] * 8
    assert not torch.allclose(one.action_logits, two.action_logits, atol=1e-6)


def test_frames_in_another_order_are_another_action():
    """Without positions, block A could not tell open from close."""
    model = small_model(pose_window=1)
    images, valid, K = clips()
    with torch.inference_mode():
        one, two = model(images, valid, K), model(images.flip(1), valid, K)
    assert torch.allclose(one.joints_m, two.joints_m.flip(1), atol=1e-5)
    assert not torch.allclose(one.action_logits, two.action_logits, atol=1e-4)


def test_the_parallel_model_recognises_without_poses():
    model = small_model(cascaded=False)
    images, valid, K = clips()
    model(images, valid, K).action_logits.sum().backward()
    assert model.pose_head[0].weight.grad is None
    assert model.backbone.conv1.weight.grad is not None


@pytest.mark.parametrize("left_out", ["use_feature", "use_pose", "use_object"])
def test_what_block_a_reads_can_be_left_out(left_out):
    full, less = small_model(), small_model(**{left_out: False})
    assert less.fuse.in_features == full.fuse.in_features - 32
    images, valid, K = clips()
    with torch.inference_mode():
        assert less(images, valid, K).action_logits.shape == (2, 3)


def test_decoding_inverts_projection():
    from handloom.geometry import Pinhole

    model = small_model(one_focal_length=False)
    _, _, K = clips()
    raw = torch.randn(2, 5, 2, 21, 3)
    keypoints, depth, joints = model.decode(raw, K)
    projected, _ = Pinhole(48, 32, 40.0, 42.0, 23.0, 15.0).project(joints.double())
    assert torch.allclose(projected.float(), keypoints, atol=1e-3)
    assert torch.allclose(joints[..., 2], depth)
    assert torch.allclose(depth, 40 * 1e-4 * raw[..., 2] + 0.4)


def test_attention_is_a_distribution_over_what_is_seen():
    model = small_model()
    images, valid, _K = clips()
    valid[:, 10:] = False
    with torch.inference_mode():
        features = model.features(images.flatten(0, 1)).unflatten(0, valid.shape)
        windows, of_token = model.attention(features, valid)
    assert windows.shape == (2, 2, 4, 4, 4)
    assert of_token.shape == (2, 2, 16)
    assert torch.allclose(windows.sum(-1), torch.ones(()), atol=1e-5)
    assert (windows[:, :, 2, :, 2:] == 0).all()
    assert (of_token[..., 10:] == 0).all()
    # The token sees itself too, so its weights on the frames are less than all.
    assert (of_token.sum(-1) < 1).all()
    assert (of_token[..., :10] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": ()}, "different names of actions"),
        ({"objects": ("milk", "milk")}, "different names of objects"),
        ({"hands": ("left", "third")}, "hands must be some of left, right"),
        ({"backbone_width": 8}, "multiple of 16, found 8"),
        ({"dim": 30}, "multiple of heads"),
        ({"pose_window": 32}, "at most clip_frames"),
        ({"use_feature": False, "use_pose": False, "use_object": False}, "one of use_feature, use_pose, use_object"),
    ],
)
def test_impossible_configs(changes, message):
    with pytest.raises(InputError, match=message):
        small_config(**changes)


def test_the_released_size():
    from handloom.models.htt import HTT, HTTConfig

    config = HTTConfig(tuple(map(str, range(36))), tuple(map(str, range(8))))
    with torch.device("meta"):
        count = sum(p.numel() for p in HTT(config).parameters())
    # Of the released network: 26,011,858 with the unused classifier of the ResNet.
    assert count == 26_011_858 - (1000 * 512 + 1000)


@pytest.mark.parametrize(
    ("depth", "million"), [("resnet18", 11.689512), ("resnet34", 21.797672), ("resnet50", 25.557032)]
)
def test_resnets_have_the_published_sizes(depth, million):
    from handloom.models.resnet import ResNet

    with torch.device("meta"):
        net = ResNet(depth)
    classifier = 1000 * net.features + 1000
    assert sum(p.numel() for p in net.parameters()) + classifier == round(million * 1e6)


@needs_golden
def test_losses_are_those_of_the_released_implementation(released):
    """On the stored outputs of both cases, alone and as one batch: ratios of sums over all real frames."""
    import htt_golden
    from handloom.models.htt import HTTOutput
    from handloom.training.htt_loss import TERMS, Target, htt_loss, loss_weights
    from handloom.training.recipe import Recipe

    golden, given = np.load(GOLDEN), {which: htt_golden.case(which) for which in "ab"}

    def tensors(which):
        stored = {
            name: torch.from_numpy(golden[f"{which}_{name}"])[None] for name in TOLERANCE if "feature" not in name
        }
        output = HTTOutput(
            stored["keypoints_px"][:, :, None],
            stored["depth_m"][:, :, None],
            stored["joints_m"][:, :, None],
            stored["object_logits"],
            stored["action_logits"],
        )
        case = given[which]
        uvz = torch.from_numpy(case["uvz"])[None, :, None]
        target = Target(
            keypoints_px=uvz[..., :2],
            depth_m=uvz[..., 2],
            joints_valid=torch.ones(uvz.shape[:-1], dtype=torch.bool),
            object=torch.from_numpy(case["object"])[None],
            action=torch.tensor([int(case["action"][0])]),
            valid=torch.from_numpy(case["valid"])[None],
        )
        return output, target

    (output_a, target_a), (output_b, target_b) = tensors("a"), tensors("b")
    both = [type(one)(*map(torch.cat, zip(one, two))) for one, two in ((output_a, output_b), (target_a, target_b))]
    tolerances = {"keypoints_px": 5e-5, "depth_m": 1e-7, "object": 5e-6, "action": 1e-5}
    for which, (output, target) in {"a": (output_a, target_a), "b": (output_b, target_b), "ab": both}.items():
        means = htt_loss(output, target).means
        values = dict(zip(TERMS, means.tolist()))
        for name in tolerances:
            assert values[name] == pytest.approx(float(golden[f"{which}_loss_{name}"]), abs=2 * tolerances[name]), name
        total = float((loss_weights(Recipe()) * means).sum())
        assert total == pytest.approx(float(golden[f"{which}_loss_total"]), abs=2e-4)
    # By the paper's equation 8 every clip counts the same, however long it is.
    per_clip = htt_loss(*both, clip_mean=True).means[0]
    alone = [htt_loss(output, target).means[0] for output, target in ((output_a, target_a), (output_b, target_b))]
    assert float(per_clip) == pytest.approx(float(sum(alone)) / 2, abs=1e-3)


def test_depth_from_the_wrist_does_not_count_how_far_away_a_hand_is():
    from handloom.models.htt import HTTOutput
    from handloom.training.htt_loss import TERMS, Target, htt_loss

    depth, known = torch.rand(1, 3, 2, 21), torch.ones(1, 3, 2, 21, dtype=torch.bool)
    known[0, 1, 0, 0] = False  # without its wrist a hand does not count
    nothing = torch.zeros(1, 3, 2, 21, 2)
    label, real = torch.full((1, 3), -1), torch.ones(1, 3, dtype=torch.bool)
    target = Target(nothing, depth, known, label, label[:, 0], real)

    def loss(found):
        terms = htt_loss(HTTOutput(nothing, found, nothing, torch.zeros(1, 3, 4), torch.zeros(1, 5)), target)
        return dict(zip(TERMS, terms.means.tolist()))

    assert loss(depth + 0.1)["depth_from_wrist_m"] == pytest.approx(0, abs=1e-6)
    assert loss(depth + 0.1)["depth_m"] == pytest.approx(0.1)
    bent = depth.clone()
    bent[:, :, :, 4] += 0.21
    assert loss(bent)["depth_from_wrist_m"] == pytest.approx(0.01)


def test_a_grid_reads_where_things_are_in_the_picture():
    """The mean over the last map knows how much of something there is; a grid knows where it is."""
    from handloom.models.htt import HTT

    torch.manual_seed(0)
    model = HTT(small_config(image_size=(64, 33), pooling="grid")).eval()
    assert model.backbone.grid[-1].in_features == 2 * 2 * 64
    assert model.features(torch.zeros(3, 3, 33, 64)).shape == (3, 32)
    spots = torch.randn(1, 128, 2, 2)
    turned = spots.flip(3)
    torch.testing.assert_close(spots.mean((2, 3)), turned.mean((2, 3)))
    assert not torch.allclose(model.backbone.grid(spots), model.backbone.grid(turned), atol=1e-3)


def test_batches_lose_what_is_padding_in_all_of_their_clips():
    from handloom.training.htt_loss import Target
    from handloom.training.samples import Sample, trimmed

    valid = torch.zeros(2, 12, dtype=torch.bool)
    valid[0, :3], valid[1, :5] = True, True
    target = Target(
        *(torch.zeros(2, 12, 2, 21, 2), torch.zeros(2, 12, 2, 21), torch.zeros(2, 12, 2, 21)),
        *(torch.zeros(2, 12), torch.tensor([3, 4]), valid),
    )
    sample = Sample(torch.arange(24.0).view(2, 12, 1), torch.eye(3).expand(2, 3, 3), target, torch.zeros(2, 2))
    shorter = trimmed(sample, 4)
    assert shorter.inputs.shape == (2, 8, 1)
    assert shorter.target.keypoints_px.shape == (2, 8, 2, 21, 2)
    assert shorter.target.action.tolist() == [3, 4]
    assert torch.equal(shorter.target.valid, valid[:, :8])
