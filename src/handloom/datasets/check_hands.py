"""Health of the numbers: finite, moving, of one size, on the right side, and where the cameras see them."""

import numpy as np
from jaxtyping import Bool, Float

from handloom.datasets.columns import Columns
from handloom.datasets.frames import inside, project_hands
from handloom.datasets.layout import KEYPOINTS, POSE_KNOWN, VISIBLE, WORLD_FROM_CAMERA, camera_feature
from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.verdicts import Finding, State
from handloom.skeleton import BONES, FINGERTIPS, HANDS, JOINT_COUNT, KNUCKLES, PALM_BONES, WRIST, bone_lengths

BONE_SPREAD_WARN, BONE_SPREAD_FAIL = 0.05, 0.15
"""Standard deviation of a bone's length over its median."""
PALM_M = (0.04, 0.15)
"""Wrist to knuckles, from small children to the largest hands."""
STILL_S, COLLAPSED_M = 0.5, 0.01
"""Joints that do not move at all for so long are no measurement; a hand is never smaller than this."""
REPROJECTION_WARN_PX, REPROJECTION_FAIL_PX = 0.1, 1.0
SEEN_SHARE, SWAP_GAIN_M = 0.5, 0.02
FIELD_OF_VIEW_DEG = (10, 200)
_JUDGED = [joint for joint in range(JOINT_COUNT) if joint != 1]
"""Assembly101 has no base of the thumb."""


