import json
import re
from pathlib import Path

import numpy as np
import pytest

from handloom.errors import CalibrationError, OutputError
from handloom.formats.cameras import read_camera, write_camera
from handloom.formats.text_calibration import read_extrinsics
from handloom.geometry import BrownConrady, DoubleSphere, KannalaBrandt, OVFishEye62, Pinhole

SIZE = {"width": 720, "height": 540}
FOCAL = {"fx": 926.0774422800577, "fy": 925.7752194392244, "cx": 356.0891925607645, "cy": 265.24923198531565}
K = [[FOCAL["fx"], 0, FOCAL["cx"]], [0, FOCAL["fy"], FOCAL["cy"]], [0, 0, 1]]
FIVE = (-0.013959821820868506, 1.4192899312188747, -0.003533980225025572, -3.5674e-3, -6.394324137393883)
PINHOLE = {"model": "pinhole", **SIZE, **FOCAL}
CAMERAS = [
    Pinhole(**SIZE, **FOCAL),
    BrownConrady(**SIZE, **FOCAL, distortion=FIVE),
    BrownConrady(**SIZE, **FOCAL, distortion=(*FIVE, 1e-7, 1 / 3, -1e-300)),
    KannalaBrandt(**SIZE, **FOCAL, distortion=(0.1, -2e-3, 1e-5, 0.0)),
    OVFishEye62(**SIZE, **FOCAL, distortion=(0.1, -0.02, 3e-3, -4e-4, 5e-5, -6e-6, 1e-4, -2e-4)),
    DoubleSphere(**SIZE, **FOCAL, xi=-0.2, alpha=0.59),
]


