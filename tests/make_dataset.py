"""Made-up episodes of every official layout, and what it means that two episodes are the same."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from handloom.formats.episode import CameraStream, Episode, LabelledSegment, RenderedPictures
from handloom.formats.fpha_classes import CAMERA, CAMERA_FROM_WORLD
from handloom.formats.fpha_classes import OBJECTS as FPHA_OBJECTS
from handloom.formats.h2o_classes import OBJECTS, split_of
from handloom.geometry import OVFishEye62, Pinhole, apply_rigid, invert_rigid, rigid
from handloom.hands import HandTrack
from made_up_hands import moving_hand, rotations

SEQUENCE = "nusar-2021_action_both_9012-c07c_9012_user_id_2021-02-01_164345"
EXO, EGO = "C10095_rgb", "HMC_21179183_mono10bit"
LENS = Pinhole(128, 72, fx=90.25, fy=91.5, cx=63.125, cy=35.75)
FISHEYE = OVFishEye62(128, 96, 40.0, 41.0, 63.0, 47.5, (0.2, 0.1, -0.3, 0.2, 1e-3, -2e-3, -0.09, 0.01))


def hands(frame_ids, rate, missing=(), right_only=False, seed=0) -> HandTrack:
    """Two hands half a metre in front of the origin; `missing` lists (frame, hand)."""
    T = len(frame_ids)
    right = moving_hand(T, seed, start=(0.08, 0.02, 0.5))
    left = moving_hand(T, seed + 1, start=(-0.08, 0.02, 0.5))
    valid = np.ones((T, 2, 21), bool)
    for frame, hand in missing:
        valid[frame, hand] = False
    if right_only:
        valid[:, 0] = False
    return HandTrack(
        times_s=np.asarray(frame_ids) / rate,
        joints_m=np.stack([left, right], 1),
        valid=valid,
        confidence=np.where(valid, 0.75, 0).astype(np.float32),
        keypoints_px=np.full((T, 2, 21, 2), np.nan),
        frame="world",
    )


def poses(T: int, moving: bool, seed: int = 0) -> np.ndarray:
    """world_from_camera near the origin, looking at the hands."""
    random = np.random.default_rng(seed)
    angles = np.tile(random.uniform(-0.1, 0.1, 3), (T, 1))
    centres = np.tile(random.uniform(-0.05, 0.05, 3), (T, 1))
    if moving:
        angles = angles + 0.02 * np.sin(np.arange(T)[:, None] + np.arange(3))
        centres = centres + 0.01 * np.cos(np.arange(T)[:, None] + np.arange(3))
    return rigid(rotations(angles), centres)


def shade(index: int, frame: int) -> int:
    """The brightness of a made-up picture tells camera and frame apart."""
    return 30 + 60 * index + 7 * frame


def stream(name, T, camera=LENS, moving=False, index=0, monochrome=False, pictures=True) -> CameraStream:
    def picture(frame: int) -> np.ndarray:
        return np.full((camera.height, camera.width, 3), shade(index, frame), np.uint8)

    rendered = RenderedPictures(picture) if pictures else None
    return CameraStream(name, camera, poses(T, moving, index), rendered, monochrome)


def h2o_episode(name="subject1/h1/0", T=8, **options) -> Episode:
    subject, scene, _ = name.split("/")
    objects = np.full((T, 8, 4, 4), np.nan)
    labels = np.where(np.arange(T) < T // 2, 2, -1)
    objects[labels == 2, 2] = poses(T, True, 5)[labels == 2]
    episode = Episode(
        dataset="h2o",
        name=name,
        subject=subject,
        split=split_of(subject, scene),
        frame_ids=np.arange(T),
        frame_rate=Fraction(30),
        hands=hands(range(T), 30, missing=[(1, 0), (2, 1)]),
        streams=(stream("cam0", T, index=0), stream("cam4", T, moving=True, index=1)),
        segments=(
            LabelledSegment("grab lotion", "grab", "lotion", 3, 0, 3, 1),
            LabelledSegment("take out cocoa", "take out", "cocoa", 25, T // 2, T, 2),
        ),
        object_names=OBJECTS,
        object_poses=objects,
        object_labels=labels,
        scene=scene,
    )
    return replace(episode, **options)


def fpha_episode(name="Subject_1/put_salt/1", T=5, label=15, noun="salt", **options) -> Episode:
    subject, action, _ = name.split("/")
    names = tuple(item.replace("_", " ") for item in FPHA_OBJECTS)
    camera = CAMERA.resized(128, 72)
    colour = replace(stream("color", T, camera), world_from_camera=np.tile(invert_rigid(CAMERA_FROM_WORLD), (T, 1, 1)))
    episode = Episode(
        dataset="fpha",
        name=name,
        subject=subject,
        split="train",
        frame_ids=np.arange(T),
        frame_rate=Fraction(30),
        hands=hands(range(T), 30, missing=[(2, 1)], right_only=True),
        streams=(colour,),
        segments=(LabelledSegment(action.replace("_", " "), action.split("_")[0], noun, label, 0, T),),
        object_names=names,
        object_labels=np.full(T, names.index(noun)),
        scene="kitchen",
    )
    return replace(episode, **options)


def assembly_segments() -> tuple[LabelledSegment, ...]:
    return (
        LabelledSegment("pick up cabin", "pick up", "cabin", 380, 0, 2, 0, 7, 22),
        LabelledSegment("screw wheel", "screw", "wheel", 12, 3, 6, 1, 4, 9),
    )


def assemblyhands_episode(name=SEQUENCE, T=6, split="val", **options) -> Episode:
    ids = 300 + 2 * np.arange(T)
    track = hands(ids, 60, missing=[(1, 0), (4, 0), (4, 1)])
    valid = track.valid.copy()
    valid[3, 1, 8] = False  # single joints may be missing
    episode = Episode(
        dataset="assemblyhands",
        name=name,
        subject=name.split("_user")[0][-4:],
        split=split,
        frame_ids=ids,
        frame_rate=Fraction(30),
        hands=replace(track, valid=valid, confidence=valid.astype(np.float32)),
        streams=(
            stream(EGO, T, moving=True, index=1, monochrome=True),
            stream(EXO, T, index=0),
        ),
        segments=assembly_segments(),
        scene="suv",
    )
    return replace(episode, **options)


def assembly101_episode(name=SEQUENCE, T=6, split="train", **options) -> Episode:
    ids = 2 * np.arange(T)
    track = hands(ids, 60, missing=[(1, 0), (4, 0), (4, 1)])
    valid = track.valid.copy()
    valid[..., 1] = False
    episode = Episode(
        dataset="assembly101",
        name=name,
        subject=name.split("_user")[0][-4:],
        split=split,
        frame_ids=ids,
        frame_rate=Fraction(30),
        hands=replace(track, valid=valid),
        streams=(
            stream(EXO, T, index=0),
            stream(EGO, T, FISHEYE, moving=True, index=1, monochrome=True),
        ),
        segments=assembly_segments(),
        scene="suv",
    )
    return replace(episode, **options)


def project(episode: Episode, camera: CameraStream) -> np.ndarray:
    camera_from_world = invert_rigid(camera.world_from_camera)[:, None]
    return camera.camera.project(apply_rigid(camera_from_world, episode.hands.joints_m.astype(np.float64)))[0]


def assert_same(found: Episode, made: Episode) -> None:
    """Everything but the pictures: joints within 1e-5 m, projections within 0.1 px, the rest identical."""
    for name in ("dataset", "name", "subject", "split", "frame_rate", "segments", "object_names", "scene", "problems"):
        assert getattr(found, name) == getattr(made, name), name
    np.testing.assert_array_equal(found.frame_ids, made.frame_ids)
    np.testing.assert_allclose(found.times_s, made.times_s, atol=1e-9)
    np.testing.assert_array_equal(found.hands.valid, made.hands.valid)
    np.testing.assert_allclose(found.hands.joints_m, made.hands.joints_m, atol=1e-5)
    for name in ("object_labels", "object_poses"):
        first, second = getattr(found, name), getattr(made, name)
        assert (first is None) == (second is None), name
        if second is not None:
            np.testing.assert_allclose(first, second, atol=1e-6)
    assert {item.name for item in found.streams} == {item.name for item in made.streams}
    for item in made.streams:
        other = found.stream(item.name)
        assert (other.camera.width, other.camera.height) == (item.camera.width, item.camera.height)
        assert other.monochrome == item.monochrome
        if not np.isnan(other.world_from_camera).any():
            np.testing.assert_allclose(project(found, other), project(made, item), atol=0.1)
            np.testing.assert_allclose(other.world_from_camera, item.world_from_camera, atol=1e-6)


def assert_pictures(found: CameraStream, index: int, frames=None) -> None:
    """Pictures are those that `stream` made, but for the loss of JPEG and video."""
    from handloom.formats.pictures import pictures_of

    for frame, image in enumerate(pictures_of(found)):
        if frames is not None and frame not in frames:
            assert image is None
            continue
        assert image is not None
        assert image.shape == (found.camera.height, found.camera.width, 3)
        assert abs(float(image.mean()) - shade(index, frame)) < 2.5
