"""A take: one recording as numbers, before anything is drawn."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from handloom.formats.episode import CameraStream, Episode, LabelledSegment
from handloom.geometry import Camera, Pinhole
from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.simulate.hand import forward
from handloom.simulate.head import head_poses
from handloom.simulate.motion import Motion, Stretch
from handloom.simulate.plan import Layout, Recording, frame_ids, frame_rate
from handloom.simulate.props import Part, Prop
from handloom.simulate.rigs import Rig, RigCamera, camera_poses
from handloom.simulate.script import Script
from handloom.simulate.subjects import Subject, subject
from handloom.simulate.taxonomy import Taxonomy
from handloom.skeleton import JOINT_COUNT, LEFT, RIGHT

Size = tuple[int, int]
_RECTIFIED_EGO_FOCAL = 1.05
"""Focal length of rectified pictures of the headset by that of the fisheye: half the view of the lens is kept."""
_STILL_THINGS = 2


@dataclass(frozen=True, eq=False)
class Take:
    """One recording: who moves how, and where the cameras are.

    Attributes:
        recording: which one.
        seed: of the simulation.
        rig: of the capture.
        rate: frames per second.
        person: who.
        motion: of hands and things.
        props: the things, in the order of the motion's.
        cameras: intrinsics at the size of the pictures, in the order of the rig's cameras.
        world_from_camera: pose of each camera in every frame.
        joints_m: of both hands, in the world.
    """

    recording: Recording
    seed: int
    rig: Rig
    rate: Fraction
    person: Subject
    motion: Motion
    props: tuple[Prop | Part, ...]
    cameras: tuple[Camera, ...]
    world_from_camera: Float[np.ndarray, "cameras T 4 4"]
    joints_m: Float[np.ndarray, "T 2 21 3"]

    def episode(self, streams: tuple[CameraStream, ...]) -> Episode:
        """The take with its pictures, as every part of Handloom knows recordings."""
        taxonomy, T = self.rig.taxonomy, len(self.motion)
        valid = np.ones((T, 2, JOINT_COUNT), bool)
        valid[:, LEFT] = not taxonomy.one_hand
        labels = np.full(T, -1)
        for stretch in self.motion.stretches:
            labels[stretch.start : stretch.end] = taxonomy.nouns.index(taxonomy.actions[stretch.action].noun)
        poses = np.full((T, len(taxonomy.nouns), 4, 4), np.nan)
        for k, noun in enumerate(taxonomy.nouns):
            if noun in self.motion.things:
                poses[:, k] = self.motion.world_from_thing[:, self.motion.things.index(noun)]
        return Episode(
            dataset=self.rig.name,
            name=self.recording.name,
            subject=self.recording.subject,
            split=self.recording.split,
            frame_ids=frame_ids(self.rig, self.rate, T),
            frame_rate=self.rate,
            hands=HandTrack(
                times_s=np.arange(T) / float(self.rate),
                joints_m=self.joints_m,
                valid=valid,
                confidence=valid.astype(np.float32),
                keypoints_px=np.full((T, 2, JOINT_COUNT, 2), np.nan),
                frame="world",
                camera_source=CameraSource.CALIBRATED,
                scale_source=ScaleSource.MEASURED,
            ),
            streams=streams,
            segments=tuple(_segment(taxonomy, s.action, s.start, s.end) for s in self.motion.stretches),
            object_names=taxonomy.nouns,
            object_poses=poses,
            object_labels=labels,
            scene=self.recording.scene,
        )

    def stream(self, camera: int) -> CameraStream:
        """One camera, without pictures."""
        mounted = self.rig.cameras[camera]
        return CameraStream(
            mounted.name, self.cameras[camera], self.world_from_camera[camera], monochrome=mounted.monochrome
        )


def make_take(rig: Rig, layout: Layout, recording: Recording, seconds: float, seed: int, size: Size | None) -> Take:
    """Make the take of a recording: the same for the same arguments, whatever else is made before or beside it.

    Args:
        rig: the capture.
        layout: decides the frame rate, and whether pictures are rectified.
        recording: which one.
        seconds: length of recordings of many actions; a trimmed one lasts as long as its action.
        seed: of the simulation.
        size: width and height of the pictures; None for those of the rig's cameras.
    """
    person = subject(seed, recording.number, right_handed=rig.taxonomy.one_hand)
    rng = np.random.default_rng((seed, 2, recording.index))
    rate = frame_rate(rig, layout)
    others = [noun for noun in rig.taxonomy.nouns if noun not in recording.nouns and noun != "hand"]
    still = tuple(rng.permutation(others)[:_STILL_THINGS].tolist())
    script = Script(rig.taxonomy, person, recording.nouns, float(rate), rng, still)
    if recording.action is None:
        motion = _at_ticks(script.wander(seconds, {}), round(rate / rig.frame_rate))
    else:
        motion = script.trimmed(rig.taxonomy.actions[recording.action])
    joints = np.stack(
        [
            forward(shape, motion.world_from_hand[:, hand], motion.angles[:, hand])
            for hand, shape in ((LEFT, person.left), (RIGHT, person.right))
        ],
        axis=1,
    )
    seat = np.array([0.0, -0.33, person.eye_height_m])
    shown = joints[:, RIGHT:] if rig.taxonomy.one_hand else joints
    head = head_poses(0.75 * shown.mean((1, 2)) + (0, 0.02, 0.01), seat, float(rate), rng)
    return Take(
        recording,
        seed,
        rig,
        rate,
        person,
        motion,
        tuple(script.props.values()),
        tuple(_lens(camera, layout, size) for camera in rig.cameras),
        np.stack([camera_poses(camera, head) for camera in rig.cameras]),
        joints,
    )


def _at_ticks(motion: Motion, ticks: int) -> Motion:
    """Actions begin and end at multiples of so many frames: tables of actions count at the rig's own rate."""
    whole = (Stretch(s.action, -(-s.start // ticks) * ticks, s.end // ticks * ticks) for s in motion.stretches)
    return replace(motion, stretches=tuple(whole))


def _lens(mounted: RigCamera, layout: Layout, size: Size | None) -> Camera:
    camera = mounted.camera
    if layout is Layout.ASSEMBLYHANDS:  # its pictures are rectified
        focal = camera.fx * (_RECTIFIED_EGO_FOCAL if mounted.monochrome else 1)
        camera = Pinhole(camera.width, camera.height, focal, focal, camera.cx, camera.cy)
    if size is None:
        return camera
    # The size is that of the widest pictures; others keep their shape beside it.
    width, height = size
    if camera.width * height != camera.height * width:
        height = max(2, 2 * round(width * camera.height / camera.width / 2))
    return camera.resized(width, height)


def _segment(taxonomy: Taxonomy, index: int, start: int, end: int) -> LabelledSegment:
    action = taxonomy.actions[index]
    ids: dict[str, int] = {}
    if taxonomy.name not in ("h2o", "fpha"):  # those number their classes in one way only
        ids = {"verb_id": taxonomy.verbs.index(action.verb), "noun_id": taxonomy.nouns.index(action.noun)}
    return LabelledSegment(action.name, action.verb, action.noun, index + taxonomy.first_label, start, end, **ids)
