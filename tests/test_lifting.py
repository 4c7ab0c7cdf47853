"""Lifting: exact on exact input for every camera, and honest about what determines no depth."""

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import BrownConrady, Camera, DoubleSphere, KannalaBrandt, Pinhole, lift, lift_keypoints
from with_torch import needs_torch, torch

CAMERAS: tuple[Camera, ...] = (
    Pinhole(640, 480, 510.0, 505.0, 322.0, 236.0),
    BrownConrady(1920, 1080, 1190.0, 1238.0, 960.3, 536.1, (-0.107, 0.119, -3.6e-4, 1.8e-3, 0.002)),
    KannalaBrandt(1280, 1024, 360.0, 361.0, 641.0, 509.0, (-0.018, 0.011, -0.0052, 0.0011)),
    DoubleSphere(512, 512, 230.0, 231.0, 255.0, 256.0, -0.27, 0.57),
)


def hands(seed: int = 0, batch: tuple[int, ...] = (7, 2)) -> tuple[np.ndarray, np.ndarray]:
    """Joints relative to the wrist, and where the wrist is."""
    random = np.random.default_rng(seed)
    relative = random.uniform(-0.1, 0.1, (*batch, 21, 3))
    relative[..., 0, :] = 0
    return relative, random.uniform([-0.15, -0.1, 0.4], [0.15, 0.1, 0.8], (*batch, 3))


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: type(camera).__name__)
def test_exact_for_every_camera_model(camera: Camera) -> None:
    relative, wrist = hands()
    keypoints, seen = camera.project(relative + wrist[..., None, :])
    assert seen.all()
    keypoints[0, 0, 5:] = np.nan
    relative[0, 1, :9, 2] = np.nan
    found = lift_keypoints(camera, keypoints, relative)
    assert found.valid.all()
    assert found.well_conditioned.all()
    np.testing.assert_allclose(found.translation, wrist, rtol=0, atol=1e-11)
    assert np.nanmax(found.residual_rad) < 1e-10
    assert np.isnan(found.residual_rad[0, 0, 5:]).all()
    assert np.isnan(found.residual_rad[0, 1, :9]).all()


def test_exact_beyond_ninety_degrees() -> None:
    relative, wrist = hands()
    wrist = wrist[..., [2, 1, 0]] * [1, 1, 0.5]  # to the right of the camera, partly behind its plane
    joints = relative + wrist[..., None, :]
    assert 0.2 < (joints[..., 2] < 0).mean() < 0.8
    camera = KannalaBrandt(1600, 1600, 300.0, 300.0, 800.0, 800.0, (0.0,) * 4)
    keypoints, seen = camera.project(joints)
    assert seen.all()
    found = lift_keypoints(camera, keypoints, relative)
    np.testing.assert_allclose(found.translation, wrist, rtol=0, atol=1e-12)


def test_rays_of_any_length_and_normalised_coordinates_give_the_same() -> None:
    relative, wrist = hands()
    joints = relative + wrist[..., None, :] + 0.002 * np.random.default_rng(1).normal(size=relative.shape)
    weights = np.random.default_rng(2).uniform(0.1, 1, joints.shape[:-1])
    expected = lift(joints, relative, weights)
    for rays in (3 * joints, joints[..., :2] / joints[..., 2:]):
        np.testing.assert_allclose(lift(rays, relative, weights).translation, expected.translation, atol=1e-13)
    assert 1e-4 < np.median(expected.residual_rad) < 1e-2


def test_the_solution_minimises_the_distances_from_the_rays() -> None:
    relative, wrist = hands(batch=(6,))
    random = np.random.default_rng(1)
    rays = relative + wrist[:, None] + 0.01 * random.normal(size=relative.shape)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    weights = random.uniform(0, 1, (6, 21))
    found = lift(rays, relative, weights)

    def cost(t: np.ndarray) -> np.ndarray:
        return np.asarray(((weights[..., None] * np.cross(rays, relative + t[:, None])) ** 2).sum((1, 2)))

    for step in 1e-3 * np.concatenate([np.eye(3), -np.eye(3)]):
        assert (cost(found.translation + step) > cost(found.translation)).all()
    placed = relative + found.translation[:, None]
    cosine = (placed * rays).sum(-1) / np.linalg.norm(placed, axis=-1)
    np.testing.assert_allclose(found.residual_rad, np.arccos(cosine), atol=1e-7)


