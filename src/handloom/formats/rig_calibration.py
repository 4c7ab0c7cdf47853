"""Calibrations of several cameras with their poses: one file or folder for a whole rig, whatever tool wrote it."""

from collections.abc import Mapping
from pathlib import Path

from handloom.errors import CalibrationError
from handloom.formats.assembly_calibration import pinhole, read_calib_text, read_rig
from handloom.formats.calibration_values import Size, known_size
from handloom.formats.cameras import read_camera
from handloom.formats.markup import parse_yaml
from handloom.formats.rig_values import RigCalibration, RigView, match_names
from handloom.formats.rig_views import views_of_headset, views_of_opencv_files, views_of_ours, views_of_toml
from handloom.formats.text_calibration import read_extrinsics
from handloom.formats.text_files import parse_json, read_text

_LIMIT_BYTES = 1 << 28
_SUFFIXES = (".toml", ".json", ".yaml", ".yml", ".xml", ".txt", ".dat")
_POSE = "rot_trans_"


def read_rig_calibration(path: Path | str, sizes: Mapping[str, Size]) -> RigCalibration:
    """Read lens and pose of every camera of a rig; the layout is recognised from names and content.

    Args:
        path: a TOML file of Anipose or Pose2Sim; `calib.txt`, the JSON of raw cameras or of the headset's poses of
            AssemblyHands and Assembly101; Handloom's JSON or YAML; or a folder with `.dat` files (`c0.dat` beside
            `rot_trans_c0.dat`), with one OpenCV file per camera that holds R and T, or with one of the files above.
        sizes: (width, height) of the pictures of every camera of the capture, for layouts that do not say it, and to
            bring the names in the calibration together with those of the capture.

    Returns:
        The views, under the names of the capture.

    Raises:
        CalibrationError: unreadable, unknown, malformed, or not of these cameras.
    """
    path = Path(path).expanduser()
    found = _of_folder(path, sizes) if path.is_dir() else _of_file(path, sizes)
    return RigCalibration(match_names(found.views, sizes, str(path)), found.unit_m, found.layout)


def is_calibration(path: Path) -> bool:
    """Whether a file in a capture's folder is taken for its calibration."""
    return path.is_file() and path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _of_folder(path: Path, sizes: Mapping[str, Size]) -> RigCalibration:
    files = sorted(item for item in path.iterdir() if is_calibration(item))
    if any(item.suffix == ".dat" for item in files):
        return _of_dat(path, files, sizes)
    headset = [item for item in files if item.suffix == ".json" and item.stem.endswith(("ego_calib", "ego_calib_v1-1"))]
    others = [item for item in files if item not in headset]
    if len(files) == 1:
        return _of_file(files[0], sizes)
    if headset:
        found = [_of_file(item, sizes) for item in (*others, headset[0])]
        return _merged(found)
    if not files:
        raise CalibrationError(f"{path} holds no calibration ({', '.join(_SUFFIXES)}); name it with --calibration")
    if all(item.suffix in (".yaml", ".yml", ".xml", ".json") for item in files):
        return views_of_opencv_files(files, sizes)
    names = ", ".join(item.name for item in files)
    raise CalibrationError(f"{path} holds several files that may be the calibration ({names}); name one: --calibration")


def _of_file(path: Path, sizes: Mapping[str, Size]) -> RigCalibration:
    text = read_text(path, CalibrationError, _LIMIT_BYTES)
    match path.suffix.lower():
        case ".toml":
            return views_of_toml(path, text)
        case ".txt":
            blocks = read_calib_text(path)
            named = match_names(blocks, sizes, str(path))
            views = {
                name: RigView(pinhole(f"{path}, camera {name!r}", K, known_size(str(path), None, sizes[name])), pose)
                for name, (K, pose) in named.items()
            }
            return RigCalibration(views, 1.0, "calib.txt")
        case ".json" if text.lstrip().startswith("["):
            cameras = read_rig(path).values()
            return RigCalibration(
                {
                    item.name: RigView(item.camera, item.camera_from_parent, on_headset=item.egocentric)
                    for item in cameras
                },
                1.0,
                "AssemblyHands, raw cameras",
            )
        case ".json":
            values = parse_json(path, text, CalibrationError)
        case ".yaml" | ".yml":
            values = parse_yaml(path, text)
        case _:
            raise CalibrationError(
                f"{path}: a single {path.suffix} file has no poses of several cameras; give the folder of all files"
            )
    if "calibration" in values:
        return views_of_headset(path, values["calibration"], sizes)
    return views_of_ours(path, values)


def _of_dat(path: Path, files: list[Path], sizes: Mapping[str, Size]) -> RigCalibration:
    """`<name>.dat` with K and distortion beside `rot_trans_<name>.dat` with R and T; no unit, no image size."""
    lenses = {item.stem: item for item in files if item.suffix == ".dat" and not item.stem.startswith(_POSE)}
    poses = {item.stem.removeprefix(_POSE): item for item in files if item.stem.startswith(_POSE)}
    if alone := sorted(lenses.keys() ^ poses.keys()):
        raise CalibrationError(
            f"{path}: camera {alone[0]!r} has only one of {alone[0]}.dat (lens) and {_POSE}{alone[0]}.dat (pose); "
            "both are needed"
        )
    named = match_names(lenses, sizes, str(path))
    views = {
        name: RigView(read_camera(lens, sizes[name]), read_extrinsics(poses[lens.stem])) for name, lens in named.items()
    }
    return RigCalibration(views, None, ".dat")


def _merged(found: list[RigCalibration]) -> RigCalibration:
    """Raw lenses of a headset with the poses that another file gives per frame; fixed cameras as they are."""
    views = dict(found[-1].views)
    for item in found[:-1]:
        for name, view in item.views.items():
            if not view.on_headset:
                views[name] = view
            elif name in views:
                views[name] = RigView(view.camera, views[name].camera_from_world, views[name].frame_ids)
    return RigCalibration(views, found[-1].unit_m, " and ".join(item.layout for item in found))
