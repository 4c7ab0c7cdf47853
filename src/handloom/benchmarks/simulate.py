"""How fast the renderer is, ground truth included."""

import json
import sys
import time
from statistics import median

import numpy as np

from handloom.errors import InputError
from handloom.geometry import Camera, OVFishEye62, Pinhole, invert_rigid
from handloom.rows import Rows
from handloom.simulate.background import make_background
from handloom.simulate.complexion import skin_colours, skin_tone
from handloom.simulate.hand import DOF_COUNT, HandShape, bone_frames, forward
from handloom.simulate.mesh import FIRST_OBJECT, LEFT_HAND, RIGHT_HAND, Mesh, Placement, Scene
from handloom.simulate.objects import make_object
from handloom.simulate.props import PROPS
from handloom.simulate.render import Joints, Renderer
from handloom.simulate.rigs import looking_at
from handloom.simulate.sensor import Sensor
from handloom.simulate.shapes import shift
from handloom.simulate.shutter import smeared
from handloom.simulate.surface import HandSurface, hand_surface, skin
from handloom.skeleton import JOINT_COUNT
from handloom.threads import run_single_threaded

SIZE = (480, 270)
_RATE = 30
_FISHEYE = (0.24, -0.16, 0.05, -0.011, 4e-4, -3e-4, 1.1e-3, -5e-5)


def measure_simulate(frames: int) -> tuple[str, Rows]:
    """Median time per frame on one core of two moving hands and one object, in a room seen by a moving head camera.

    Colour, depth, instance masks and the visibility of 42 joints are computed in every frame. Compilation and
    the making of the scene are not counted; skinning, motion blur and the sensor stand beside it.

    Raises:
        InputError: less than one frame.
    """
    if frames < 1:
        raise InputError(f"the renderer's speed needs at least 1 frame, found {frames}")
    title, rows = run_single_threaded(__name__, frames)
    return title, [(name, value) for name, value in rows]


def _measure(frames: int) -> tuple[str, Rows]:
    stand = _Stand(frames)
    rows: Rows = [("skinning, beside it", f"{1000 * median(stand.skinning_s):6.2f} ms/frame")]
    cameras: tuple[tuple[str, Camera, bool], ...] = (
        ("pinhole, RGB", Pinhole.from_fov(*SIZE, 90), False),
        ("fisheye, mono", OVFishEye62(*SIZE, 145.0, 145.0, 239.5, 134.5, _FISHEYE), True),
    )
    for name, camera, mono in cameras:
        renderer = Renderer(stand.scene, camera, mono)
        stages: dict[str, list[float]] = {}
        stand.render(renderer, 0)  # compiles
        for frame in range(frames):
            for stage, seconds in stand.render(renderer, frame).items():
                stages.setdefault(stage, []).append(seconds)
        whole = [sum(times) for times in zip(*(stages[stage] for stage in _STAGES))]
        rows.append((f"{name}, with ground truth", f"{1 / median(whole):6.1f} frames/s"))
        rows += [(f"  of which {stage}", f"{1000 * median(stages[stage]):6.2f} ms/frame") for stage in _STAGES]
        for stage in _BESIDE:
            rows.append((f"  beside it: {stage}", f"{1000 * median(stages[stage]):6.2f} ms/frame"))
    return f"{SIZE[0]} x {SIZE[1]}, {stand.size}, median of {frames} frames, one core", rows


_STAGES = ("placing", "projection", "visible surfaces", "shading and shadows", "joint visibility")
_BESIDE = ("motion blur", "sensor")


class _Stand:
    """What is rendered: hands that open and close around a bottle of milk."""

    def __init__(self, frames: int) -> None:
        shapes = [HandShape.average(side) for side in (0, 1)]
        surfaces = [hand_surface(shape) for shape in shapes]
        hands = [_hand(surface) for surface in surfaces]
        background, light = make_background(1)
        self.scene = Scene(background, (*hands, make_object(PROPS["milk"], FIRST_OBJECT)), light)
        self.sensor = Sensor()
        room = sum(len(mesh.faces) for mesh in background)
        self.size = f"two hands of {len(hands[0].vertices)} vertices, one object, {room} faces of background"
        wrists = [shift(x, -0.08, 0.10) for x in (-0.12, 0.12)]
        self.skins, self.joints, self.skinning_s = [], [], []
        for frame in range(frames):
            angles = np.full(DOF_COUNT, 0.25 + 0.2 * np.sin(0.1 * frame))
            start = time.perf_counter()
            self.skins.append(
                [skin(surface, bone_frames(shape, w, angles)) for surface, shape, w in zip(surfaces, shapes, wrists)]
            )
            self.skinning_s.append(time.perf_counter() - start)
            self.joints.append(
                Joints(
                    np.concatenate([forward(shape, wrist, angles) for shape, wrist in zip(shapes, wrists)]),
                    np.repeat([LEFT_HAND, RIGHT_HAND], JOINT_COUNT),
                    np.concatenate([shape.radii_m for shape in shapes]),
                )
            )

    def render(self, renderer: Renderer, frame: int) -> dict[str, float]:
        """Seconds of every stage of `Renderer.render`, of motion blur and of the sensor."""
        before, world_from_camera = _head(frame - 1), _head(frame)
        camera_from_world = invert_rigid(world_from_camera)
        times = [time.perf_counter()]
        renderer._place(camera_from_world, self._placed(frame), renderer._points, renderer._normals)
        times.append(time.perf_counter())
        count = renderer._project()
        times.append(time.perf_counter())
        renderer._draw(count)
        times.append(time.perf_counter())
        image, depth, _ = renderer._shade(camera_from_world)
        times.append(time.perf_counter())
        renderer._look_for(self.joints[frame], camera_from_world, count)
        times.append(time.perf_counter())
        moves = renderer.moves_px(before, self._placed(max(frame - 1, 0)))
        image = smeared(image, depth, moves * np.float32(self.sensor.shutter_s * _RATE))
        times.append(time.perf_counter())
        self.sensor.capture(image[None], 0, frame)
        times.append(time.perf_counter())
        return dict(zip((*_STAGES, *_BESIDE), np.diff(times).tolist()))

    def _placed(self, frame: int) -> list[Placement]:
        return [*self.skins[frame], shift(0, 0.05, 0.09)]


def _head(frame: int) -> np.ndarray:
    """`world_from_camera` of a head that sways."""
    sway = 0.1 * frame
    position = np.array([0.05 * np.sin(sway), -0.33, 0.45])
    return looking_at(position, np.array([0, 0.05 + 0.03 * np.cos(sway), 0.05]))


def _hand(surface: HandSurface) -> Mesh:
    colours = 255 * skin_colours(surface, skin_tone(0.25), np.random.default_rng(0))
    return Mesh(
        np.asarray(surface.vertices_m, np.float32),
        np.asarray(surface.faces, np.int32),
        np.asarray(colours, np.uint8),
        LEFT_HAND + surface.side,
    )


if __name__ == "__main__":
    json.dump(_measure(int(sys.argv[1])), sys.stdout)
