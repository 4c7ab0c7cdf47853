"""G-HTT's blocks, losses and paths against the outputs of the authors' code, and against themselves."""

import numpy as np
import pytest

import ghtt_golden
from handloom.geometry import apply_rigid, invert_rigid, vector_from_rotation
from handloom.geometry.motion_features import hand_motion, joints_from_features, local_joints, to_pose9, trajectory
from with_torch import needs_torch, torch

pytestmark = needs_torch
needs_golden = pytest.mark.skipif(not ghtt_golden.GOLDEN.exists(), reason="no golden numbers beside this checkout")
WITHOUT_THUMB_BASE = np.tile(np.arange(21) != 1, 2)
SIZES = {"P": (512, 8, 2048, 9), "p64": (64, 4, 128, 2), "A": (512, 8, 2048, 9), "a2": (512, 8, 256, 2)}


def close(found, expected, tolerance):
    found = found.detach().numpy() if hasattr(found, "detach") else np.asarray(found)
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)


def loaded(model, name):
    weights = {key: torch.from_numpy(value) for key, value in ghtt_golden.our_weights(name).items()}
    missing, unknown = model.load_state_dict(weights, strict=False)
    assert not unknown
    assert all(name.endswith(("_vectors", "offset", "scale")) for name in missing)
    return model.eval()


@pytest.fixture(scope="module")
def blocks():
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    return {name: loaded(PoseBlock(PoseBlockConfig(*SIZES[name])), name) for name in ("P", "p64")}


def windows(of=ghtt_golden.hand):
    motion = hand_motion(ghtt_golden.hands(of), template=ghtt_golden.templates())
    return [motion.part(slice(0, 32)), motion.part(slice(32, 64))]


def known(frames=16, batch=2):
    return np.broadcast_to(WITHOUT_THUMB_BASE, (batch, frames, 42))


def observed():
    seen = np.ones((2, 16), bool)
    seen[1, 9:] = False
    return seen


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


@needs_golden
@pytest.mark.parametrize(("name", "key"), [("P", "p"), ("p64", "ps")])
def test_block_p(blocks, name, key):
    from handloom.forecast.paths import encode
    from handloom.training.ghtt_loss import PoseTarget, pose_loss, total

    golden, block = ghtt_golden.golden(), blocks[name]
    motions = windows()
    features = np.stack([motion.features for motion in motions])
    filled = block.embedding.fill(tensor(features.astype(np.float32)), tensor(known(32)))
    close(filled, golden[f"{key}_feature_in"], 1e-6)

    with torch.inference_mode():
        encoded = encode(block, features[:, :16], known(), observed())
        refined, decoded, with_skip = block.refined(encoded), block.decode(encoded.mean), None
        with_skip = block.decode(encoded.mean, encoded)
    for part, value in (("mu", encoded.mean), ("logvar", encoded.log_variance), ("token", encoded.tokens)):
        close(value, golden[f"{key}_{part}"], 2e-5)
    close(refined, golden[f"{key}_refined"], 3e-6)
    close(decoded, golden[f"{key}_decoded"], 3e-6)
    close(with_skip, golden[f"{key}_decoded_skip"], 3e-6)

    base = np.stack([motion.camera_from_hand[15] for motion in motions])
    sizes = np.stack([motions[0].sizes_m[:16].mean(0), motions[1].sizes_m[:9].mean(0)])[:, None]
    doubled = decoded.double().numpy()
    close(local_joints(doubled).reshape(2, 16, 42, 3) * np.repeat(sizes, 21, -1)[..., None],
          golden[f"{key}_joints_local"], 5e-7)  # fmt: skip
    joints = joints_from_features(doubled, base, sizes)
    close(joints.reshape(2, 16, 42, 3), golden[f"{key}_joints_cam"], 6e-6)

    way = np.stack([invert_rigid(motion.camera_from_hand[15]) @ motion.camera_from_hand[16:] for motion in motions])
    counted = np.ones((2, 32, 153), bool)
    counted[..., :126] = np.repeat(known(32), 3, -1)
    target = PoseTarget(
        filled.detach(),
        tensor(counted),
        tensor(to_pose9(way, 10.0).astype(np.float32)),
        torch.ones(2, 16, 2, dtype=bool),
    )
    for suffix, out, rows in (
        ("", decoded, slice(0, 2)), ("_skip", with_skip, slice(0, 2)),
        ("_window0", decoded, slice(0, 1)), ("_window1", decoded, slice(1, 2)),
    ):  # fmt: skip
        chosen = PoseTarget(*(value[rows] for value in target))
        terms = pose_loss(refined[rows], out[rows], type(encoded)(*(value[rows] for value in encoded)), chosen)
        for term, value in terms._asdict().items():
            close(value, golden[f"{key}_loss_{term}{suffix}"], 5e-4 if term == "kl" else 2e-6)
        close(total(terms), golden[f"{key}_loss_total{suffix}"], 2e-6)


