"""Networks and geometry of annotation against the outputs of released code (shared/golden/annotation.md)."""

from pathlib import Path

import numpy as np
import pytest

import annotation_golden as formulas
from handloom.geometry import triangulate_dlt
from with_torch import needs_torch, torch

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden"
pytestmark = [
    needs_torch,
    pytest.mark.skipif(not GOLDEN.exists(), reason="the golden numbers are not beside this checkout"),
]


def near(found, golden, name, tolerance):
    np.testing.assert_allclose(np.asarray(found), golden[name], rtol=0, atol=tolerance, err_msg=name)


def means(module, kept, name, axes):
    module.register_forward_hook(lambda _m, _i, y: kept.__setitem__(name, y.detach().mean(axes)))


@pytest.mark.parametrize("graph", ["a101", "std21"])
def test_msg3d(graph):
    from handloom.models.msg3d import MSG3D, MSG3DConfig

    golden = np.load(GOLDEN / "msg3d.npz")
    config = MSG3DConfig(6, tuple(formulas.A101)) if graph == "a101" else MSG3DConfig(6)
    model = formulas.load(MSG3D(config), "msg3d")
    kept = {}
    for stage in (1, 2, 3):
        for part, name in (("sgcn", "_sgcn"), ("gcn3d", "_g3d"), ("tcn", "")):
            means(getattr(model, f"{part}{stage}"), kept, f"{graph}_stage{stage}{name}", (2, 3))
    x = torch.from_numpy(formulas.hands("msg3d/input64", 2, 64))
    with torch.no_grad():
        near(model(x), golden, f"{graph}_logits", 5e-5)
        for name, found in kept.items():
            near(found, golden, name, 5e-5)
        near(model.features(x), golden, f"{graph}_feature", 5e-5)
        near(model(torch.from_numpy(formulas.hands("msg3d/input51", 2, 51))), golden, f"{graph}_t51_logits", 5e-5)
    for part, name, shape in (
        (model.sgcn1[0], "gcn_adjacency", (13, 21, 21)),
        (model.gcn3d1.gcn3d[0].gcn3d[1], "g3d_adjacency_3", (6, 63, 63)),
        (model.gcn3d1.gcn3d[1].gcn3d[1], "g3d_adjacency_5", (6, 105, 105)),
    ):
        near(part.adjacency.reshape(shape), golden, f"{graph}_{name}", 2e-7)
    model.train()
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([2, 5]))
    assert torch.isfinite(loss)


def test_msg3d_has_the_released_keys_and_gradients():
    from handloom.models.msg3d import MSG3D, MSG3DConfig

    golden = np.load(GOLDEN / "msg3d.npz")
    model = formulas.load(MSG3D(MSG3DConfig(6, tuple(formulas.A101))), "msg3d")
    assert sorted(model.state_dict()) == sorted(golden["check_key"].tolist())
    x = torch.from_numpy(formulas.hands("msg3d/input64", 2, 64))
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([2, 5]))
    near(loss.detach(), golden, "a101_loss", 1e-5)
    loss.backward()
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters()}
    found = np.array([norms[name] for name in golden["grad_key"].tolist()])
    np.testing.assert_allclose(found, golden["a101_grad_norm"], rtol=3e-3, atol=1e-7)


def test_internet():
    from handloom.models.internet import InterNet, decode, internet_loss, target_heatmaps

    golden = np.load(GOLDEN / "internet.npz")
    model = formulas.load(InterNet(), "internet")
    assert sorted(model.state_dict()) == sorted(golden["check_key"].tolist())
    kept = {}
    for stage in (1, 2, 3, 4):
        means(getattr(model.backbone_net["resnet"], f"layer{stage}"), kept, f"backbone_layer{stage}_mean", (2, 3))
    for branch in (1, 2):
        name = f"joint_deconv_{branch}"
        means(getattr(model.pose_net, name), kept, f"{name}_mean", (2, 3))
    pictures = np.stack([formulas.picture(f"internet/image{k}", 256, 256) for k in (0, 1)])
    with torch.no_grad():
        out = model(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)
    for name, found in kept.items():
        near(found, golden, name, 5e-6)
    flat = out.heatmaps.flatten(2)
    near(flat.max(2).values, golden, "heatmap_max", 2e-4)
    near(flat.logsumexp(2), golden, "heatmap_logsumexp", 2e-4)
    near(flat[..., golden["sample_index"].astype(int)], golden, "heatmap_samples", 2e-4)
    near(flat.mean(2), golden, "heatmap_mean", 2e-6)
    assert (decode(out.heatmaps).numpy() == golden["joint_argmax_xyz"]).all()
    near(out.root_scores, golden, "root_fc_raw", 5e-5)
    near(out.hand_scores, golden, "hand_fc_raw", 5e-5)
    near(out.root_bin, golden, "rel_root_depth_bin", 5e-5)
    near(out.hand_probability, golden, "hand_type_probability", 5e-6)
    targets = {name: torch.from_numpy(values) for name, values in formulas.internet_targets().items()}
    drawn = target_heatmaps(targets["joint_coord"], 64, 64).flatten(2)
    near(drawn.max(2).values, golden, "target_max", 1e-4)
    np.testing.assert_allclose(drawn.double().sum(2), golden["target_sum"], rtol=1e-5)
    assert (drawn.argmax(2).numpy() == golden["target_argmax_index"]).all()
    root, known = targets["rel_root_depth"][:, 0], targets["root_valid"][:, 0]
    loss = internet_loss(out, targets["joint_coord"], targets["joint_valid"], root, known, targets["hand_type"])
    for name, value in loss.items():
        near(value, golden, f"loss_{name}", 5e-5)
    near(sum(loss.values()), golden, "loss_total", 5e-5)


