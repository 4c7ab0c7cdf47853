"""Camera motion from background tracks: exact on points, on a textured plane, with hands in the way."""

import cv2
import numpy as np
import pytest

from handloom.errors import InputError
from handloom.estimators.camera_motion import estimate_camera_motion, fit_motion
from handloom.geometry import Pinhole, apply_rigid, invert_rigid, rigid, rotation_from_vector, vector_from_rotation
from handloom.hands import HandTrack

CAMERA = Pinhole(320, 240, 260.0, 260.0, 159.5, 119.5)
STEP = rigid(rotation_from_vector(np.array([0.01, -0.015, 0.006])), np.array([0.004, -0.003, 0.002]))


def test_points_at_one_depth_give_the_motion_exactly():
    rng = np.random.default_rng(0)
    rays = np.concatenate([rng.uniform(-0.6, 0.6, (200, 2)), np.ones((200, 1))], -1)
    moved = apply_rigid(invert_rigid(STEP), rays * 0.45)
    moved /= moved[:, 2:]
    np.testing.assert_allclose(fit_motion(rays, moved, 0.45), STEP, atol=1e-6)
    moved[:50, :2] += rng.uniform(0.05, 0.2, (50, 2))
    robust = fit_motion(rays, moved, 0.45)
    assert np.linalg.norm(vector_from_rotation(robust[:3, :3] @ STEP[:3, :3].T)) < 2e-3
    assert fit_motion(rays[:5], moved[:5], 0.45) is None


def hands(frames, distance=0.5):
    """Two hands in front of the middle of the picture, resting before the camera."""
    joints = np.zeros((frames, 2, 21, 3)) + np.array([0, 0, distance])
    joints += 0.03 * np.random.default_rng(1).normal(size=(1, 2, 21, 3)) * [1, 1, 0]
    pixels, _ = CAMERA.project(joints)
    valid = np.ones(joints.shape[:3], bool)
    return HandTrack(np.arange(frames) / 30, joints, valid, valid.astype(float), pixels, CAMERA)


def film(poses, track, distance=0.5):
    """A textured plane across the view, and blobs that move with the camera where the hands are."""
    rng = np.random.default_rng(2)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (700, 900), np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    metres = np.array([[0.001, 0, -0.45], [0, 0.001, -0.35], [0, 0, distance]])
    hand = cv2.GaussianBlur(rng.integers(0, 256, (240, 320), np.uint8), (0, 0), 1.5)
    boxes = [(p.min(0).astype(int), p.max(0).astype(int)) for p in track.keypoints_px[0]]
    for pose in poses:
        camera_from_world = invert_rigid(pose)
        plane = camera_from_world[:3, :3] @ metres + np.outer(camera_from_world[:3, 3], [0, 0, 1])
        picture = cv2.warpPerspective(texture, CAMERA.matrix @ plane, (320, 240))
        for low, high in boxes:
            picture[low[1] : high[1], low[0] : high[0]] = hand[low[1] : high[1], low[0] : high[0]]
        yield np.repeat(picture[..., None], 3, -1)


def test_a_plane_is_followed_although_hands_are_in_the_way():
    poses = [np.eye(4)]
    for _ in range(9):
        poses.append(poses[-1] @ STEP)
    track = hands(10)
    found = estimate_camera_motion(film(poses, track), track, CAMERA)
    assert found.followed.all()
    off = invert_rigid(np.stack(poses)) @ found.world_from_camera
    assert np.degrees(np.linalg.norm(vector_from_rotation(off[-1, :3, :3]))) < 0.5
    assert np.linalg.norm(off[-1, :3, 3]) < 0.25 * np.linalg.norm(poses[-1][:3, 3])


def test_blank_and_lost_pictures_are_told():
    track = hands(4)
    grey = np.full((240, 320, 3), 90, np.uint8)
    found = estimate_camera_motion([grey, grey, None, grey], track, CAMERA)
    assert found.followed.tolist() == [True, False, False, False]
    np.testing.assert_array_equal(found.world_from_camera, np.broadcast_to(np.eye(4), (4, 4, 4)))
    with pytest.raises(InputError, match="2 pictures, the track 4 frames"):
        estimate_camera_motion([grey, grey], track, CAMERA)


def test_the_command_line(tmp_path, capsys):
    pytest.importorskip("torch")
    from handloom.cli import main
    from handloom.formats.result import read_run, read_track, write_json, write_track

    track = hands(6)
    poses = [np.linalg.matrix_power(STEP, k) for k in range(6)]
    (tmp_path / "frames").mkdir()
    for k, picture in enumerate(film(poses, track)):
        cv2.imwrite(str(tmp_path / "frames" / f"{k:03d}.png"), picture)
    (tmp_path / "clip").mkdir()
    write_track(tmp_path / "clip" / "hands.parquet", track)
    write_json(tmp_path / "clip" / "run.json", {})
    command = ["camera-motion", str(tmp_path / "clip")]
    assert main(command) == 2
    assert "give --video" in capsys.readouterr().err
    assert main([*command, "--video", str(tmp_path / "frames")]) == 0
    assert read_track(tmp_path / "clip-world").world_from_camera is not None
    assert read_run(tmp_path / "clip-world")["camera_motion"]["source"] == "estimated from the video"
    assert main(["camera-motion", str(tmp_path / "clip-world")]) == 2
    assert "knows its camera's poses already" in capsys.readouterr().err
