"""Cameras against OpenCV, against stored reference numbers, and against themselves."""

import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from handloom.errors import CalibrationError
from handloom.geometry import BrownConrady, Camera, DoubleSphere, KannalaBrandt, OVFishEye62, Pinhole
from handloom.geometry.mappings import EQUIDISTANT
from with_torch import needs_torch, torch

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "cameras.npz"

# The real calibration of handpose3d-stereo, camera 0.
STRONG = (-0.013959821820868506, 1.4192899312188746, -0.003533980225025572, -0.0035674091977424003)
CAMERAS: dict[str, Camera] = {
    "pinhole": Pinhole(640, 480, 510.0, 505.0, 322.0, 236.0),
    "brown 4": BrownConrady(1920, 1080, 1190.0, 1238.0, 960.3, 536.1, (-0.107, 0.119, -3.6e-4, 1.8e-3)),
    "brown 5": BrownConrady(720, 720, 926.08, 925.78, 356.09, 355.25, (*STRONG, -6.394324137393883)),
    "brown 8": BrownConrady(1280, 720, 636.7, 636.3, 635.3, 366.9, (0.51, -2.6, 3e-4, -2e-4, 1.5, 0.39, -2.4, 1.43)),
    "kannala": KannalaBrandt(1280, 1024, 560.0, 561.0, 641.0, 509.0, (-0.018, 0.011, -0.0052, 0.0011)),
    "kannala strong": KannalaBrandt(1408, 1408, 610.0, 610.0, 704.0, 703.0, (0.38, -0.36, 0.2, -0.06)),
    "ovfisheye62": OVFishEye62(
        636, 480, 192.4, 190.6, 316.1, 237.3, (0.279, 0.168, -0.438, 0.3557, -1.7e-3, -6e-4, -0.1432, 0.02353)
    ),
    "double sphere": DoubleSphere(512, 512, 230.0, 231.0, 255.0, 256.0, -0.27, 0.57),
    "double sphere narrow": DoubleSphere(512, 512, 400.0, 400.0, 255.0, 256.0, 0.2, 0.3),
}
every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())


def image_grid(camera: Camera, count: int = 141) -> np.ndarray:
    x = np.linspace(-0.5, camera.width - 0.5, count)
    y = np.linspace(-0.5, camera.height - 0.5, count)
    return np.stack(np.meshgrid(x, y), -1)


@every_camera
def test_project_inverts_unproject_everywhere_in_the_image(camera: Camera) -> None:
    pixels = image_grid(camera)
    rays, valid = camera.unproject(pixels)
    back, visible = camera.project(rays * 0.37)
    assert valid.mean() > 0.95
    assert np.array_equal(visible, valid)
    assert np.abs(back - pixels)[valid].max() < 1e-9
    assert np.abs(np.linalg.norm(rays[valid], axis=-1) - 1).max() < 1e-14
    assert np.isnan(rays[~valid]).all()


@every_camera
def test_unproject_inverts_project_for_points_around(camera: Camera) -> None:
    points = np.random.default_rng(1).normal(size=(4000, 3))
    pixels, visible = camera.project(points)
    assert visible.mean() > 0.02
    rays, valid = camera.unproject(pixels)
    near = visible & (np.abs(pixels) < 1e5).all(-1)
    assert valid[near].all()
    direction = points / np.linalg.norm(points, axis=-1, keepdims=True)
    # At the very edge of a polynomial's domain the pixel hardly changes with the angle.
    assert np.quantile(np.abs(rays - direction)[near], 0.999) < 1e-7
    assert np.isnan(pixels[~visible]).all()


def test_pixels_beyond_the_turning_point_are_unreachable() -> None:
    camera = CAMERAS["brown 5"]
    _, valid = camera.unproject(image_grid(camera))
    assert not valid[0, 0]  # the polynomial turns back at radius 0.585, before this corner
    assert valid[:, 70].all()


@pytest.mark.parametrize("name", ["brown 4", "brown 5", "brown 8"])
def test_brown_conrady_equals_opencv(name: str) -> None:
    camera = CAMERAS[name]
    assert isinstance(camera, BrownConrady)
    points = np.random.default_rng(0).uniform([-0.3, -0.3, 0.9], [0.3, 0.3, 2], (500, 3))
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion))
    pixels, valid = camera.project(points)
    assert valid.all()
    np.testing.assert_allclose(pixels, expected[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["kannala", "kannala strong"])
def test_kannala_brandt_equals_opencv(name: str) -> None:
    camera = CAMERAS[name]
    assert isinstance(camera, KannalaBrandt)
    points = np.random.default_rng(0).uniform([-1, -1, 0.8], [1, 1, 2], (500, 3))
    expected, _ = cv2.fisheye.projectPoints(
        points[None], np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion)
    )
    pixels, valid = camera.project(points)
    assert valid.all()
    np.testing.assert_allclose(pixels, expected[0], rtol=0, atol=1e-9)


