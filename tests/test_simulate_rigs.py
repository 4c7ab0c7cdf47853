"""Rigs: official camera names and values, poses, head motion."""

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import OVFishEye62, Pinhole, apply_rigid, invert_rigid
from handloom.simulate.head import head_poses
from handloom.simulate.rigs import RIGS, WORK_SPACE, Mount, camera_poses, looking_at, rig


def test_the_rigs_have_the_cameras_of_the_papers():
    kinds = {name: [camera.mount for camera in made.cameras] for name, made in RIGS.items()}
    counts = {name: (kind.count(Mount.WORLD), kind.count(Mount.HEAD)) for name, kind in kinds.items()}
    assert counts == {"h2o": (4, 1), "fpha": (0, 1), "assembly": (8, 4), "desktop": (12, 0)}
    assert [camera.name for camera in rig("h2o").cameras] == ["cam0", "cam1", "cam2", "cam3", "cam4"]
    assembly = rig("assembly").cameras
    assert [camera.name for camera in assembly][::11] == ["C10095_rgb", "HMC_21179183_mono10bit"]
    assert all(camera.monochrome == (camera.mount is Mount.HEAD) for camera in assembly)
    assert {(c.camera.width, c.camera.height) for c in assembly} == {(1920, 1080), (636, 480)}
    assert rig("fpha").cameras[0].camera == Pinhole(1920, 1080, 1395.749023, 1395.749268, 935.732544, 540.681030)


def test_the_headset_lenses_see_the_corners_of_their_pictures():
    for mounted in rig("assembly").cameras[8:]:
        lens = mounted.camera
        assert isinstance(lens, OVFishEye62)
        corners = np.array([[0.0, 0], [lens.width - 1, 0], [0, lens.height - 1], [lens.width - 1, lens.height - 1]])
        rays, valid = lens.unproject(corners)
        assert valid.all()
        np.testing.assert_allclose(lens.project(rays)[0], corners, atol=1e-6)


@pytest.mark.parametrize("name", ["h2o", "assembly", "desktop"])
def test_fixed_cameras_look_at_the_work_space_upright(name):
    fixed = [camera for camera in rig(name).cameras if camera.mount is Mount.WORLD]
    for mounted in fixed:
        point = apply_rigid(invert_rigid(mounted.pose), WORK_SPACE[None])
        assert point[0, 2] > 0.3
        assert np.abs(point[0, :2]).max() < 1e-9
        assert mounted.pose[2, 1] < 0  # the picture's down is the world's down
        pixel, valid = mounted.camera.project(point)
        assert valid.all()
        assert (pixel > 0).all()
        assert (pixel < (mounted.camera.width, mounted.camera.height)).all()
    places = np.stack([mounted.pose[:3, 3] for mounted in fixed])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)[~np.eye(len(places), dtype=bool)]
    assert apart.min() > 0.15


def test_looking_at_puts_the_target_on_the_axis():
    position, target = np.array([[0.3, -0.5, 0.6], [1.0, 1, 1]]), np.array([0.1, 0.2, 0.0])
    pose = looking_at(position, target)
    points = apply_rigid(invert_rigid(pose), np.broadcast_to(target, (2, 1, 3)))[:, 0]
    np.testing.assert_allclose(points, [[0, 0, np.linalg.norm(target - p)] for p in position], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(pose[:, :3, :3]), 1)


def test_the_head_follows_the_hands_smoothly_and_head_cameras_go_with_it():
    times = np.arange(300) / 30
    gaze = np.stack([0.15 * np.sin(times), 0.05 * np.cos(times), np.full(300, 0.1)], -1)
    head = head_poses(gaze, np.array([0, -0.33, 0.48]), 30.0, np.random.default_rng(3))
    np.testing.assert_allclose(
        head[:, :3, :3] @ head[:, :3, :3].transpose(0, 2, 1), np.broadcast_to(np.eye(3), (300, 3, 3)), atol=1e-12
    )
    seen = apply_rigid(invert_rigid(head), gaze[:, None])[:, 0]
    angle = np.degrees(np.arctan2(np.linalg.norm(seen[:, :2], axis=-1), seen[:, 2]))
    assert 0.1 < angle.mean() < 8
    assert angle.max() < 15
    step = np.linalg.norm(np.diff(head[:, :3, 3], axis=0), axis=-1)
    assert step.mean() > 1e-5
    assert step.max() * 30 < 0.3
    assembly = rig("assembly")
    ego = [camera_poses(camera, head) for camera in assembly.cameras[8:]]
    relative = invert_rigid(ego[0]) @ ego[3]
    assert np.abs(relative - relative[0]).max() < 1e-12
    assert np.ptp(ego[0][:, :3, 3], axis=0).max() > 0.01
    exo = camera_poses(assembly.cameras[0], head)
    assert (exo == assembly.cameras[0].pose).all()
    assert exo.shape == (300, 4, 4)


def test_an_unknown_rig_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"unknown rig 'h20'; there are h2o, fpha, assembly, desktop"):
        rig("h20")
