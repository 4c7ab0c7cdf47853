"""Calibrations of whole rigs in every layout, and the shared recordings as a check on real ones."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from handloom.annotate.annotate import annotate
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.pool import local_engine
from handloom.errors import CalibrationError
from handloom.formats.assembly_calibration import RigCamera, write_calib_text, write_rig
from handloom.formats.cameras import camera_to_dict
from handloom.formats.episode import CameraStream
from handloom.formats.rig_calibration import read_rig_calibration
from handloom.geometry import BrownConrady, KannalaBrandt, OVFishEye62, Pinhole, invert_rigid, triangulate
from handloom.video.file import VideoFile
from made_up_capture import ring

SHARED = Path(__file__).parents[2] / "shared" / "data"
STEREO, BODY = SHARED / "handpose3d-stereo", SHARED / "pose2sim-4cam"
SIZES = {"left": (640, 480), "right": (640, 480)}
LENSES = {
    "left": BrownConrady(640, 480, 500.0, 501.0, 320.0, 240.0, (0.1, -0.2, 1e-3, 2e-3)),
    "right": KannalaBrandt(640, 480, 300.0, 301.0, 319.0, 238.0, (0.01, 0.0, -0.01, 0.0)),
}
POSES = dict(zip(LENSES, (invert_rigid(pose) for pose in ring(2))))
needs_stereo = pytest.mark.skipif(not STEREO.exists(), reason="the shared recordings are not beside this checkout")


def rotation_vector(pose):
    return cv2.Rodrigues(pose[:3, :3])[0].ravel().tolist()


def check(found, lenses=LENSES, unit_m=None):
    assert found.unit_m == unit_m
    for name, lens in lenses.items():
        assert found.views[name].camera == lens
        np.testing.assert_allclose(found.views[name].camera_from_world, POSES[name], atol=1e-9)


def toml(name: str, lens, pose) -> str:
    fisheye = isinstance(lens, KannalaBrandt)
    return (
        f'[cam_{name}]\nname = "{name}"\nsize = [{lens.width}, {lens.height}]\nmatrix = {lens.matrix.tolist()}\n'
        f"distortions = {list(lens.distortion)}\nrotation = {rotation_vector(pose)}\n"
        f"translation = {pose[:3, 3].tolist()}\nfisheye = {str(fisheye).lower()}\n"
    )


def test_toml_of_anipose_and_pose2sim(tmp_path):
    path = tmp_path / "calib.toml"
    text = "".join(toml(name, LENSES[name], POSES[name]) for name in LENSES) + "[metadata]\nerror = 0.1\n"
    path.write_text(text)
    check(read_rig_calibration(path, SIZES))
    path.write_text(text.replace("rotation = [", "rotation = [0.0, ", 1))
    with pytest.raises(CalibrationError, match=r"\[cam_left\]: rotation must have 3 .* found 4 and 3"):
        read_rig_calibration(path, SIZES)
    path.write_text(text.replace("size", "sizes", 1))
    with pytest.raises(CalibrationError, match=r"\[cam_left\]: lacks size"):
        read_rig_calibration(path, SIZES)
    path.write_text("[cam\n")
    with pytest.raises(CalibrationError, match="is not valid TOML"):
        read_rig_calibration(path, SIZES)


def test_one_opencv_file_per_camera(tmp_path):
    for name, lens in LENSES.items():
        file = cv2.FileStorage(str(tmp_path / f"{name}.yml"), cv2.FILE_STORAGE_WRITE)
        file.write("image_width", 640)
        file.write("image_height", 480)
        file.write("camera_matrix", lens.matrix)
        file.write("distortion_coefficients", np.array([lens.distortion]))
        file.write("fisheye_model", int(isinstance(lens, KannalaBrandt)))
        file.write("R", POSES[name][:3, :3])
        file.write("T", POSES[name][:3, 3:])
        file.release()
    check(read_rig_calibration(tmp_path, SIZES))
    text = (tmp_path / "left.yml").read_text()
    (tmp_path / "left.yml").write_text(text.replace("\nT:", "\nU:"))
    with pytest.raises(CalibrationError, match=r"left\.yml: no pose of the camera; expected R and T"):
        read_rig_calibration(tmp_path, SIZES)


def test_ours_with_poses_per_picture_in_place_or_in_a_file(tmp_path):
    moving = np.stack([ring(2)[0]] * 3)
    moving[1, 0, 3] += 0.1
    np.save(tmp_path / "right.npy", moving)
    values = {
        "left": {**camera_to_dict(LENSES["left"]), "world_from_camera": [moving[0].tolist(), None, moving[2].tolist()]},
        "right": {**camera_to_dict(LENSES["right"]), "world_from_camera": "right.npy"},
    }
    path = tmp_path / "rig.json"
    path.write_text(json.dumps({"unit_m": 0.01, "cameras": values}))
    found = read_rig_calibration(path, SIZES)
    assert found.unit_m == 0.01
    np.testing.assert_allclose(found.views["right"].camera_from_world, invert_rigid(moving), atol=1e-9)
    assert np.isfinite(found.views["left"].camera_from_world).all((1, 2)).tolist() == [True, False, True]
    del values["left"]["world_from_camera"]
    path.write_text(json.dumps({"cameras": values}))
    with pytest.raises(CalibrationError, match=r"camera 'left': lacks \"world_from_camera\""):
        read_rig_calibration(path, SIZES)


def test_assemblyhands_fixed_cameras_raw_cameras_and_headset(tmp_path):
    lens = Pinhole(1920, 1080, 1200.0, 1201.0, 960.0, 540.0)
    fixed = CameraStream("C10095_rgb", lens, np.stack([ring(2)[0]] * 2))
    write_calib_text(tmp_path / "calib.txt", [fixed])
    found = read_rig_calibration(tmp_path, {"C10095_rgb": (1920, 1080)})
    assert found.views["C10095_rgb"].camera == lens
    np.testing.assert_allclose(found.views["C10095_rgb"].camera_from_world, POSES["left"], atol=1e-6)
    ego = "HMC_21179183_mono10bit"
    fisheye = OVFishEye62(636, 480, 191.0, 190.0, 316.0, 238.0, (0.2, 0.1, -0.4, 0.3, 0.0, 0.0, -0.1, 0.02))
    (tmp_path / "calib.txt").unlink()
    raw = [RigCamera("C10095_rgb", lens, POSES["left"]), RigCamera(ego, fisheye, np.eye(4))]
    write_rig(tmp_path / "rig.json", raw)
    sizes = {"C10095_rgb": (1920, 1080), ego: (636, 480)}
    assert read_rig_calibration(tmp_path, sizes).views[ego].on_headset
    poses = {f"{frame:06d}": {ego: np.round(POSES["right"][:3] * [1, 1, 1, 1000], 9).tolist()} for frame in (4, 6)}
    values = {"intrinsics": {ego: np.diag([200.0, 200, 1]).tolist()}, "extrinsics": poses}
    values["intrinsics"][ego][0][2], values["intrinsics"][ego][1][2] = 318.0, 240.0
    calibration = {"calibration": {"a sequence": values}}
    (tmp_path / "assemblyhands_val_ego_calib_v1-1.json").write_text(json.dumps(calibration))
    found = read_rig_calibration(tmp_path, sizes)
    assert found.views[ego].camera == fisheye
    assert found.views[ego].frame_ids == (4, 6)
    np.testing.assert_allclose(found.views[ego].camera_from_world, np.stack([POSES["right"]] * 2), atol=1e-6)


def test_names_are_brought_together_or_the_user_is_asked(tmp_path):
    for number in (0, 1):
        rows = "\n".join(" ".join(map(str, row)) for row in LENSES["left"].matrix)
        (tmp_path / f"c{number}.dat").write_text(f"intrinsic:\n{rows}\ndistortion:\n0 0 0 0 0\n")
        pose = POSES["left" if number == 0 else "right"]
        blocks = ["\n".join(" ".join(map(str, row)) for row in part) for part in (pose[:3, :3], pose[:3, 3:])]
        (tmp_path / f"rot_trans_c{number}.dat").write_text(f"R:\n{blocks[0]}\nT:\n{blocks[1]}\n")
    found = read_rig_calibration(tmp_path, {"cam0_test": (640, 480), "cam1_test": (640, 480)})
    np.testing.assert_allclose(found.views["cam1_test"].camera_from_world, POSES["right"], atol=1e-9)
    with pytest.raises(CalibrationError, match="calibrates the cameras c0, c1, but the capture has front, back"):
        read_rig_calibration(tmp_path, {"front": (640, 480), "back": (640, 480)})
    (tmp_path / "rot_trans_c1.dat").unlink()
    with pytest.raises(CalibrationError, match=r"camera 'c1' has only one of c1\.dat"):
        read_rig_calibration(tmp_path, {"cam0": (640, 480)})


@needs_stereo
def test_weighted_dlt_on_four_real_cameras_is_near_the_published_points():
    names = [f"cam{number:02d}" for number in range(1, 5)]
    rig = read_rig_calibration(BODY / "Calib_qualisys.toml", dict.fromkeys(names, (1088, 1920)))
    seen = np.zeros((4, 100, 25, 3))
    for view, name in enumerate(names):
        for frame in range(100):
            path = BODY / "pose" / f"{name}_json" / f"{name}.{frame:04d}.json"
            people = json.loads(path.read_text())["people"]
            seen[view, frame] = np.reshape(people[0]["pose_keypoints_2d"], (25, 3))
    rows = (BODY / "S00_P00_T01_BalancingTrial_0-100.trc").read_text().splitlines()
    published = np.array([[float(word) for word in row.split()[2:]] for row in rows[5:] if row.strip()])
    published = published.reshape(100, 21, 3)[..., [2, 0, 1]]  # the file's axes are Y, Z, X
    body_25b = [12, 14, 16, 22, 23, 24, 11, 13, 15, 19, 20, 21, 17, 18, 0, 6, 8, 10, 5, 7, 9]
    cameras = [rig.views[name].camera for name in names]
    poses = np.stack([rig.views[name].camera_from_world for name in names])
    flat = seen.reshape(4, -1, 3)
    points = triangulate(cameras, poses, flat[..., :2], flat[..., 2], refine=False).points.reshape(100, 25, 3)
    off = np.linalg.norm(points[:, body_25b] - published, axis=-1)
    assert np.nanmedian(off) < 0.010


@needs_stereo
def test_a_real_stereo_recording_of_a_hand(tmp_path):
    pytest.importorskip("mediapipe")
    for view in (0, 1):
        (tmp_path / "take" / f"cam{view}").mkdir(parents=True)
        for frame in VideoFile(STEREO / "media" / f"cam{view}_test.mp4").select(lambda k: True, 140, 100):
            path = tmp_path / "take" / f"cam{view}" / f"{frame.index:04d}.png"
            cv2.imwrite(str(path), frame.image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    options = AnnotateOptions(calibration=STEREO / "camera_parameters")
    report = annotate(tmp_path / "take", tmp_path / "out", options, engine=local_engine(1), until="label").reports[
        "take"
    ]
    (name,) = [name for name, hand in report["hands"].items() if hand["frames_with_label"]]
    hand = report["hands"][name]
    assert hand["frames_seen_by_two_with_label"] == hand["frames_seen_by_two"] > 30
    assert report["reprojection_px"][0] < 2.5
    assert report["reprojection_px"][1] < 5
    assert hand["palm_variation"] < 0.035
    assert report["scale"] == "tracker's own scale"