def test_algebraic_triangulation_and_ransac():
    from handloom.models.unprojection import heatmap_keypoints

    golden = np.load(GOLDEN / "triangulation.npz")
    case = {name: values.astype(np.float64) for name, values in formulas.algebraic().items()}
    weights = case["confidence"] / case["confidence"].sum(0) + 1e-5
    near(triangulate_dlt(case["P"], case["points"], weights)[0], golden, "f64_algebraic_weighted", 1e-6)
    near(triangulate_dlt(case["P"], case["points"])[0], golden, "f64_algebraic_unweighted", 1e-6)
    case = {name: values.astype(np.float64) for name, values in formulas.algebraic_net().items()}
    pixels = heatmap_keypoints(torch.from_numpy(case["heatmap"]), (128, 96)).numpy()
    near(pixels, golden, "algebraic_net_keypoints_2d", 1e-4)
    weights = case["confidence"] / case["confidence"].sum(0) + 1e-5
    near(triangulate_dlt(case["P"], pixels, weights)[0], golden, "f64_algebraic_net_keypoints_3d", 1e-6)
    case = formulas.ransac()
    believed = golden["ransac_inliers"].T.astype(np.float64)
    near(triangulate_dlt(case["P"], case["points"], believed)[0], golden, "ransac_linear", 1e-6)


def test_our_ransac_believes_the_views_that_the_released_one_does():
    from handloom.geometry import Pinhole, rigid, triangulate

    golden, case = np.load(GOLDEN / "triangulation.npz"), formulas.ransac()
    views = formulas.rig("tri/ransac", 5, (480, 640), 500.0, 700.0)
    cameras = [Pinhole(640, 480, K[0, 0], K[1, 1], K[0, 2], K[1, 2]) for K, _, _ in views]
    poses = np.stack([rigid(R, t) for _, R, t in views])
    found = triangulate(cameras, poses, case["points"], robust="ransac", threshold_px=30.0)
    assert (golden["ransac_inliers"].astype(bool) == found.valid_views.T).all()


def test_refinement_with_hubers_weights_ends_where_the_released_one_does():
    from handloom.geometry import Pinhole, rigid, triangulate

    golden, case = np.load(GOLDEN / "triangulation.npz"), formulas.ransac()
    views = formulas.rig("tri/ransac", 5, (480, 640), 500.0, 700.0)
    cameras = [Pinhole(640, 480, K[0, 0], K[1, 1], K[0, 2], K[1, 2]) for K, _, _ in views]
    poses = np.stack([rigid(R, t) for _, R, t in views])
    weights = believed = golden["ransac_inliers"].T.astype(np.float64)
    for _ in range(60):  # the released code minimises Huber's loss, with corner 1, of half the distance in pixels
        found = triangulate(cameras, poses, case["points"], weights)
        half = np.where(believed > 0, found.reprojection_error_px, 0.0) / 2
        weights = believed / np.sqrt(np.maximum(half, 1.0))
    # The released solver stops a little before the minimum, 1.6e-4 mm from here.
    near(found.points, golden, "ransac_refined", 3e-4)
    assert np.linalg.norm(found.points - golden["ransac_linear"], axis=1).max() > 1
    pixels = formulas.project(case["P"], golden["ransac_refined"])
    released = np.where(believed > 0, np.linalg.norm(pixels - case["points"], axis=-1), 0.0) / 2
    loss, theirs = (np.where(e > 1, 2 * e - 1, e * e).sum(0) for e in (half, released))
    assert (loss < theirs + 1e-9).all()