@needs_golden
@pytest.mark.parametrize("blended", [True, False])
def test_refinement(blocks, blended):
    """The authors' code puts the placeholder in place of every joint of padded frames; we do so in this test alone."""
    from handloom.forecast.paths import encode, goal_consistent, way_from_start, whole_hands

    golden, block = ghtt_golden.golden(), blocks["P"]
    motions = windows(ghtt_golden.estimate if blended else ghtt_golden.hand)
    features = np.stack([motion.features[:16] for motion in motions])
    if blended:
        filled = block.embedding.fill(tensor(features.astype(np.float32)), tensor(known()))
        close(filled, golden["refine_feature_in"], 1e-6)
    replaced = known() & observed()[..., None]
    with torch.inference_mode():
        encoded = encode(block, features, known())
        refined = whole_hands(block, block.refined(encoded), replaced)
        predicted = whole_hands(block, block.decode(encoded.mean, encoded), replaced)
    start = np.stack([motion.camera_from_hand[0] for motion in motions])
    sizes = np.stack([motions[0].sizes_m[:16].mean(0), motions[1].sizes_m[:9].mean(0)])[:, None]
    last = np.array([15, 8])
    if blended:
        goal = np.stack([m.camera_from_hand[k] for m, k in zip(motions, last)])
        way = goal_consistent(way_from_start(refined), invert_rigid(start) @ goal, last)
        close(np.arange(16) / last[:, None], golden["refine_lambda"], 1e-6)
        np.testing.assert_allclose(way[1, 8], (invert_rigid(start) @ goal)[1], atol=1e-12)
    else:
        way = trajectory(refined)
    frames = start[:, None] @ way
    local = local_joints(np.concatenate([refined, predicted], 1)) * sizes[..., None, None]
    first = apply_rigid(frames, local[:, :16])
    second = joints_from_features(predicted, frames[:, 15], sizes)
    joints = np.concatenate([first, second], 1).reshape(2, 32, 42, 3)
    close(joints, golden["refine_joints_cam" if blended else "noblend_joints_cam"], 6e-6)
    if blended:
        close(local.reshape(2, 32, 42, 3), golden["refine_joints_local"], 5e-7)


@needs_golden
def test_short_path(blocks):
    from handloom.forecast.paths import predict_short

    golden = ghtt_golden.golden()
    motion = hand_motion(ghtt_golden.hands(), template=ghtt_golden.templates())
    seen = motion.part(slice(0, 16))
    predicted = predict_short(blocks["P"], seen.features[None], known(batch=1), 3)[0]
    sizes = seen.sizes_m.mean(0, keepdims=True)
    joints = joints_from_features(predicted, motion.camera_from_hand[15], sizes)
    close(joints.reshape(48, 42, 3), golden["pa_joints_cam"], 6e-6)
    local = local_joints(predicted) * sizes[..., None, None]
    close(local.reshape(48, 42, 3), golden["pa_joints_local"], 5e-7)
    after_truth = joints_from_features(predicted[16:], motion.camera_from_hand[31], sizes)
    close(after_truth.reshape(32, 42, 3), golden["pa_gtfirst_joints_cam"], 6e-6)


def action_block(name):
    from handloom.models.ghtt_action import ActionBlock, ActionBlockConfig

    dim, heads, feedforward, layers = SIZES[name]
    actions, objects = (tuple(f"{kind} {i}" for i in range(n)) for kind, n in (("action", 12), ("object", 6)))
    block = ActionBlock(ActionBlockConfig(actions, objects, 512, dim, heads, feedforward, layers))
    return loaded(block, name)


@needs_golden
@pytest.mark.parametrize(("name", "key"), [("A", "a"), ("a2", "as")])
def test_block_a_and_the_long_path(blocks, name, key):
    from handloom.forecast.paths import expand
    from handloom.training.ghtt_loss import action_loss, total

    golden, block = ghtt_golden.golden(), action_block(name)
    given = {key: tensor(value) for key, value in ghtt_golden.a_inputs().items()}
    block.action_vectors.copy_(given["taxonomy"])
    seen, future = given["obsv_valid"] == 1, given["pred_valid"] == 1
    with torch.inference_mode():
        encoded = block.encode(given["mid"], given["object"], given["obsv_phase"], seen)
        labels = block.labels()
        plain = block.decode(encoded.mean, given["pred_phase"], future)
        skip = block.decode(encoded.mean, given["pred_phase"], future, encoded)
        told = block.decode(labels[given["action"]], given["pred_phase"], future, encoded)
        for part, value in (("mu", encoded.mean), ("logvar", encoded.log_variance), ("token", encoded.tokens)):
            close(value, golden[f"{key}_{part}"], 2e-5)
        close(plain, golden[f"{key}_mid_out"], 2e-5)
        close(skip, golden[f"{key}_mid_out_skip"], 2e-5)
        close(told, golden[f"{key}_mid_out_gtaction"], 2e-5)
        close(labels, golden[f"{key}_action_embedding"], 2e-5)
        close(block.logits(encoded.mean, labels).softmax(-1), golden[f"{key}_action_prob"], 1e-6)
        counted = future[..., None].expand_as(plain)
        for suffix, out in (("", plain), ("_skip", skip)):
            terms = action_loss(
                out, given["future_mid"], counted, encoded.mean, encoded, block, given["action"]
            )  # fmt: skip
            close(terms.mid, golden[f"{key}_loss_mid{suffix}"], 2e-6)
            close(total(terms), golden[f"{key}_loss_total{suffix}"], 2e-6)
        close(terms.distance, golden[f"{key}_loss_action_distance"], 2e-6)
        close(terms.contrast, golden[f"{key}_loss_action_contrast"], 3e-6)
        close(terms.kl, golden[f"{key}_loss_kl"], 5e-4)
    if name == "A":
        motion = hand_motion(ghtt_golden.hands(), template=ghtt_golden.templates())
        features = expand(blocks["P"], skip[:1], WITHOUT_THUMB_BASE[None])[0]
        way = trajectory(features)
        close(to_pose9(way, 10.0).reshape(256, 18), golden["pb_trajectory"], 3e-4)
        joints = joints_from_features(features, motion.camera_from_hand[15], motion.sizes_m[:16].mean(0, keepdims=True))
        shown = np.r_[0:16, 128:136, 248:256]
        close(joints.reshape(256, 42, 3)[shown], golden["pb_joints_cam"], 3e-5)