def stored(folder: Path, text: str, name: str = "cam.json") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(path: Path, *args, **options) -> str:
    with pytest.raises(CalibrationError) as caught:
        read_camera(path, *args, **options)
    message = str(caught.value)
    assert path.name in message
    return message


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: type(camera).__name__)
def test_own_files_round_trip_exactly(tmp_path, camera, suffix):
    path = tmp_path / f"cam.{suffix}"
    write_camera(path, camera)
    assert read_camera(path, (720, 540)) == camera
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_documented_examples(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
    single = stored(tmp_path, re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    assert read_camera(single, (1280, 720)).distortion == (0.1123, -0.2381, 0.0004, -0.0011, 0.0872)
    several = stored(tmp_path, re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1], "rig.yaml")
    assert read_camera(several, name="chest") == DoubleSphere(640, 480, 160.0, 160.0, 320.0, 240.0, -0.2, 0.6)
    dat = stored(tmp_path, re.search(r"```\n(intrinsic:.*?)```", page, re.DOTALL)[1], "c0.dat")
    assert read_camera(dat, (720, 720)).cx == 356.0891925607645


def test_numpy_numbers_are_written_as_plain_numbers(tmp_path):
    camera = Pinhole(720, 540, *(np.float64(value) for value in FOCAL.values()))
    write_camera(tmp_path / "cam.yaml", camera)
    assert read_camera(tmp_path / "cam.yaml") == camera


def test_one_of_several_cameras_is_chosen_by_name(tmp_path):
    other = PINHOLE | {"fx": 500}
    path = stored(tmp_path, json.dumps({"cameras": {"head": PINHOLE, "chest": other}}))
    assert read_camera(path, name="chest").fx == 500
    assert "holds several cameras (head, chest); say which one" in refusal(path)
    assert "holds no camera 'hand'; it holds head, chest" in refusal(path, name="hand")
    broken = stored(tmp_path, json.dumps({"cameras": {"head": PINHOLE | {"fy": None}}}))
    assert "camera 'head': fy must be a number, found None" in refusal(broken)
    single = stored(tmp_path, json.dumps(PINHOLE))
    assert "one camera without a name; leave 'head' out" in refusal(single, name="head")


@pytest.mark.parametrize("suffix", ["yml", "xml", "json"])
@pytest.mark.parametrize(
    "names", [("camera_matrix", "distortion_coefficients"), ("K", "D"), ("cameraMatrix", "distCoeffs")]
)
def test_files_written_by_opencv(tmp_path, suffix, names):
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / f"cam.{suffix}"
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("calibration_time", "Fri 20 Nov 2026")
    file.write("image_width", 720)
    file.write("image_height", 540)
    file.write(names[0], np.array(K))
    file.write(names[1], np.array([FIVE]))
    file.release()
    assert read_camera(path) == CAMERAS[1]


def test_opencv_4_yaml_header_and_lists_without_size(tmp_path):
    text = f"%YAML:1.0\n---\nM: {K}\ndist_coeffs: [[0.1], [1e-3], [2E-4], [-1.5e-05]]\n"
    path = stored(tmp_path, text, "cam.yml")
    expected = BrownConrady(**SIZE, **FOCAL, distortion=(0.1, 1e-3, 2e-4, -1.5e-5))
    assert read_camera(path, (720, 540)) == expected
    assert "holds no image size; give the size of the video" in refusal(path)


@pytest.mark.parametrize(
    ("model", "coefficients", "expected"),
    [
        ("plumb_bob", FIVE, CAMERAS[1]),
        ("plumb_bob", [], CAMERAS[0]),
        ("rational_polynomial", CAMERAS[2].distortion, CAMERAS[2]),
        ("equidistant", CAMERAS[3].distortion, CAMERAS[3]),
    ],
)
def test_ros_camera_info(tmp_path, model, coefficients, expected):
    flat = [value for row in K for value in row]
    text = (
        "image_width: 720\nimage_height: 540\ncamera_name: head\n"
        f"camera_matrix:\n  rows: 3\n  cols: 3\n  data: {flat}\ndistortion_model: {model}\n"
        f"distortion_coefficients:\n  rows: 1\n  cols: {len(coefficients)}\n  data: {list(coefficients)}\n"
        "rectification_matrix:\n  rows: 3\n  cols: 3\n  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n"
    )
    assert read_camera(stored(tmp_path, text, "head.yaml")) == expected


def opencv(**changes) -> str:
    return json.dumps({"image_width": 720, "image_height": 540, "K": K, "D": FIVE} | changes)


def test_opencv_tail_of_zeros_and_fisheye_flag(tmp_path):
    eight = CAMERAS[2].distortion
    assert read_camera(stored(tmp_path, opencv(D=[*eight, 0, 0, 0, 0]))) == CAMERAS[2]
    assert read_camera(stored(tmp_path, opencv(D=CAMERAS[3].distortion, fisheye_model=1))) == CAMERAS[3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"D": [*FIVE, 0, 0, 0, 0, 0.25, 0, 0]},
            "thin-prism and tilt coefficients are not supported, found [0.0, 0.25",
        ),
        ({"D": [0.1, 0.2, 0.3]}, "expected 0, 4, 5, 8, 12 or 14 distortion coefficients, found 3"),
        ({"D": "none"}, "D must be a list of numbers, found 'none'"),
        ({"D": [0.1, float("nan"), 0, 0, 0]}, "D[1] is nan; a calibration must be finite"),
        ({"K": [[900, 0.5, 300], [0, 900, 200], [0, 0, 1]]}, "has skew 0.5 (row 0, column 1)"),
        (
            {"K": [[900, 0, 300], [0, 900, 200], [0, 1, 1]]},
            "must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], found",
        ),
        ({"K": [900, 900, 300, 200]}, "must have 3 x 3 numbers, found 4"),
        ({"K": {"rows": 3, "cols": 3, "data": [1, 2]}}, "K is said to be 3 x 3, but holds 2 numbers"),
        ({"image_height": None}, "image_height must be a number, found None"),
        ({"distortion_model": "fov"}, "unknown distortion_model 'fov'; known: plumb_bob"),
        ({"distortion_model": "equidistant"}, "equidistant has 4 coefficients, found 5"),
        ({"fisheye_model": 1}, "a fisheye calibration has 4 distortion coefficients, found 5"),
    ],
)
def test_opencv_refusals(tmp_path, changes, message):
    assert message in refusal(stored(tmp_path, opencv(**changes)))


def test_opencv_without_distortion_or_with_half_a_size(tmp_path):
    assert "no distortion coefficients (looked for distortion_" in refusal(stored(tmp_path, json.dumps({"K": K})))
    half = stored(tmp_path, json.dumps({"K": K, "D": FIVE, "image_width": 720}))
    assert "image_width stands without the other side" in refusal(half)


