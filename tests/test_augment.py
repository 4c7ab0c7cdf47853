"""HTT's augmentation against a slow one written from the text, and G-HTT's pose noise."""

import numpy as np
import pytest
from scipy import stats

from handloom.datasets.augment import (
    ClipAugmentation,
    augment_camera,
    augment_keypoints,
    augment_pictures,
    draw_augmentation,
)
from handloom.datasets.pose_noise import add_pose_noise, draw_observed_length
from handloom.geometry import Pinhole

NEUTRAL = {"shift_px": (0, 0), "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def pictures(frames: int = 3, height: int = 54, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(5)
    base = rng.uniform(0, 255, (frames, height // 6, width // 6, 3)).repeat(6, 1).repeat(6, 2)
    return np.clip(base + rng.normal(0, 8, base.shape), 0, 255).astype(np.uint8)


def drawn(frames: int = 3, **changes) -> ClipAugmentation:
    values = {"blur_px": np.zeros(frames), "orders": np.tile(np.arange(4), (frames, 1)), **NEUTRAL, **changes}
    return ClipAugmentation(**values)


def reference(picture: np.ndarray, what: ClipAugmentation, frame: int) -> np.ndarray:
    """Blur, four colour operations and shift, in floating point with levels cut off after each, as PIL does."""
    image = blurred(picture.astype(float), what.blur_px[frame])
    for operation in what.orders[frame]:
        grey = image @ [0.299, 0.587, 0.114]
        if operation == 0:
            image = what.brightness * image
        elif operation == 1:
            mean = int(np.rint(grey).mean() + 0.5)
            image = mean + what.contrast * (image - mean)
        elif operation == 2:
            image = grey[..., None] + what.saturation * (image - grey[..., None])
        else:
            image = turned(image, int(what.hue * 255) / 255)
        image = np.clip(image, 0, 255).astype(np.uint8).astype(float)
    right, down = what.shift_px
    height, width = picture.shape[:2]
    result = np.zeros_like(picture)
    for y in range(max(0, -down), min(height, height - down)):
        for x in range(max(0, -right), min(width, width - right)):
            result[y, x] = image[y + down, x + right]
    return result


def blurred(image: np.ndarray, radius: float) -> np.ndarray:
    """Three passes of [edge, 1, edge], normalised, with variance radius² in all."""
    edge = radius**2 / 3 / (2 * (1 - radius**2 / 3))
    for axis in (0, 0, 0, 1, 1, 1):
        padded = np.pad(image, [(1, 1) if i == axis else (0, 0) for i in range(3)], "edge")
        n = image.shape[axis]
        image = sum(w * padded.take(range(k, k + n), axis) for k, w in enumerate((edge, 1, edge))) / (1 + 2 * edge)
    return np.rint(image)


def turned(image: np.ndarray, turn: float) -> np.ndarray:
    """Hue moved by a part of the circle; largest and smallest channel stay."""
    top, bottom = image.max(-1), image.min(-1)
    span = np.where(top > bottom, top - bottom, 1)
    r, g, b = np.moveaxis(image, -1, 0)
    sector = np.select([top == r, top == g], [(g - b) / span, 2 + (b - r) / span], 4 + (r - g) / span)
    hue = (sector / 6 + turn) % 1 * 6
    # Each channel is a trapezoid over the circle, a third of a turn apart.
    channels = [np.clip(np.abs((hue - shift) % 6 - 3) - 1, 0, 1) for shift in (0, 2, 4)]
    return np.stack([bottom + (top - bottom) * channel for channel in channels], -1)


@pytest.mark.parametrize("seed", range(6))
def test_pictures_equal_the_slow_reference(seed):
    original = pictures()
    what = draw_augmentation(np.random.default_rng(seed), 3, 96)
    result = augment_pictures(original, what)
    expected = np.stack([reference(picture, what, frame) for frame, picture in enumerate(original)])
    error = result.astype(int) - expected
    assert np.abs(error).mean() < 1.5  # OpenCV's hues are whole 256ths of a turn
    assert np.abs(error.mean((0, 1, 2))).max() < 1.0
    assert np.abs(result.astype(int) - original).mean() > 10


@pytest.mark.parametrize(
    "changes",
    [{"brightness": 1.4}, {"contrast": 0.6}, {"saturation": 1.3}, {"blur_px": np.full(3, 0.5)}, {"shift_px": (-7, 11)}],
)
def test_single_operations_equal_the_reference_within_a_level(changes):
    original, what = pictures(), drawn(**changes)
    expected = np.stack([reference(picture, what, frame) for frame, picture in enumerate(original)])
    # The hue operation, even by nothing, rounds: leave it out of the order.
    what.orders[:, 3] = 0 if what.brightness == 1 else 1
    assert np.abs(augment_pictures(original, what).astype(int) - expected).max() <= 3
    assert np.abs(augment_pictures(original, what).astype(int) - expected).mean() < 0.6


def test_factors_are_distributed_as_in_the_text():
    rng = np.random.default_rng(0)
    draws = [draw_augmentation(rng, 16, 480) for _ in range(3000)]
    for name, low, high in (
        ("brightness", 0.5, 1.5),
        ("contrast", 0.5, 1.5),
        ("saturation", 0.5, 1.5),
        ("hue", -0.15, 0.15),
    ):
        values = [getattr(draw, name) for draw in draws]
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3, name
    blur = np.concatenate([draw.blur_px for draw in draws])
    assert stats.kstest(blur, stats.uniform(0, 0.5).cdf).pvalue > 1e-3
    shifts = np.array([draw.shift_px for draw in draws])
    assert stats.kstest(np.abs(shifts).ravel() + rng.uniform(0, 1, shifts.size), stats.uniform(0, 48).cdf).pvalue > 1e-3
    assert (np.abs(shifts) <= 47).all()
    assert abs((shifts == 0).mean() - 1 / 48) < 0.007  # both directions are cut towards 0
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.06
    orders = np.concatenate([draw.orders for draw in draws])
    counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    # Per frame, not per clip.
    assert all(len(np.unique(draw.blur_px)) == 16 for draw in draws[:20])
    assert np.mean([len(np.unique(draw.orders, axis=0)) > 1 for draw in draws[:100]]) == 1


def test_shift_moves_picture_keypoints_and_principal_point_alike():
    original = np.zeros((2, 60, 100, 3), np.uint8)
    original[:, 30, 50] = 255
    what = drawn(2, shift_px=(12, -5))
    y, x = np.argwhere(augment_pictures(original, what)[0, ..., 0])[0]
    np.testing.assert_array_equal(augment_keypoints(np.array([[50.0, 30.0]]), what), [[x, y]])
    camera = Pinhole(100, 60, 80.0, 80.0, 49.5, 29.5)
    moved = augment_camera(camera, what)
    point = np.array([0.1, 0.05, 0.6])
    np.testing.assert_allclose(moved.project(point)[0], camera.project(point)[0] - [12, -5])
    assert (moved.width, moved.height) == (100, 60)
    white = augment_pictures(np.full((2, 60, 100, 3), 255, np.uint8), what)
    assert (white[:, :5] == 0).all()
    assert (white[:, :, -12:] == 0).all()
    assert (white[:, 5:, :-12] == 255).all()


def identity_features(count: int) -> np.ndarray:
    features = np.zeros((count, 153))
    for start in (126, 135, 144):
        features[:, [start, start + 4]] = 1
    return features


@pytest.mark.parametrize("spacing", [1, 2])
def test_pose_noise_has_the_stated_spread(spacing):
    noisy = add_pose_noise(identity_features(20_000), np.random.default_rng(1), spacing=spacing)
    assert abs(noisy[:, :126].std() / 0.025 - 1) < 0.01
    for start, angle, length in (
        (126, np.pi / 144 * spacing, 0.075 * spacing),
        (135, np.pi / 144 * spacing, 0.075 * spacing),
        (144, np.pi / 36, 0.05),
    ):
        rows = noisy[:, start : start + 6].reshape(-1, 2, 3)
        np.testing.assert_allclose(rows @ rows.transpose(0, 2, 1), np.tile(np.eye(2), (len(rows), 1, 1)), atol=1e-12)
        third = np.cross(rows[:, 0], rows[:, 1])
        trace = rows[:, 0, 0] + rows[:, 1, 1] + third[:, 2]
        turned_by = np.arccos(np.clip((trace - 1) / 2, -1, 1))
        assert abs(np.sqrt((turned_by**2).mean()) / angle - 1) < 0.02
        assert abs(noisy[:, start + 6 : start + 9].std() / length - 1) < 0.02


def test_observed_length_is_short_in_a_quarter_of_the_draws():
    rng = np.random.default_rng(2)
    lengths = np.array([draw_observed_length(rng, 16) for _ in range(8000)])
    assert abs((lengths < 16).mean() - 0.25 * 14 / 15) < 0.015
    assert set(lengths) == set(range(2, 17))