def test_double_sphere_known_values() -> None:
    camera = DoubleSphere(100, 100, 1.0, 1.0, 0.0, 0.0, 0.5, 0.5)
    # At 90 degrees: d1 = 1, d2 = sqrt(1 + 0.5^2), x / (alpha d2 + (1 - alpha) xi d1).
    pixels, valid = camera.project(np.array([[1.0, 0, 0], [0, 0, 3], [0, 0, -1]]))
    np.testing.assert_allclose(pixels[:2], [[1 / (0.5 * np.sqrt(1.25) + 0.25), 0], [0, 0]], atol=1e-15)
    assert valid.tolist() == [True, True, False]
    # xi = alpha = 0 is the pinhole.
    plain = DoubleSphere(640, 480, 510.0, 505.0, 322.0, 236.0, 0.0, 0.0)
    points = np.random.default_rng(0).normal(size=(100, 3))
    for found, expected in zip(plain.project(points), CAMERAS["pinhole"].project(points)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"the reference numbers {GOLDEN} are not on this machine")
@pytest.mark.parametrize("name", ["opencv", "fisheye62"])
def test_reference_numbers(name: str) -> None:
    golden = np.load(GOLDEN)
    values = [float(value) for value in golden[f"{name}_parameters"]]
    (fx, fy, cx, cy), (k1, k2, k3, k4, k5, k6, p1, p2) = values[:4], values[4:]
    camera: Camera
    if name == "opencv":
        camera = BrownConrady(1920, 1080, fx, fy, cx, cy, (k1, k2, p1, p2, k3))
    else:
        camera = OVFishEye62(636, 480, fx, fy, cx, cy, (k1, k2, k3, k4, p1, p2, k5, k6))
        directions = np.random.RandomState(zlib.crc32(b"cameras/unproject")).uniform(size=(100, 2)) * 3.6 - 1.8
        rays = EQUIDISTANT.to_rays(directions)
        np.testing.assert_allclose(rays, golden["fisheye62_unproject"], rtol=0, atol=1e-12)
    eye = golden[f"{name}_world_to_eye"]
    pixels, valid = camera.project(eye)
    assert valid.all()
    np.testing.assert_allclose(pixels, golden[f"{name}_window"], rtol=0, atol=1e-8)
    rays, valid = camera.unproject(golden[f"{name}_window"])
    assert valid.all()
    np.testing.assert_allclose(rays, eye / np.linalg.norm(eye, axis=-1, keepdims=True), rtol=0, atol=1e-8)


@needs_torch
@every_camera
def test_torch_equals_numpy_and_gradients_are_right(camera: Camera) -> None:
    random = np.random.default_rng(2)
    points = random.uniform([-0.3, -0.3, 0.9], [0.3, 0.3, 1.5], (6, 3))
    points[0] = 0, 0, 1.2
    pixels = camera.project(points)[0]
    tensor = torch.tensor(points, requires_grad=True)
    pixel_tensor = torch.tensor(pixels, requires_grad=True)
    np.testing.assert_allclose(camera.project(tensor)[0].detach().numpy(), pixels, rtol=1e-12)
    np.testing.assert_allclose(
        camera.unproject(pixel_tensor)[0].detach().numpy(), camera.unproject(pixels)[0], atol=1e-12
    )
    assert torch.autograd.gradcheck(lambda x: camera.project(x)[0], tensor)
    assert torch.autograd.gradcheck(lambda x: camera.unproject(x)[0], pixel_tensor, eps=1e-4)
    jacobian = torch.autograd.functional.jacobian(lambda x: camera.project(x)[0].sum(0), tensor)
    np.testing.assert_allclose(camera.jacobian(points), jacobian.permute(1, 0, 2).numpy(), rtol=1e-9, atol=1e-8)