def test_h2o(tmp_path):
    path = stored(tmp_path, "636.65930 636.25195 635.28388 366.87403 1280 720 \n", "cam_intrinsics.txt")
    assert read_camera(path, (1280, 720)) == Pinhole(1280, 720, 636.65930, 636.25195, 635.28388, 366.87403)
    assert "must hold six numbers" in refusal(stored(tmp_path, "1 2 3 4 5", "cam_intrinsics.txt"))
    assert "'x' is not a number" in refusal(stored(tmp_path, "1 2 x 4 5 6", "cam_intrinsics.txt"))
    assert "is nan" in refusal(stored(tmp_path, "nan 2 3 4 5 6", "cam_intrinsics.txt"))


DAT = "intrinsic:\n{}\ndistortion:\n" + " ".join(map(str, FIVE)) + " \n"
ROWS = "\n".join(" ".join(map(str, row)) + " " for row in K)


def test_dat(tmp_path):
    path = stored(tmp_path, DAT.format(ROWS), "c0.dat")
    assert read_camera(path, (720, 540)) == CAMERAS[1]
    assert "holds no image size" in refusal(path)
    short = stored(tmp_path, DAT.format(ROWS.rsplit("\n", 1)[0]), "c0.dat")
    assert '"intrinsic:" must be followed by 3 rows of 3 numbers, found 3 + 3 numbers' in refusal(short, (720, 540))
    text = stored(tmp_path, DAT.format(ROWS.replace("356", "3S6")), "c0.dat")
    assert "line 2: '3S6.0891925607645' is not a number" in refusal(text, (720, 540))
    bare = stored(tmp_path, f"intrinsic:\n{ROWS}", "c0.dat")
    assert '"distortion:" must be followed by one row' in refusal(bare, (720, 540))


def test_extrinsics_take_the_first_block_and_round_to_a_rotation(tmp_path):
    turn = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
    rows = "\n".join(" ".join(f"{value + 3e-8:.8f}" for value in row) for row in turn)
    text = f"R:\n{rows}\nT:\n1.5\n-2\n16.7\n\n#from cam0 to cam1.\nR:\n1 0 0\n0 1 0\n0 0 1\nT:\n0\n0\n0\n"
    transform = read_extrinsics(stored(tmp_path, text, "rt.dat"))
    np.testing.assert_allclose(transform[:3, :3], turn, atol=1e-7)
    np.testing.assert_allclose(transform[:3, :3] @ transform[:3, :3].T, np.eye(3), atol=1e-15)
    np.testing.assert_array_equal(transform[:, 3], [1.5, -2, 16.7, 1])


@pytest.mark.parametrize(
    ("R", "message"),
    [
        ("1 0 0\n0 1 0\n0 0 1.01", "R is not a rotation (R R^T differs from the identity by 0.02"),
        ("1 0 0\n0 1 0\n0 0 -1", "determinant -1"),
        ("1 0 0\n0 1 0", '"R:" must be followed by 3 rows of 3 numbers, found 3 + 3 numbers'),
        ("1 0 0\n0 inf 0\n0 0 1", "line 3: a value is inf"),
    ],
)
def test_extrinsics_refusals(tmp_path, R, message):
    with pytest.raises(CalibrationError) as caught:
        read_extrinsics(stored(tmp_path, f"R:\n{R}\nT:\n0\n0\n0\n", "rt.dat"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "fov"},
            "unknown model 'fov'; known: pinhole, brown_conrady, kannala_brandt, ovfisheye62, double",
        ),
        ({"model": ["pinhole"]}, "unknown model ['pinhole']"),
        ({"fx": float("nan")}, "fx is nan; a calibration must be finite"),
        ({"cy": float("inf")}, "cy is inf; a calibration must be finite"),
        ({"cy": 10**400}, "cy is 1000"),
        ({"fx": -600}, "focal lengths must be positive, found fx -600"),
        ({"fy": 0}, "focal lengths must be positive, found fx 926.077, fy 0"),
        ({"fx": "600"}, "fx must be a number, found '600'"),
        ({"fx": True}, "fx must be a number, found True"),
        ({"width": 720.5}, "width must be a positive whole number of pixels, found 720.5"),
        ({"height": 0}, "height must be a positive whole number of pixels, found 0"),
        ({"cx": 5000}, "the principal point (5000, 265.249) is far outside the image of 720 x 540"),
        ({"k1": 0.1, "skew": 0}, "unknown k1, skew; a pinhole camera has width, height, fx, fy, cx, cy"),
    ],
)
def test_own_refusals(tmp_path, changes, message):
    assert message in refusal(stored(tmp_path, json.dumps(PINHOLE | changes)))


