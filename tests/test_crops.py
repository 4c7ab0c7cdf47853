"""Crop cameras: aimed at the hand, perspective, and consistent with the source camera."""

import cv2
import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import (
    BrownConrady,
    Camera,
    DoubleSphere,
    KannalaBrandt,
    Pinhole,
    crop_boxes,
    crop_keypoints,
)
from with_torch import needs_torch, torch

FISHEYE = KannalaBrandt(800, 800, 240.0, 240.0, 400.0, 400.0, (-0.01, 0.003, -0.001, 0.0002))
CAMERAS: tuple[Camera, ...] = (
    Pinhole(640, 480, 510.0, 505.0, 322.0, 236.0),
    BrownConrady(1920, 1080, 1190.0, 1238.0, 960.3, 536.1, (-0.107, 0.119, -3.6e-4, 1.8e-3, 0.002)),
    FISHEYE,
    DoubleSphere(512, 512, 230.0, 231.0, 255.0, 256.0, -0.27, 0.57),
)
every_camera = pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: type(camera).__name__)


def hands(spread: float = 0.12) -> np.ndarray:
    """Four hands of 21 joints, in the camera frame."""
    random = np.random.default_rng(0)
    wrist = random.uniform([-0.2, -0.12, 0.5], [0.2, 0.12, 0.7], (4, 1, 3))
    return np.asarray(wrist + random.uniform(-spread / 2, spread / 2, (4, 21, 3)))


@every_camera
def test_keypoints_fill_the_crop(camera: Camera) -> None:
    joints = hands()
    keypoints, _ = camera.project(joints)
    for margin in (1.0, 1.5):
        crops = crop_keypoints(camera, keypoints, size=128, margin=margin)
        assert crops.valid.all()
        inside, valid = crops.project(joints)
        assert valid.all()
        offset = np.abs(inside - 63.5)
        np.testing.assert_allclose(offset.max((1, 2)), 64 / margin, rtol=1e-9)
        np.testing.assert_allclose(inside.min(1) + inside.max(1), 127, atol=1e-3)  # in the middle
        R = crops.crop_from_camera
        np.testing.assert_allclose(R @ np.swapaxes(R, 1, 2), np.eye(3) + 0 * R, atol=1e-14)
        np.testing.assert_allclose(np.linalg.det(R), 1)


@every_camera
def test_projecting_joints_equals_mapping_their_pixels(camera: Camera) -> None:
    joints = hands()
    keypoints, _ = camera.project(joints)
    crops = crop_keypoints(camera, keypoints, size=200, margin=1.3)
    projected, _ = crops.project(joints)
    np.testing.assert_allclose(crops.from_source(keypoints)[0], projected, atol=1e-8)
    np.testing.assert_allclose(crops.to_source(projected)[0], keypoints, atol=1e-8)
    turned = joints[2] @ crops.crop_from_camera[2].T
    np.testing.assert_allclose(crops.camera(2).project(turned)[0], projected[2], atol=1e-9)
    rays = crops.rays(projected)
    np.testing.assert_allclose(rays, joints / np.linalg.norm(joints, axis=-1, keepdims=True), atol=1e-12)


def test_a_straight_line_is_straight_in_the_crop_of_a_fisheye() -> None:
    # At the edge of the image, 75 degrees off the axis, where the fisheye bends lines visibly.
    line = np.linspace([0.5, -0.3, 0.1], [0.5, 0.3, 0.2], 50)[None]
    in_image, seen = FISHEYE.project(line)
    assert seen.all()
    crops = crop_keypoints(FISHEYE, in_image, size=256, margin=1.2)
    in_crop, valid = crops.from_source(in_image)
    assert valid.all()

    def bend(points: np.ndarray) -> float:
        points = points[0] - points[0].mean(0)
        return float(np.linalg.svd(points)[1][1])

    assert bend(in_image) > 20
    assert bend(in_crop) < 1e-9


