"""Triangulation: exact on exact input, equal to stored reference numbers, and not fooled by wrong views."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handloom.benchmarks.triangulation import bench_triangulation
from handloom.errors import InputError
from handloom.geometry import (
    BrownConrady,
    Camera,
    DoubleSphere,
    KannalaBrandt,
    OVFishEye62,
    Pinhole,
    Robust,
    apply_rigid,
    invert_rigid,
    rigid,
    rotation_from_vector,
    triangulate,
    triangulate_dlt,
    vector_from_rotation,
)
from with_torch import needs_torch, torch

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "triangulation.npz"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"the reference numbers {GOLDEN} are not on this machine")

PINHOLE = Pinhole(640, 480, 510.0, 505.0, 322.0, 236.0)
MODELS: tuple[Camera, ...] = (
    PINHOLE,
    BrownConrady(1920, 1080, 1190.0, 1238.0, 960.3, 536.1, (-0.107, 0.119, -3.6e-4, 1.8e-3, 0.002)),
    KannalaBrandt(1280, 1024, 360.0, 361.0, 641.0, 509.0, (-0.018, 0.011, -0.0052, 0.0011)),
    OVFishEye62(636, 480, 192.4, 190.6, 316.1, 237.3, (0.279, 0.168, -0.438, 0.3557, -1.7e-3, -6e-4, -0.1432, 0.02353)),
    DoubleSphere(512, 512, 230.0, 231.0, 255.0, 256.0, -0.27, 0.57),
)


def look_at_origin(random: np.random.Generator, distance: float = 0.7, off_axis: float = 0.0) -> np.ndarray:
    z = random.normal(size=3)
    z /= np.linalg.norm(z)
    x = np.cross(z, random.normal(size=3))
    x /= np.linalg.norm(x)
    tilt = rotation_from_vector(np.array([off_axis, 0.0, 0.0]))
    return rigid(tilt @ np.stack([x, np.cross(z, x), z]), tilt @ np.array([0, 0, distance]))


def scene(
    cameras: Sequence[Camera], n: int = 40, seed: int = 0, off_axis: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    poses = np.stack([look_at_origin(random, off_axis=off_axis) for _ in cameras])
    points = 0.08 * random.normal(size=(n, 3))
    pixels = [camera.project(apply_rigid(pose, points))[0] for camera, pose in zip(cameras, poses)]
    return poses, points, np.stack(pixels)


@pytest.mark.parametrize("camera", MODELS, ids=lambda camera: type(camera).__name__)
@pytest.mark.parametrize("robust", Robust)
def test_exact_for_every_camera_model(camera: Camera, robust: Robust) -> None:
    poses, points, pixels = scene([camera] * 5)
    for refine in (False, True):
        result = triangulate([camera] * 5, poses, pixels, robust=robust, refine=refine)
        assert result.valid.all()
        assert (result.view_count == 5).all()
        np.testing.assert_allclose(result.points, points, rtol=0, atol=1e-12)
        assert result.mean_error_px.max() < 1e-9


def test_exact_for_520_views_of_all_models() -> None:
    cameras = [MODELS[i % len(MODELS)] for i in range(520)]
    poses, points, pixels = scene(cameras, n=8)
    pixels[np.random.default_rng(0).random((520, 8)) < 0.7] = np.nan
    result = triangulate(cameras, poses, pixels)
    np.testing.assert_allclose(result.points, points, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(result.view_count, np.isfinite(pixels[..., 0]).sum(0))


def test_more_pairs_than_are_tried() -> None:
    cameras = [MODELS[i % len(MODELS)] for i in range(40)]
    poses, points, pixels = scene(cameras, n=8)
    pixels[::3, 2] += 60
    for seed in range(2):
        result = triangulate(cameras, poses, pixels, robust=Robust.RANSAC, seed=seed)
        np.testing.assert_allclose(result.points, points, rtol=0, atol=1e-12)
        assert not result.valid_views[::3, 2].any()
        assert result.valid_views.sum() == 8 * 40 - 14


def test_rays_beyond_ninety_degrees() -> None:
    camera = KannalaBrandt(1600, 1600, 300.0, 300.0, 800.0, 800.0, (0.0,) * 4)
    poses, points, pixels = scene([camera] * 4, off_axis=np.radians(100))
    assert (apply_rigid(poses, points)[..., 2] < 0).any(1).all()
    result = triangulate([camera] * 4, poses, pixels)
    np.testing.assert_allclose(result.points, points, rtol=0, atol=1e-12)


def test_moving_cameras_have_their_own_pose_for_every_point() -> None:
    random = np.random.default_rng(5)
    n, cameras = 30, [MODELS[0], MODELS[2], MODELS[1]]
    poses = np.stack([[look_at_origin(random) for _ in range(n)] for _ in cameras])
    points = 0.05 * random.normal(size=(n, 3))
    local = apply_rigid(poses, points[:, None])[:, :, 0]
    pixels = np.stack([camera.project(x)[0] for camera, x in zip(cameras, local)])
    poses[0, 3] = np.nan
    for robust in Robust:
        result = triangulate(cameras, poses, pixels, robust=robust)
        np.testing.assert_allclose(result.points, points, rtol=0, atol=1e-12)
    assert result.view_count[3] == 2
    still = np.repeat(poses[:, 4:5], n, axis=1)
    still_pixels = np.stack([c.project(apply_rigid(p, points))[0] for c, p in zip(cameras, still[:, 0])])
    still_pixels += random.normal(size=still_pixels.shape)
    moving = triangulate(cameras, still, still_pixels)
    fixed = triangulate(cameras, still[:, 0], still_pixels)
    np.testing.assert_allclose(moving.points, fixed.points, rtol=0, atol=1e-9)
    rays = np.stack([camera.unproject(k)[0] for camera, k in zip(cameras, still_pixels)])
    for observations in (rays, rays[..., :2] / rays[..., 2:]):
        moving_points, _ = triangulate_dlt(still, observations)
        np.testing.assert_allclose(moving_points, triangulate_dlt(still[:, 0], observations)[0], atol=1e-12)


def test_dlt_equals_the_textbook() -> None:
    random = np.random.default_rng(7)
    poses, points, pixels = scene([PINHOLE] * 6, n=10)
    P = PINHOLE.matrix @ poses[:, :3]
    pixels += random.normal(size=pixels.shape)
    weights = random.uniform(0, 1, (6, 10))
    found, valid = triangulate_dlt(P, pixels, weights)
    assert valid.all()
    for i in range(len(points)):
        rows = [weights[v, i] * (pixels[v, i, k] * P[v, 2] - P[v, k]) for v in range(6) for k in range(2)]
        h = np.linalg.svd(np.stack(rows))[2][-1]
        np.testing.assert_allclose(found[i], h[:3] / h[3], rtol=1e-9)
    # In rays: the point with the least squared distance, up to the homogeneous norm.
    rays = np.stack([PINHOLE.unproject(k)[0] for k in pixels])
    rows = np.stack([np.cross(rays[v, 0], poses[v, :3], axisb=0, axisc=0) * weights[v, 0] for v in range(6)])
    h = np.linalg.svd(rows.reshape(-1, 4))[2][-1]
    np.testing.assert_allclose(triangulate_dlt(poses, rays, weights)[0][0], h[:3] / h[3], rtol=1e-9)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    poses, _, pixels = scene([PINHOLE] * 3, n=1000)
    pixels += np.random.default_rng(0).normal(size=pixels.shape)
    whole = triangulate([PINHOLE] * 3, poses, pixels)
    monkeypatch.setattr("handloom.geometry.dlt._CHUNK_NUMBERS", 1)
    monkeypatch.setattr("handloom.geometry.refine._CHUNK_NUMBERS", 1)
    parts = triangulate([PINHOLE] * 3, poses, pixels)
    np.testing.assert_allclose(parts.points, whole.points, rtol=0, atol=1e-12)


@pytest.mark.parametrize("robust", Robust)
def test_views_unit_and_origin_do_not_matter(robust: Robust) -> None:
    cameras = list(MODELS)
    poses, _, pixels = scene(cameras)
    random = np.random.default_rng(3)
    pixels += random.normal(size=pixels.shape)
    pixels[1, ::4] += 70
    result = triangulate(cameras, poses, pixels, robust=robust)
    order = [3, 1, 4, 0, 2]
    shuffled = triangulate([cameras[i] for i in order], poses[order], pixels[order], robust=robust)
    np.testing.assert_allclose(shuffled.points, result.points, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(shuffled.valid_views, result.valid_views[order])

    other_from_world = rigid(rotation_from_vector(np.array([0.3, -1.1, 0.7])), np.array([5.0, -3.0, 8.0]))
    moved = poses @ invert_rigid(other_from_world)
    moved[:, :3, 3] *= 1000
    other = triangulate(cameras, moved, pixels, robust=robust)
    np.testing.assert_allclose(other.points / 1000, apply_rigid(other_from_world, result.points), atol=1e-7)


@pytest.mark.parametrize("robust", [Robust.RANSAC, Robust.LEAVE_ONE_OUT])
def test_wrong_views_are_found(robust: Robust) -> None:
    cameras = [PINHOLE] * 6
    poses, points, pixels = scene(cameras, n=60)
    random = np.random.default_rng(1)
    wrong = np.zeros((6, 60), bool)
    wrong[random.integers(0, 6, 40), np.arange(40)] = True
    angle = random.uniform(0, 2 * np.pi, (6, 60))
    pixels = pixels + random.normal(0, 0.5, pixels.shape)
    pixels = np.where(wrong[..., None], pixels + 80 * np.stack([np.cos(angle), np.sin(angle)], -1), pixels)
    fooled = triangulate(cameras, poses, pixels)
    assert np.abs(fooled.points - points)[:40].max() > 0.01
    result = triangulate(cameras, poses, pixels, robust=robust)
    np.testing.assert_array_equal(result.valid_views, ~wrong)
    assert np.abs(result.points - points).max() < 0.004
    assert (result.reprojection_error_px[wrong] > 40).all()
    assert result.mean_error_px.max() < 2
    # Points do not depend on what else is in the batch.
    one = triangulate(cameras, poses, pixels[:, 7:8], robust=robust)
    np.testing.assert_allclose(one.points[0], result.points[7], rtol=0, atol=1e-9)


@pytest.mark.parametrize("robust", [Robust.RANSAC, Robust.LEAVE_ONE_OUT])
def test_two_views_that_disagree_have_no_consensus(robust: Robust) -> None:
    poses, _, pixels = scene([PINHOLE] * 2, n=3)
    pixels[0, 1] += 200
    result = triangulate([PINHOLE] * 2, poses, pixels, robust=robust)
    assert result.valid.tolist() == [True, False, True]
    assert np.isnan(result.points[1]).all()
    assert result.view_count.tolist() == [2, 0, 2]


def test_weight_zero_is_absent_and_nan_too() -> None:
    cameras = list(MODELS)
    poses, _, pixels = scene(cameras)
    random = np.random.default_rng(9)
    pixels += random.normal(size=pixels.shape)
    confidence = random.uniform(0.3, 1, pixels.shape[:2])
    without = triangulate(cameras[1:], poses[1:], pixels[1:], confidence[1:])
    garbage = pixels.copy()
    garbage[0] = 1e4
    confidence[0, ::2], confidence[0, 1::2] = 0, np.nan
    by_weight = triangulate(cameras, poses, garbage, confidence)
    confidence[0] = 1
    garbage[0] = np.nan
    by_pixel = triangulate(cameras, poses, garbage, confidence)
    for result in (by_weight, by_pixel):
        # The world's unit comes from all cameras, so the start of the refinement differs in its last digits.
        np.testing.assert_allclose(result.points, without.points, rtol=0, atol=1e-6)
        assert (result.view_count == 4).all()
        assert np.isnan(result.reprojection_error_px[0]).all()


def test_refinement_reaches_the_least_squares_minimum() -> None:
    cameras = list(MODELS)
    poses, _, pixels = scene(cameras)
    pixels += 2 * np.random.default_rng(4).normal(size=pixels.shape)

    def cost(points: np.ndarray) -> np.ndarray:
        projected = [c.project(apply_rigid(p, points))[0] for c, p in zip(cameras, poses)]
        return np.asarray(((np.stack(projected) - pixels) ** 2).sum((0, 2)))

    linear = triangulate(cameras, poses, pixels, refine=False).points
    refined = triangulate(cameras, poses, pixels).points
    assert (cost(refined) <= cost(linear)).all()
    assert cost(refined).sum() < 0.99 * cost(linear).sum()
    for step in 1e-4 * np.concatenate([np.eye(3), -np.eye(3)]):
        assert (cost(refined + step) > cost(refined)).all()


def test_what_cannot_be_triangulated_is_invalid() -> None:
    camera = Pinhole(640, 480, 500.0, 500.0, 319.5, 239.5)
    poses = np.stack([np.eye(4), np.eye(4)])
    poses[1, 0, 3] = -0.1  # 10 cm to the right
    points = np.array([[0.0, 0.0, 0.5], [0.02, 0.01, 0.5], [0.0, 0.0, 0.4], [0.0, 0.1, 0.6], [0.0, 0.0, 0.5]])
    pixels = np.stack([camera.project(apply_rigid(pose, points))[0] for pose in poses])
    pixels[1, 0] = np.nan  # one view
    pixels[1, 1] = pixels[0, 1]  # parallel rays
    pixels[1, 2] = 2 * pixels[0, 2] - pixels[1, 2]  # meet behind the cameras
    pixels[:, 3] = np.nan  # no view
    for robust in Robust:
        result = triangulate([camera] * 2, poses, pixels, robust=robust)
        assert result.valid.tolist() == [False, False, False, False, True]
        assert np.isnan(result.points[:4]).all()
        assert np.isnan(result.mean_error_px[:4]).all()
        assert result.view_count.tolist() == [0, 0, 0, 0, 2]
        np.testing.assert_allclose(result.points[4], points[4], atol=1e-14)
    # Two cameras at one place see everything along parallel rays.
    same = triangulate([camera] * 2, np.stack([np.eye(4)] * 2), pixels[[0, 0]])
    assert not same.valid.any()
    assert triangulate([camera] * 2, poses, pixels[:, :0]).points.shape == (0, 3)


@needs_torch
@pytest.mark.parametrize("robust", Robust)
def test_torch_equals_numpy(robust: Robust) -> None:
    cameras = list(MODELS)
    poses, _, pixels = scene(cameras)
    random = np.random.default_rng(2)
    pixels += random.normal(size=pixels.shape)
    pixels[2, ::5] += 50
    pixels[0, 3] = np.nan
    confidence = random.uniform(0.2, 1, pixels.shape[:2])
    expected = triangulate(cameras, poses, pixels, confidence, robust=robust)
    found = triangulate(cameras, *map(torch.tensor, (poses, pixels, confidence)), robust=robust)
    assert isinstance(found.points, torch.Tensor)
    np.testing.assert_allclose(found.points.numpy(), expected.points, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(found.valid_views.numpy(), expected.valid_views)
    single = triangulate(cameras, poses.astype(np.float32), pixels.astype(np.float32), robust=robust)
    assert single.points.dtype == np.float32
    np.testing.assert_allclose(
        single.points, triangulate(cameras, poses, pixels, robust=robust).points, rtol=0, atol=2e-4
    )


@needs_torch
@pytest.mark.parametrize("dim", [2, 3])
def test_gradients_of_the_dlt(dim: int) -> None:
    poses, _, pixels = scene([PINHOLE] * 4, n=3)
    pixels += np.random.default_rng(0).normal(size=pixels.shape)
    rays = np.stack([PINHOLE.unproject(k)[0] for k in pixels])
    observations = torch.tensor(rays if dim == 3 else rays[..., :2] / rays[..., 2:], requires_grad=True)
    weights = torch.rand((4, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = (weights + 0.2).requires_grad_()
    P = torch.tensor(poses, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: triangulate_dlt(*a)[0], (P, observations, weights))

    with torch.no_grad():
        weights[1:, 1] = 0
    points, valid = triangulate_dlt(P, observations, weights)
    assert valid.tolist() == [True, False, True]
    points[valid].sum().backward()
    for tensor in (P, observations, weights):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"keypoints_px": np.zeros((3, 5, 2))},
            r"keypoints_px must have shape \(2, points, 2\) .*\(3, 5, 2\)",
        ),
        ({"cam_from_world": np.zeros((2, 4, 4, 4))}, r"\(2, 4, 4\), or \(2, 5, 4, 4\).*found \(2, 4, 4, 4\)"),
        ({"confidence": np.zeros((5, 2))}, r"confidence must have shape \(2, 5\), found \(5, 2\)"),
        ({"confidence": -np.ones((2, 5))}, "confidence must not be negative"),
        ({"threshold_px": 0.0}, "threshold_px must be positive, found 0.0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    arguments = {"cam_from_world": np.stack([np.eye(4)] * 2), "keypoints_px": np.zeros((2, 5, 2))} | change
    with pytest.raises(InputError, match=message):
        triangulate.__wrapped__([PINHOLE] * 2, **arguments)  # without the run-time shape check of the tests


def test_dlt_refuses_shapes_that_do_not_fit() -> None:
    unchecked = triangulate_dlt.__wrapped__
    with pytest.raises(InputError, match=r"observations must have shape \(views, points, 2 or 3\)"):
        unchecked(np.zeros((2, 3, 4)), np.zeros((2, 5, 4)))
    with pytest.raises(InputError, match=r"projections must have shape \(2, 3 or 4, 4\).*found \(3, 3, 4\)"):
        unchecked(np.zeros((3, 3, 4)), np.zeros((2, 5, 2)))
    with pytest.raises(InputError, match=r"weights must have shape \(2, 5\), found \(2, 4\)"):
        unchecked(np.zeros((2, 3, 4)), np.zeros((2, 5, 2)), np.zeros((2, 4)))


@needs_torch
def test_rotation_vectors() -> None:
    quarter = rotation_from_vector(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors *= np.concatenate([[0, 1e-12, 1e-4, 3e-3, np.pi - 1e-7], random.uniform(0, np.pi, 195)])[:, None]
    rotations = rotation_from_vector(vectors)
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, 1, 2), np.eye(3)[None].repeat(200, 0), atol=1e-14)
    np.testing.assert_allclose(vector_from_rotation(rotations), vectors, atol=1e-8)
    tensor = torch.tensor(vectors[[0, 2, 9]], requires_grad=True)
    assert torch.autograd.gradcheck(rotation_from_vector, tensor)
    pose = rigid(rotations, random.normal(size=(200, 3)))
    np.testing.assert_allclose(invert_rigid(pose) @ pose, np.eye(4)[None].repeat(200, 0), atol=1e-14)


def test_benchmark_measures_every_method() -> None:
    rows = {str(row["method"]): row for row in bench_triangulation(points=20_000, views=8)}
    assert len(rows) == 6
    assert all(float(row["points_per_s"]) > 0 for row in rows.values())
    assert rows["loop of SVDs"]["times_loop"] == 1


# Reference numbers: inputs from the formulas that come with them.


def formula(key: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(key.encode()))


def golden_rig(name: str, n: int) -> np.ndarray:
    r = formula(name)
    projections = []
    for _ in range(n):
        c = r.standard_normal(3)
        c = 700.0 * c / np.sqrt((c * c).sum())
        z = 20 * r.standard_normal(3) - c
        z = z / np.sqrt((z * z).sum())
        x = np.cross([0.3, 1.0, 0.2], z)
        x = x / np.sqrt((x * x).sum())
        R = np.stack([x, np.cross(z, x), z])
        f = 500.0 * (1 + 0.1 * r.standard_normal(2))
        K = np.diag([f[0], f[1], 1.0])
        K[:2, 2] = 320 + r.standard_normal(), 240 + r.standard_normal()
        projections.append(K @ np.concatenate([R, (-R @ c)[:, None]], 1))
    return np.stack(projections)


def golden_pixels(P: np.ndarray, X: np.ndarray) -> np.ndarray:
    h = np.einsum("vij,nj->vni", P[:, :, :3], X) + P[:, None, :, 3]
    return np.asarray(h[..., :2] / h[..., 2:])


@needs_golden
def test_reference_numbers_of_the_weighted_dlt() -> None:
    golden = np.load(GOLDEN)
    P = golden_rig("tri/algebraic", 4)
    r = formula("tri/algebraic/points")
    X = 60 * r.standard_normal((21, 3))
    pixels = np.float32(golden_pixels(P, X) + 2 * r.standard_normal((4, 21, 2))).astype(np.float64)
    confidence = np.float32(0.05 + 0.95 * r.uniform(size=(4, 21))).astype(np.float64)
    P = np.float32(P).astype(np.float64)
    weights = confidence / confidence.sum(0) + 1e-5
    for name, w in (("weighted", weights), ("unweighted", None)):
        points, valid = triangulate_dlt(P, pixels, w)
        assert valid.all()
        np.testing.assert_allclose(points, golden[f"f64_algebraic_{name}"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(points, golden[f"algebraic_{name}"], rtol=0, atol=1e-2)


@needs_golden
def test_reference_numbers_of_ransac() -> None:
    golden = np.load(GOLDEN)
    P = golden_rig("tri/ransac", 5)
    r = formula("tri/ransac/points")
    X = 60 * r.standard_normal((8, 3))
    pixels = golden_pixels(P, X) + 1.5 * r.standard_normal((5, 8, 2))
    pixels[np.arange(8) % 5, np.arange(8)] += 150 + 60 * r.uniform(size=(8, 2))
    cameras, poses = zip(*map(decomposed, P))
    for robust in (Robust.RANSAC, Robust.LEAVE_ONE_OUT):
        # The reference counts half the pixel distance, and 15 of those as wrong.
        result = triangulate(cameras, np.stack(poses), pixels, robust=robust, threshold_px=30.0)
        np.testing.assert_array_equal(result.valid_views.T, golden["ransac_inliers"].astype(bool))
        points, _ = triangulate_dlt(P, pixels, result.valid_views.astype(np.float64))
        np.testing.assert_allclose(points, golden["ransac_linear"], rtol=0, atol=1e-6)
        # Theirs minimises the Huber norm, ours the square: close, not equal.
        assert np.abs(result.points - golden["ransac_refined"]).max() < 2


def decomposed(P: np.ndarray) -> tuple[Camera, np.ndarray]:
    """K and [R | t] of a projection without skew."""
    rows = P[:, :3]
    cx, cy = rows[:2] @ rows[2]
    fx, fy = np.linalg.norm(rows[0] - cx * rows[2]), np.linalg.norm(rows[1] - cy * rows[2])
    camera = replace(PINHOLE, fx=float(fx), fy=float(fy), cx=float(cx), cy=float(cy))
    return camera, np.vstack([np.linalg.solve(camera.matrix, P), [0, 0, 0, 1]])