def test_own_fields_that_are_missing_or_too_few(tmp_path):
    without = {name: value for name, value in PINHOLE.items() if name not in ("fy", "cx")}
    assert "missing fy, cx; a pinhole camera has" in refusal(stored(tmp_path, json.dumps(without)))
    del without["model"]
    assert 'no "model" (one of pinhole' in refusal(stored(tmp_path, json.dumps(without)))
    few = PINHOLE | {"model": "brown_conrady", "distortion": [0.1]}
    assert "found 1" in refusal(stored(tmp_path, json.dumps(few)))


def test_a_distortion_that_no_lens_has_is_told_with_its_file(tmp_path):
    wild = PINHOLE | {"model": "brown_conrady", "distortion": [-1e9, 0, 0, 0, 0]}
    assert "the distortion of this BrownConrady camera folds at the image centre" in refusal(
        stored(tmp_path, json.dumps(wild))
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cam.json", b"", "is empty"),
        ("cam.json", b'{"model": "pinhole", "width": 7', "ends in the middle (truncated?) at line 1, column"),
        ("cam.json", b'{"model": pinhole}', "is not valid JSON at line 1, column 11"),
        ("cam.json", b"[1, 2]", "must hold a JSON object {...}, found list"),
        ("cam.json", b'{"fx": 1, "fx": 2}', "'fx' is given twice"),
        ("cam.json", b"[" * 100000, "cannot be read as JSON"),
        ("cam.yaml", b"fx: 1\nfx: 2\n", "a key is given twice"),
        ("cam.yaml", b"fx: [1, 2\ncy: 3", "is not valid YAML at line 2"),
        ("cam.yaml", b"fx: !!python/object/apply:os.getcwd []", "is not valid YAML at line 1"),
        ("cam.yaml", b"just words", "must hold named fields (name: value), found str"),
        ("cam.mp4", b"\x00\x00\x00 ftypisom\xff\xfe", "is not a text file (byte 12 is not UTF-8)"),
        ("cam.xml", b"<opencv_storage><K>", "is not valid XML at line 1"),
        ("cam.xml", b"<calib></calib>", "must be an XML file of OpenCV (<opencv_storage>), found <calib>"),
        ("cam.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><opencv_storage/>', "declares XML entities"),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    assert message in refusal(path)


def test_files_that_are_not_there(tmp_path):
    assert "does not exist; check the path" in refusal(tmp_path / "cam.json")
    assert "is a folder; give the file itself" in refusal(tmp_path)
    huge = tmp_path / "clip.mp4"
    with huge.open("wb") as file:
        file.truncate(1 << 30)
    assert "has 1073741824 bytes, far more than" in refusal(huge)


def test_calibration_for_another_image_size(tmp_path):
    path = stored(tmp_path, json.dumps(PINHOLE | {"width": 1280, "height": 720, "cx": 640, "cy": 360}))
    mismatch = f"{path} is for 1280 x 720 but the video is "
    message = refusal(path, (720, 720))
    assert message.startswith(mismatch + "720 x 720; the shape differs")
    assert refusal(path, (720, 720), rescale=True) == message
    assert "the sides are swapped" in refusal(path, (720, 1280))
    assert refusal(path, (640, 360)).startswith(mismatch + "640 x 360; the shape is the same")
    assert "--rescale-camera" in refusal(path, (854, 480))

    half = read_camera(path, (640, 360), rescale=True)
    assert (half.width, half.height, half.cx, half.fx) == (640, 360, 319.75, FOCAL["fx"] / 2)
    assert read_camera(path, (854, 480), rescale=True).width == 854


def test_write_refusals(tmp_path):
    with pytest.raises(OutputError, match=r"a camera file ends in \.json, \.yaml or \.yml"):
        write_camera(tmp_path / "cam.txt", CAMERAS[0])
    with pytest.raises(OutputError, match=r"cannot write .*cam\.json: No such file or directory; make its folder"):
        write_camera(tmp_path / "nowhere" / "cam.json", CAMERAS[0])
