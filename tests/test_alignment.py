"""Alignment: exact on transformed points, never a reflection, and honest about degenerate input."""

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import (
    Alignment,
    align_rigid,
    align_similarity,
    align_wrist,
    rotation_from_vector,
)
from with_torch import needs_torch, torch


def moved(seed: int = 0, batch: tuple[int, ...] = (5, 3)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    source = random.normal(size=(*batch, 21, 3))
    rotation = rotation_from_vector(2 * random.normal(size=(*batch, 3)))
    target = 1.7 * source @ np.swapaxes(rotation, -1, -2) + random.normal(size=(*batch, 1, 3))
    return source, target, rotation


def test_similarity_is_exact() -> None:
    source, target, rotation = moved()
    found = align_similarity(source, target)
    assert found.valid.all()
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-13)
    np.testing.assert_allclose(found.scale, 1.7, rtol=1e-13)
    np.testing.assert_allclose(found.apply(source), target, atol=1e-13)


def test_rigid_is_exact_and_keeps_the_scale() -> None:
    source, target, rotation = moved()
    found = align_rigid(1.7 * source, target)
    assert (found.scale == 1).all()
    np.testing.assert_allclose(found.apply(1.7 * source), target, atol=1e-13)
    # With a wrong size the rotation is still right and the centroids meet.
    found = align_rigid(source, target)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-13)
    np.testing.assert_allclose(found.apply(source).mean(-2), target.mean(-2), atol=1e-13)


def test_wrist_moves_joint_zero_only_by_translation() -> None:
    source, target, _ = moved()
    source[0, 0, 0, 1] = np.nan
    found = align_wrist(source, target)
    assert found.valid.sum() == 14
    assert not found.valid[0, 0]
    aligned = found.apply(source)
    np.testing.assert_allclose(aligned[1:, :, 0], target[1:, :, 0], atol=1e-14)
    np.testing.assert_allclose(np.diff(aligned[1:], axis=-2), np.diff(source[1:], axis=-2), atol=1e-14)
    assert np.isnan(aligned[0, 0]).all()


@pytest.mark.parametrize("align", [align_rigid, align_similarity])
def test_mirror_images_are_not_reflected(align: object) -> None:
    assert callable(align)
    source, target, _ = moved()
    source[1, :, :, 2] = 0  # planar: the third singular value is 0
    for points in (source, source * [1, 1, -1]):
        found: Alignment = align(points, target)
        np.testing.assert_allclose(np.linalg.det(found.rotation), 1, atol=1e-12)
        np.testing.assert_allclose(
            found.rotation @ np.swapaxes(found.rotation, -1, -2), np.eye(3) + 0 * found.rotation, atol=1e-12
        )
    planar = align_rigid(source[1], 2 * source[1] @ rotation_from_vector(np.array([1.0, 2.0, 0.5])).T)
    assert planar.valid.all()
    np.testing.assert_allclose(planar.rotation, rotation_from_vector(np.array([[1.0, 2.0, 0.5]] * 3)), atol=1e-12)


@pytest.mark.parametrize("scaled", [False, True])
def test_no_other_transform_is_closer(scaled: bool) -> None:
    source, target, _ = moved(batch=(4,))
    random = np.random.default_rng(1)
    target = target + 0.5 * random.normal(size=target.shape)
    weights = random.uniform(0, 1, target.shape[:-1])
    found = (align_similarity if scaled else align_rigid)(source, target, weights)

    def cost(alignment: Alignment) -> np.ndarray:
        return np.asarray((weights[..., None] * (alignment.apply(source) - target) ** 2).sum((-2, -1)))

    for _ in range(30):
        rotation = found.rotation @ rotation_from_vector(1e-3 * random.normal(size=(4, 3)))
        translation = found.translation + 1e-3 * random.normal(size=(4, 3))
        scale = found.scale * (1 + 1e-3 * random.normal(size=4) * scaled)
        assert (cost(Alignment(rotation, translation, scale, found.valid)) > cost(found)).all()


def test_weight_zero_and_nan_are_absent() -> None:
    source, target, _ = moved(batch=(2,))
    target += np.random.default_rng(0).normal(size=target.shape)
    expected = align_similarity(source[:, 4:], target[:, 4:])
    weights = np.ones((2, 21))
    weights[:, :4] = 0
    source_gap, target_gap = source.copy(), target.copy()
    source_gap[:, :2] = np.nan
    target_gap[:, 2:4, 0] = np.nan
    target[:, :4] = 1e3
    for found in (align_similarity(source, target, weights), align_similarity(source_gap, target_gap)):
        np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-13)
        np.testing.assert_allclose(found.translation, expected.translation, atol=1e-12)


@pytest.mark.parametrize("align", [align_rigid, align_similarity])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_too_few_or_collinear_points_are_invalid(align: object, dtype: type) -> None:
    assert callable(align)
    source, target, _ = moved(batch=(6,))
    source[0, 2:] = np.nan  # two points
    source[1] = np.linspace(0, 1, 21)[:, None] * [1, 2, 3] + 4  # a line
    target[2] = target[2, :1]  # one place
    source[3] = np.nan  # nothing
    target[4, 3:] = np.nan  # three points
    found = align(source.astype(dtype), target.astype(dtype))
    assert found.valid.tolist() == [False, False, False, False, True, True]
    assert found.rotation.dtype == dtype
    assert np.isnan(found.rotation[:4]).all()
    assert np.isnan(found.apply(source.astype(dtype))[:4]).all()
    assert np.isfinite(found.apply(target.astype(dtype))[5]).all()


@needs_torch
def test_torch_equals_numpy_with_right_gradients() -> None:
    source, target, _ = moved(batch=(2,))
    target = target[:, :5] + np.random.default_rng(0).normal(size=(2, 5, 3))
    source = source[:, :5]
    tensors = [torch.tensor(x, requires_grad=True) for x in (source, target)]
    weights = torch.linspace(0.2, 1, 10, dtype=torch.float64).reshape(2, 5).requires_grad_()
    for align in (align_rigid, align_similarity):
        expected = align(source, target, weights.detach().numpy()).apply(source)
        found = align(*tensors, weights).apply(tensors[0])
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
        assert torch.autograd.gradcheck(lambda s, t, w, a=align: a(s, t, w).apply(s), (*tensors, weights))
    line = torch.tensor(source)
    line[0] = torch.arange(5.0)[:, None] * torch.ones(3)
    line.requires_grad_()
    found = align_similarity(line, tensors[1])
    found.apply(line)[found.valid].sum().backward()
    assert line.grad is not None
    assert line.grad.isfinite().all()


def test_input_that_does_not_fit_is_refused() -> None:
    unchecked = align_rigid.__wrapped__  # without the run-time shape check of the tests
    with pytest.raises(InputError, match=r"the same points .* found \(21, 3\) and \(20, 3\)"):
        unchecked(np.zeros((21, 3)), np.zeros((20, 3)))
    with pytest.raises(InputError, match=r"weights must have shape \(21,\), found \(20,\)"):
        unchecked(np.zeros((21, 3)), np.zeros((21, 3)), np.ones(20))
    with pytest.raises(InputError, match="weights must not be negative"):
        align_rigid(np.zeros((21, 3)), np.zeros((21, 3)), -np.ones(21))
