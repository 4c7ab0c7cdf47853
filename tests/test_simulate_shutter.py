"""Motion in the image against the camera's own projection, and the blur that it leaves."""

import numpy as np
import pytest

from handloom.geometry import OVFishEye62, Pinhole
from handloom.simulate.mesh import Mesh, Scene
from handloom.simulate.render import Renderer
from handloom.simulate.shutter import STEP, smeared

FISHEYE = OVFishEye62(120, 90, 40.0, 40.0, 59.5, 44.5, (0.02, -0.01, 3e-3, -4e-4, 3e-4, -2e-4, 2e-5, -5e-7))


def wall(size=4.0):
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * size
    return Mesh(corners, np.array([[0, 2, 1], [0, 3, 2]], np.int32), np.full((4, 3), 120, np.uint8))


def moves_of(moves, image):
    """Moves of every pixel."""
    return np.repeat(np.repeat(moves, STEP, 0), STEP, 1)[: image.shape[0], : image.shape[1]]


@pytest.mark.parametrize("camera", [Pinhole.from_fov(120, 90, 70), FISHEYE])
def test_moves_are_those_of_the_projection(camera):
    renderer = Renderer(Scene(moving=(wall(),)), camera)
    now, before = np.eye(4), np.eye(4)
    now[:3, 3], before[:3, 3] = (0.01, 0.004, 1.0), (0.0, 0.0, 1.01)
    picture = renderer.render(np.eye(4), [now])
    moves = renderer.moves_px(np.eye(4), [before])
    rows, columns = np.mgrid[24:66:STEP, 30:90:STEP]
    assert (picture.depth_m[rows, columns] > 0).all()
    pixels = np.stack([columns, rows], -1).reshape(-1, 2).astype(float)
    rays, _ = camera.unproject(pixels)
    points = rays * (picture.depth_m[rows, columns].reshape(-1) / rays[:, 2])[:, None]
    there, _ = camera.project(points - now[:3, 3] + before[:3, 3])
    np.testing.assert_allclose(
        moves[rows // STEP, columns // STEP].reshape(-1, 2), pixels - there, atol=0.02, rtol=0.03
    )


def test_what_stands_still_stays_sharp():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    depth = np.ones((40, 60), np.float32)
    np.testing.assert_array_equal(smeared(image, depth, np.zeros((20, 30, 2), np.float32)), image)
    np.testing.assert_array_equal(smeared(image, depth, np.full((20, 30, 2), 0.4, np.float32)), image)


def test_an_edge_becomes_a_ramp_as_long_as_the_way():
    image = np.zeros((40, 80, 1), np.uint8)
    image[:, 40:] = 255
    moves = np.zeros((20, 40, 2), np.float32)
    moves[..., 0] = 9.0
    row = smeared(image, np.ones((40, 80), np.float32), moves)[20, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert (row[:35], row[45:]) == pytest.approx((0, 255))
    assert ((row > 0) & (row < 255)).sum() == pytest.approx(9, abs=1)
    across = smeared(np.swapaxes(image, 0, 1).copy(), np.ones((80, 40), np.float32), np.zeros((40, 20, 2), np.float32))
    np.testing.assert_array_equal(across[..., 0].T, image[..., 0])


def test_what_moves_in_front_runs_over_what_stands_behind_and_not_the_other_way_round():
    image, depth = np.zeros((40, 80, 1), np.uint8), np.full((40, 80), 2.0, np.float32)
    image[:, 30:50], depth[:, 30:50] = 255, 1.0
    moves = np.zeros((20, 40, 2), np.float32)
    moves[:, 15:25, 0] = 8.0
    row = smeared(image, depth, moves)[20, :, 0]
    assert row[27] > 0
    assert row[52] > 0
    assert (row[:24] == 0).all()
    behind = np.zeros((20, 40, 2), np.float32)
    behind[:, :15, 0] = behind[:, 25:, 0] = 8.0
    kept = smeared(image, depth, behind)[20, :, 0]
    assert (kept[31:49] == 255).all()
    light = {name: (row.astype(float) / 255).sum() for name, row in (("still", image[20, :, 0]), ("moving", row))}
    assert light["moving"] > 0.9 * light["still"]