def small_block(seed=0, **changes):
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    torch.manual_seed(seed)
    return PoseBlock(PoseBlockConfig(**({"dim": 32, "heads": 4, "feedforward": 64, "layers": 1} | changes))).eval()


def small_action_block(**changes):
    from handloom.models.ghtt_action import ActionBlock, ActionBlockConfig

    torch.manual_seed(1)
    sizes = {"label_dim": 16, "dim": 32, "heads": 4, "feedforward": 64, "layers": 1}
    return ActionBlock(ActionBlockConfig(("open box", "close box"), ("box",), **(sizes | changes))).eval()


def test_unknown_joints_and_padding_have_no_influence():
    from handloom.forecast.paths import encode

    block, random = small_block(), np.random.default_rng(0)
    features = random.normal(size=(3, 16, 153))
    joints, seen = random.uniform(size=(3, 16, 42)) < 0.7, np.ones((3, 16), bool)
    seen[1, 5:] = False
    changed = features.copy()
    changed[..., :126][~np.repeat(joints, 3, -1)] = 7.0
    changed[1, 5:] = -3.0
    with torch.inference_mode():
        first, second = (encode(block, given, joints, seen) for given in (features, changed))
    close(first.mean, second.mean.numpy(), 1e-6)
    close(first.tokens[seen], second.tokens[seen].numpy(), 1e-6)


def test_the_flattened_model_reads_and_writes_features():
    block = small_action_block(level="pose", steps=32)
    features = torch.randn(2, 20, 153)
    seen, phase = torch.ones(2, 20, dtype=bool), torch.arange(20).expand(2, -1)
    joints = torch.ones(2, 20, 42, dtype=bool)
    encoded = block.encode(features, torch.zeros(2, 20, 16), phase, seen, joints)
    out = block.decode(encoded.mean, torch.arange(20, 52).expand(2, -1), torch.ones(2, 32, dtype=bool), encoded)
    assert out.shape == (2, 32, 153)
    assert block.logits(encoded.mean, block.labels()).shape == (2, 2)


def test_what_is_not_seen_of_the_future_is_not_heeded():
    block = small_action_block()
    latent, phase = torch.randn(1, 32), torch.arange(6)[None]
    seen = torch.tensor([[True, True, True, False, False, False]])
    short = block.decode(latent, phase[:, :3], seen[:, :3])
    close(block.decode(latent, phase, seen)[:, :3], short.detach().numpy(), 1e-6)


def test_goal_consistent_ends_at_the_goal_and_starts_where_it_did():
    from handloom.forecast.paths import goal_consistent, way_from_start

    motion = windows()[0] if ghtt_golden.GOLDEN.exists() else hand_motion(ghtt_golden.hands()).part(slice(0, 32))
    way = way_from_start(motion.features[:16])
    goal = way[12] @ way[3]
    bent = goal_consistent(way, goal, 15)
    np.testing.assert_allclose(bent[0], way[0], atol=1e-12)
    np.testing.assert_allclose(bent[15], goal, atol=1e-9)
    assert vector_from_rotation(bent[..., :3, :3]).shape == (16, 2, 3)


def test_statistics_move_what_a_network_counts_from():
    from handloom.models.motion_vae import set_statistics

    block, tokens = small_block(), torch.zeros(1, 32)
    mean, spread = torch.randn(153), torch.rand(153) + 0.1
    plain = block.head(tokens)
    set_statistics(block, mean, spread)
    torch.testing.assert_close(block.head(tokens), plain * spread + mean)
    given = torch.randn(2, 153)
    standard = small_block().embedding(given)
    torch.testing.assert_close(block.embedding(given * spread + mean), standard, atol=1e-4, rtol=1e-4)