@pytest.mark.parametrize("shape", ["square", "wide"])
def test_unprojection(shape):
    from handloom.models.unprojection import unproject

    golden = np.load(GOLDEN / "triangulation.npz")
    case = formulas.unprojection() if shape == "square" else formulas.unprojection((20, 28))
    tensors = {name: torch.from_numpy(values)[None] for name, values in case.items()}
    for fusion in ("softmax", "sum", "max", "conf", "conf_norm"):
        weights = tensors["confidence"] if fusion.startswith("conf") else None
        found = unproject(tensors["features"], tensors["P"], tensors["grid"], fusion, weights, released=True)[0].numpy()
        name = f"unproject_{shape}_{fusion}"
        near(found if name == "unproject_square_softmax" else found[:, 1::3, ::3, 2::3], golden, name, 1e-4)


def test_unprojection_samples_where_the_cameras_see():
    from handloom.models.unprojection import unproject

    # A feature that is the pixel's own x, then y: what is sampled is where the point projects to.
    case = formulas.unprojection((20, 28))
    y, x = np.meshgrid(np.arange(20.0), np.arange(28.0), indexing="ij")
    P, grid = torch.from_numpy(case["P"][:1].astype(np.float64))[None], torch.from_numpy(case["grid"][4:9, 4:9, 4:9])
    own = torch.from_numpy(np.stack([x, y]))[None, None]
    found = unproject(own, P, grid[None].double())[0].numpy()
    where = formulas.project(case["P"][:1].astype(np.float64), grid.reshape(-1, 3).double().numpy())[0]
    inside = ((where > 0) & (where < [27, 19])).all(1)
    assert inside.sum() > 50
    np.testing.assert_allclose(found.reshape(2, -1).T[inside], where[inside], atol=1e-4)


def test_v2v_volumetric_network_and_losses():
    from handloom.models.unprojection import smooth_squares, unproject, volumetric_cross_entropy
    from handloom.models.v2v import V2V, cube, soft_argmax

    golden = np.load(GOLDEN / "triangulation.npz")
    model = formulas.load(V2V(32, 21), "v2v")
    kept = {}
    parts = {"front_layers": model.front_layers, "back_layers": model.back_layers}
    parts |= dict(model.encoder_decoder.named_children()) | {"encoder_decoder": model.encoder_decoder}
    for name, part in parts.items():
        if f"v2v_{name}_mean" in golden.files:
            means(part, kept, f"v2v_{name}_mean", (0, 2, 3, 4))
    with torch.no_grad():
        scores = model(torch.from_numpy(formulas.volume())[None])
    assert len(kept) > 15
    for name, found in kept.items():
        near(found, golden, name, 1e-3)
    picks = golden["sample_index"]
    near(scores[0].flatten(1)[:, picks], golden, "v2v_samples", 1e-3)
    near(scores[0].flatten(1).logsumexp(1), golden, "v2v_logsumexp", 1e-3)
    grid = cube(torch.tensor([[3.0, -5.0, 7.0]]), 300.0, 32)
    place, probability = soft_argmax(scores, grid)
    near(place[0], golden, "v2v_softargmax_mm", 1e-2)
    near(soft_argmax(5 * scores, grid)[0][0], golden, "v2v_softargmax_mm_x5", 5e-2)
    near(probability[0].flatten(1).max(1).values, golden, "v2v_probability_max", 1e-4)
    points = {name: torch.from_numpy(values) for name, values in formulas.keypoints().items()}
    valid = points["valid"][0, :, 0]
    entropy = volumetric_cross_entropy(probability[0], grid[0], 1.4 * points["truth"][0], valid)
    near(entropy, golden, "v2v_volumetric_ce", 5e-5)
    assert golden["loss_mse"] > 400  # the plain squares are those below an infinite threshold
    plain = smooth_squares(points["pred"], points["truth"], points["valid"], float("inf"))
    np.testing.assert_allclose(plain, golden["loss_mse"], rtol=1e-6)
    for threshold in (400, 20):
        found = smooth_squares(0.1 * points["pred"], 0.1 * points["truth"], points["valid"], float(threshold))
        near(found, golden, f"loss_mse_smooth_{threshold}", 5e-5)

    case = formulas.volumetric()
    reduce = torch.nn.Conv2d(256, 32, 1)
    for name, value in reduce.state_dict().items():
        value.copy_(torch.from_numpy(formulas.weight("v2v", f"process_features.0.{name}", tuple(value.shape))))
    small = [(np.diag([0.25, 0.25, 1]) @ K, R, t) for K, R, t in case["rig"]]
    P = torch.from_numpy(np.float32(formulas.projection(small)))[None]
    grid = cube(torch.from_numpy(np.float32(case["base"]))[None], 300.0, 32)
    with torch.no_grad():
        features = reduce(torch.from_numpy(case["features"]))[None]
        volume = unproject(features, P, grid, "softmax", released=True)
        near(volume[0].flatten(1)[:, picks], golden, "volumetric_input_samples", 1e-3)
        near(soft_argmax(model(volume), grid)[0][0], golden, "volumetric_keypoints_mm", 1e-2)