def test_weight_zero_and_nan_are_absent() -> None:
    relative, wrist = hands(batch=(3,))
    rays = relative + wrist[:, None] + 0.003 * np.random.default_rng(1).normal(size=relative.shape)
    expected = lift(rays[:, 6:], relative[:, 6:]).translation
    weights = np.ones((3, 21))
    weights[:, :3], weights[:, 3:6] = 0, np.nan
    rays[:, :6] = 7
    np.testing.assert_allclose(lift(rays, relative, weights).translation, expected, atol=1e-12)


def test_what_determines_no_depth_is_said() -> None:
    relative, wrist = hands(batch=(7,))
    along = wrist[2] / np.linalg.norm(wrist[2])
    relative[1] = relative[1, 3]  # all joints at one point
    relative[2] = np.linspace(-0.1, 0.1, 21)[:, None] * along  # all joints on one ray
    wrist[3] = 0.0, 0.0, 30.0  # a hand 30 m away
    rays = relative + wrist[:, None]
    rays[0, 1:] = np.nan  # one joint
    rays[4] *= -1
    rays[4, 3] *= -1  # a hand behind the camera
    rays[5] = np.nan  # nothing
    found = lift(rays, relative)
    assert found.valid.tolist() == [False, False, False, True, False, False, True]
    assert found.well_conditioned.tolist() == [False, False, False, False, False, False, True]
    np.testing.assert_allclose(found.translation[3], wrist[3], rtol=1e-9, atol=1e-9)
    assert np.isinf(found.condition[[0, 1, 2, 5]]).all()
    assert 1e4 < found.condition[3] < 1e6
    assert found.condition[6] < 1e3
    assert np.isnan(found.translation[~found.valid]).all()


@needs_torch
def test_torch_equals_numpy_with_right_gradients() -> None:
    relative, wrist = hands(batch=(3,))
    random = np.random.default_rng(1)
    relative = relative[:, :4]
    rays = relative + wrist[:, None] + 0.003 * random.normal(size=relative.shape)
    weights = random.uniform(0.2, 1, (3, 4))
    tensors = tuple(torch.tensor(x, requires_grad=True) for x in (rays, relative, weights))
    found, expected = lift(*tensors), lift(rays, relative, weights)
    np.testing.assert_allclose(found.translation.detach().numpy(), expected.translation, atol=1e-13)
    np.testing.assert_allclose(found.residual_rad.detach().numpy(), expected.residual_rad, atol=1e-12)
    assert torch.autograd.gradcheck(lambda *a: lift(*a).translation, tensors)
    assert torch.autograd.gradcheck(lambda *a: lift(*a).residual_rad, tensors)

    weights[1, 1:] = 0
    weights_tensor = torch.tensor(weights, requires_grad=True)
    found = lift(*tensors[:2], weights_tensor)
    assert found.valid.tolist() == [True, False, True]
    (found.translation[found.valid].sum() + found.residual_rad[found.valid].sum()).backward()
    for tensor in (*tensors[:2], weights_tensor):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_single_precision() -> None:
    relative, wrist = hands()
    joints = (relative + wrist[..., None, :]).astype(np.float32)
    found = lift(joints, relative.astype(np.float32))
    assert found.translation.dtype == np.float32
    np.testing.assert_allclose(found.translation, wrist, atol=2e-5)


def test_input_that_does_not_fit_is_refused() -> None:
    unchecked = lift.__wrapped__  # without the run-time shape check of the tests
    with pytest.raises(InputError, match=r"the same joints, found \(21, 3\) and \(20, 3\)"):
        unchecked(np.zeros((21, 3)), np.zeros((20, 3)))
    with pytest.raises(InputError, match=r"weights must have shape \(21,\), found \(20,\)"):
        unchecked(np.zeros((21, 3)), np.zeros((21, 3)), np.ones(20))
    with pytest.raises(InputError, match="weights must not be negative"):
        lift(np.zeros((21, 3)), np.zeros((21, 3)), -np.ones(21))