@needs_torch
def test_the_map_resamples_an_image() -> None:
    y, x = np.mgrid[: FISHEYE.height, : FISHEYE.width].astype(np.float32)
    joints = hands()
    crops = crop_keypoints(FISHEYE, FISHEYE.project(joints)[0], size=64, margin=1.2)
    pixels, valid = crops.source_map()
    assert pixels.shape == (4, 64, 64, 2)
    assert valid.all()
    sample = cv2.remap(x, pixels[1].astype(np.float32), None, cv2.INTER_LINEAR)
    np.testing.assert_allclose(sample, pixels[1, ..., 0], atol=0.05)  # remap rounds to 1/32 pixel
    image = torch.tensor(np.stack([x, y]))[None]
    grid = (2 * pixels[1] + 1) / [FISHEYE.width, FISHEYE.height] - 1
    sampled = torch.nn.functional.grid_sample(image, torch.tensor(grid, dtype=torch.float32)[None], align_corners=False)
    np.testing.assert_allclose(sampled[0].permute(1, 2, 0), pixels[1], atol=1e-2)
    corner, _ = crops.to_source(np.tile([[0.0, 0.0], [63.0, 0.0]], (4, 1, 1)))
    np.testing.assert_allclose(pixels[:, 0, [0, -1]], corner)  # rows are y, columns x


def test_the_map_says_what_lies_outside_the_image() -> None:
    camera = CAMERAS[0]
    crops = crop_boxes(camera, np.array([[-40.0, 100, 40, 180]]), size=40, margin=1.0)
    pixels, valid = crops.source_map()
    np.testing.assert_array_equal(valid, pixels[..., 0] >= -0.5)
    assert 0.4 < valid.mean() < 0.6


@every_camera
def test_boxes_lie_within_their_crop(camera: Camera) -> None:
    boxes = np.array([[100.0, 120, 180, 200], [300.0, 80, 420, 160], [np.nan, 0, 1, 1]])
    crops = crop_boxes(camera, boxes, size=100, margin=1.0)
    assert crops.valid.tolist() == [True, True, False]
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    inside, _ = crops.from_source(corners)
    assert np.abs(inside[:2] - 49.5).max() < 50 + 1e-6
    assert np.abs(inside[:2] - 49.5).max() > 45
    assert np.isnan(inside[2]).all()
    with pytest.raises(InputError, match=r"hand \(2,\) has no crop camera"):
        crops.camera(2)


def test_missing_joints_and_single_points() -> None:
    keypoints = CAMERAS[0].project(hands())[0]
    keypoints[0] = np.nan
    keypoints[1, 1:] = np.nan
    keypoints[2, ::2] = np.nan
    crops = crop_keypoints(CAMERAS[0], keypoints, size=64, margin=1.2)
    assert crops.valid.tolist() == [False, True, True, True]
    np.testing.assert_allclose(crops.from_source(keypoints)[0][1, 0], [31.5, 31.5], atol=1e-9)
    # A hand all around the camera fits into no perspective image.
    around = FISHEYE.project(np.array([[[1.0, 0, 0.1], [-1, 0, 0.1], [0, 1, 0.1]]]))[0]
    assert not crop_keypoints(FISHEYE, around, size=64, margin=1.2).valid.any()
    with pytest.raises(InputError, match=r"a margin of at least 1, found 64 and 0\.5"):
        crop_keypoints(CAMERAS[0], keypoints, size=64, margin=0.5)


@needs_torch
def test_torch_equals_numpy() -> None:
    keypoints = FISHEYE.project(hands())[0]
    expected = crop_keypoints(FISHEYE, keypoints, size=32, margin=1.2)
    found = crop_keypoints(FISHEYE, torch.tensor(keypoints), size=32, margin=1.2)
    np.testing.assert_allclose(found.crop_from_camera.numpy(), expected.crop_from_camera, atol=1e-12)
    np.testing.assert_allclose(found.source_map()[0].numpy(), expected.source_map()[0], atol=1e-8)
    boxes = torch.tensor([[100.0, 120, 180, 200]])
    assert crop_boxes(FISHEYE, boxes, size=32, margin=1.2).focal_px.dtype == torch.float32