@needs_torch
@every_camera
def test_invalid_entries_are_nan_and_leave_the_gradient_alone(camera: Camera) -> None:
    points = torch.tensor(
        [[0.05, 0.02, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [float("nan"), 0.0, 1.0]],
        dtype=torch.float64,
        requires_grad=True,
    )
    pixels, valid = camera.project(points)
    assert valid.tolist() == [True, False, False, False]
    assert pixels[1:].isnan().all()
    pixels[valid].sum().backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()

    positions = pixels.detach().clone().requires_grad_()
    rays, valid = camera.unproject(positions)
    assert valid.tolist() == [True, False, False, False]
    rays[valid].sum().backward()
    assert positions.grad is not None
    assert positions.grad.isfinite().all()


@needs_torch
@every_camera
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_single_precision_stays_single(camera: Camera, kind: str) -> None:
    points = np.random.default_rng(3).uniform([-0.2, -0.2, 0.9], [0.2, 0.2, 1.5], (3, 5, 3)).astype(np.float32)
    expected = camera.project(points.astype(np.float64))[0]
    given = points if kind == "numpy" else torch.tensor(points)
    pixels, valid = camera.project(given)
    rays, reached = camera.unproject(pixels)
    assert pixels.dtype == given.dtype == rays.dtype
    assert bool(valid.all() and reached.all())
    np.testing.assert_allclose(np.asarray(pixels), expected, atol=2e-3)


@every_camera
def test_resized_and_cropped_cameras_see_the_same_rays(camera: Camera) -> None:
    points = np.random.default_rng(4).uniform([-0.2, -0.2, 0.9], [0.2, 0.2, 1.5], (50, 3))
    pixels = camera.project(points)[0]
    half = camera.resized(camera.width // 2, camera.height // 2)
    np.testing.assert_allclose(half.project(points)[0], (pixels + 0.5) / 2 - 0.5, atol=1e-9)
    part = camera.cropped(20, 10, 200, 100)
    assert (part.width, part.height) == (200, 100)
    np.testing.assert_allclose(part.project(points)[0], pixels - [20, 10], atol=1e-9)


def test_field_of_view() -> None:
    assert Pinhole.from_fov(640, 480, 90.0).fx == pytest.approx(320)
    assert Pinhole.from_fov(641, 480, 73.5).horizontal_fov_deg == pytest.approx(73.5)
    # An equidistant fisheye of 1 pixel per 0.01 rad sees 400 pixels in 4 rad.
    assert KannalaBrandt(400, 400, 100.0, 100.0, 199.5, 199.5, (0.0,) * 4).horizontal_fov_deg == pytest.approx(
        np.degrees(4)
    )
    np.testing.assert_array_equal(CAMERAS["pinhole"].matrix, [[510, 0, 322], [0, 505, 236], [0, 0, 1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pinhole(0, 480, 500.0, 500.0, 1.0, 1.0), "image size must be positive, found 0 x 480"),
        (lambda: Pinhole(640, 480, -5.0, 500.0, 1.0, 1.0), "focal lengths must be positive, found fx -5"),
        (lambda: Pinhole(640, 480, 500.0, 500.0, float("nan"), 1.0), "cx is not finite"),
        (lambda: Pinhole.from_fov(640, 480, 180.0), "between 0 and 180 degrees, found 180"),
        (lambda: BrownConrady(9, 9, 5.0, 5.0, 4.0, 4.0, (0.0,) * 14), "4, 5 or 8 coefficients .* found 14"),
        (lambda: BrownConrady(9, 9, 5.0, 5.0, 4.0, 4.0, (0.0, 0.0, 0.0, np.inf)), "distortion is not finite"),
        (lambda: KannalaBrandt(9, 9, 5.0, 5.0, 4.0, 4.0, (0.0,) * 5), "4 coefficients .* found 5"),
        (lambda: OVFishEye62(9, 9, 5.0, 5.0, 4.0, 4.0, (0.0,) * 4), "8 coefficients .* found 4"),
        (lambda: DoubleSphere(9, 9, 5.0, 5.0, 4.0, 4.0, 1.2, 0.5), "found xi 1.2, alpha 0.5"),
        (
            lambda: BrownConrady(9, 9, 5.0, 5.0, 4.0, 4.0, (-1e9, 0.0, 0.0, 0.0)).project(np.ones((1, 3))),
            "folds at the image centre",
        ),
    ],
)
def test_impossible_calibrations_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(CalibrationError, match=message):
        make()


def test_geometry_does_not_import_torch() -> None:
    code = "import sys, handloom.geometry; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