def check_finite(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """No NaN, no infinity; confidence in 0 ... 1."""
    found = []
    for name, values in columns.items():
        if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
            frame = int(np.argwhere(~finite)[0][0])
            found.append(_fail(f"{recording.name}: {name} is not finite, first in frame {frame}"))
    confidence = columns["hand.confidence"]
    if ((confidence < 0) | (confidence > 1)).any():
        found.append(_fail(f"{recording.name}: hand.confidence outside 0 ... 1"))
    return found


def check_constant(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Collapsed or frozen hands and lost camera poses that are marked valid."""
    found = []
    joints, valid = columns["hand.joints"][:, :, _JUDGED], columns["hand.valid"][:, :, _JUDGED]
    still = max(2, round(STILL_S * store.layout.fps))
    for hand, name in enumerate(HANDS):
        whole: np.ndarray = np.asarray(valid[:, hand].all(-1))
        span = np.ptp(joints[:, hand], axis=1).max(-1)
        if (collapsed := whole & (span < COLLAPSED_M)).any():
            found.append(_fail(f"{recording.name}: {name} hand is one point in frame {int(np.argmax(collapsed))}"))
        same = (joints[1:, hand] == joints[:-1, hand]).all((1, 2)) & whole[1:] & whole[:-1]
        begin, length = _longest_run(same)
        if length + 1 >= still:
            found.append(
                _fail(f"{recording.name}: {name} hand is frozen for {length + 1} frames from frame {begin} on")
            )
    for camera in store.layout.cameras:
        pose = columns[camera_feature(camera.name, WORLD_FROM_CAMERA)]
        known = columns[camera_feature(camera.name, POSE_KNOWN)]
        identity = (pose == np.eye(4)).all((1, 2)) & known
        if identity.any() and not identity[known].all():
            frame = int(np.argmax(identity))
            found.append(_fail(f"{recording.name}: camera {camera.name} moves, but is the identity in frame {frame}"))
    return found


def check_bones(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Bones keep their length; palms have the size of palms."""
    found = []
    joints = np.where(columns["hand.valid"][..., None], columns["hand.joints"], np.nan).astype(np.float64)
    lengths = bone_lengths(joints)
    palm_bones = [BONES.index(bone) for bone in PALM_BONES]
    for hand, name in enumerate(HANDS):
        known = np.isfinite(lengths[:, hand])
        bones = np.flatnonzero(known.sum(0) >= 2)
        if not len(bones):
            continue
        measured = lengths[:, hand, bones]
        medians = np.nanmedian(measured, 0)
        spread = np.nanstd(measured, 0) / np.maximum(medians, 1e-9)
        worst = int(np.argmax(spread))
        if spread[worst] > BONE_SPREAD_WARN:
            state = State.FAIL if spread[worst] > BONE_SPREAD_FAIL else State.WARN
            found.append(
                Finding(
                    state,
                    f"{recording.name}: bone {BONES[bones[worst]]} of the {name} hand varies by {spread[worst]:.0%}",
                )
            )
        palm = [float(median) for bone, median in zip(bones, medians) if bone in palm_bones]
        if palm and not PALM_M[0] <= np.mean(palm) <= PALM_M[1]:
            size = 1000 * np.mean(palm)
            found.append(_fail(f"{recording.name}: the {name} palm is {size:.3g} mm long; are the joints in metres?"))
    return found


def check_sides(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Left is left: by the way the fingers bend over the whole recording, and by jumps from frame to frame."""
    found = []
    joints = columns["hand.joints"].astype(np.float64)
    valid = np.asarray(columns["hand.valid"][:, :, _JUDGED].all(-1))
    for hand, name in enumerate(HANDS):
        bend = right_handedness(joints[valid[:, hand], hand])
        agreeing = (bend > 0) if name == "right" else (bend < 0)
        if len(bend) and agreeing.mean() < 0.5 and np.abs(np.median(bend)) > 0.1:
            found.append(_fail(f"{recording.name}: the {name} hand bends like the other hand; are the sides swapped?"))
    wrist = joints[:, :, WRIST]
    present = np.asarray(valid.all(1))
    both = present[1:] & present[:-1]
    kept = np.linalg.norm(wrist[1:] - wrist[:-1], axis=-1).sum(-1)
    swapped = np.linalg.norm(wrist[1:] - wrist[:-1, ::-1], axis=-1).sum(-1)
    jumps = both & (kept - swapped > SWAP_GAIN_M)
    if jumps.any():
        frame = int(np.argmax(jumps)) + 1
        found.append(
            _fail(f"{recording.name}: the hands change sides {int(jumps.sum())} times, first in frame {frame}")
        )
    return found


def right_handedness(joints: Float[np.ndarray, "N 21 3"]) -> Float[np.ndarray, "N"]:
    """Positive for right hands, negative for left ones, by the direction in which the fingers bend; 0 for flat ones.

    The normal of the palm, from index and little knuckle as seen from the wrist, points out of the palm of a right
    hand. Fingertips lie on that side of the palm's plane, whatever the pose, except when fingers are overstretched.
    """
    index, little = joints[:, KNUCKLES[0]] - joints[:, WRIST], joints[:, KNUCKLES[-1]] - joints[:, WRIST]
    normal = np.cross(index, little)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    fingers = joints[:, list(FINGERTIPS[1:])] - joints[:, list(KNUCKLES)]
    length = np.maximum(np.linalg.norm(fingers, axis=-1), 1e-9)
    return np.asarray(((fingers * normal[:, None]).sum(-1) / length).mean(-1))


def check_calibration(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Cameras that fit their pictures, and hands where the cameras look."""
    found, anywhere = [], np.zeros(recording.length, bool)
    valid = columns["hand.valid"]
    posed = np.zeros(recording.length, bool)
    for camera in store.layout.cameras:
        place, model = f"{recording.name}, camera {camera.name}", recording.cameras.get(camera.name)
        if model is None:
            found.append(_fail(f"{place}: no intrinsics"))
            continue
        if (model.width, model.height) != camera.size:
            wide, high = camera.size
            found.append(_fail(f"{place}: calibrated for {model.width} x {model.height}, pictures are {wide} x {high}"))
            continue
        if not (0 <= model.cx < model.width and 0 <= model.cy < model.height):
            found.append(_fail(f"{place}: the principal point ({model.cx:.1f}, {model.cy:.1f}) is not in the picture"))
        low, high_deg = FIELD_OF_VIEW_DEG
        angle = model.horizontal_fov_deg
        if np.isfinite(angle) and not low <= angle <= high_deg:
            found.append(Finding(State.WARN, f"{place}: a field of view of {angle:.0f} degrees"))
        known = columns[camera_feature(camera.name, POSE_KNOWN)]
        if not known.any():
            found.append(Finding(State.WARN, f"{place}: its pose is known in no frame"))
            continue
        pixels, _ = _projected(recording, columns, camera.name)
        seen = (inside(pixels, camera.size) & valid).any((1, 2))
        anywhere |= seen
        posed |= known
        if (valid.any((1, 2)) & known).any() and not seen.any():
            found.append(Finding(State.WARN, f"{place}: no joint of the whole recording projects into the picture"))
    judged = posed & valid.any((1, 2))
    if judged.any() and anywhere[judged].mean() < SEEN_SHARE:
        share = anywhere[judged].mean()
        found.append(_fail(f"{recording.name}: {share:.0%} of the frames with hands show one; are these its cameras?"))
    return found


def check_reprojection(store: Store, recording: StoredRecording, columns: Columns) -> list[Finding]:
    """Stored image positions are where joints, pose and intrinsics put them."""
    found = []
    for camera in store.layout.cameras:
        model = recording.cameras.get(camera.name)
        if model is None:
            continue
        pixels, valid = _projected(recording, columns, camera.name)
        judged = valid & columns[camera_feature(camera.name, VISIBLE)] & columns["hand.valid"]
        if not judged.any():
            continue
        error = np.linalg.norm(columns[camera_feature(camera.name, KEYPOINTS)] - pixels, axis=-1)
        worst = np.where(judged, error, 0).max((1, 2))
        if worst.max() > REPROJECTION_WARN_PX:
            state = State.FAIL if worst.max() > REPROJECTION_FAIL_PX else State.WARN
            where = f"{recording.name}, camera {camera.name}, frame {int(np.argmax(worst))}"
            message = (
                f"{where}: a joint is {worst.max():.1f} px from its projection ({np.median(error[judged]):.2f} median)"
            )
            found.append(Finding(state, message))
    return found


def _projected(
    recording: StoredRecording, columns: Columns, camera: str
) -> tuple[Float[np.ndarray, "T 2 21 2"], Bool[np.ndarray, "T 2 21"]]:
    known = columns[camera_feature(camera, POSE_KNOWN)][:, None, None]
    poses = np.where(known, columns[camera_feature(camera, WORLD_FROM_CAMERA)].astype(np.float64), np.nan)
    return project_hands(columns["hand.joints"], poses, recording.cameras[camera])


def _longest_run(flags: Bool[np.ndarray, "N"]) -> tuple[int, int]:
    """First index and length of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    begin, end = edges[::2], edges[1::2]
    if not len(begin):
        return 0, 0
    longest = int(np.argmax(end - begin))
    return int(begin[longest]), int((end - begin)[longest])


def _fail(message: str) -> Finding:
    return Finding(State.FAIL, message)
