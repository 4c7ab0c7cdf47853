"""How fast the renderer is, ground truth included."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.geometry import Camera, OVFishEye62, Pinhole, invert_rigid
from handloom.simulate.background import make_background
from handloom.simulate.complexion import skin_colours, skin_tone
from handloom.simulate.hand import DOF_COUNT, HandShape, bone_frames, forward
from handloom.simulate.mesh import FIRST_OBJECT, LEFT_HAND, Mesh, Placement, Scene
from handloom.simulate.objects import make_object
from handloom.simulate.props import PROPS
from handloom.simulate.render import Joints, Renderer
from handloom.simulate.rigs import looking_at
from handloom.simulate.sensor import Sensor
from handloom.simulate.surface import HandSurface, hand_surface, skin

Rows = list[tuple[str, str]]

SIZE = (480, 270)
_FISHEYE = (0.24, -0.16, 0.05, -0.011, 4e-4, -3e-4, 1.1e-3, -5e-5)


def measure_simulate(frames: int) -> tuple[str, Rows]:
    """Median time per frame on one core of two moving hands and one object, in a room seen by a moving head camera.

    Colour, depth, instance masks and the visibility of 42 joints are computed in every frame. Compilation and
    the making of the scene are not counted; skinning and the sensor are listed beside it.

    Raises:
        InputError: less than one frame.
    """
    if frames < 1:
        raise InputError(f"the renderer's speed needs at least 1 frame, found {frames}")
    stand = _Stand()
    rows: Rows = []
    cameras: tuple[tuple[str, Camera, bool], ...] = (
        ("pinhole, RGB", Pinhole.from_fov(*SIZE, 90), False),
        ("fisheye, mono", OVFishEye62(*SIZE, 145.0, 145.0, 239.5, 134.5, _FISHEYE), True),
    )
    for name, camera, mono in cameras:
        renderer = Renderer(stand.scene, camera, mono)
        stages: dict[str, list[float]] = {}
        for frame in range(-1, frames):  # the first one compiles
            spent = stand.frame(renderer, frame)
            if frame >= 0:
                for stage, seconds in spent.items():
                    stages.setdefault(stage, []).append(seconds)
        whole = [sum(times) for times in zip(*(stages[stage] for stage in _STAGES))]
        rows.append((f"{name}, with ground truth", f"{1 / median(whole):6.1f} frames/s"))
        rows += [(f"  of which {stage}", f"{1000 * median(stages[stage]):6.2f} ms/frame") for stage in _STAGES]
        rows += [(f"  beside it: {stage}", f"{1000 * median(stages[stage]):6.2f} ms/frame") for stage in _BESIDE]
    return f"{SIZE[0]} x {SIZE[1]}, {stand.size}, median of {frames} frames, one core", rows


_STAGES = ("placing", "projection", "visible surfaces", "shading and shadows", "joint visibility")
_BESIDE = ("skinning", "sensor")


class _Stand:
    """What is rendered: hands that open and close around a bottle of milk."""

    def __init__(self) -> None:
        self.shapes = tuple(HandShape.average(side) for side in (0, 1))
        self.surfaces = tuple(hand_surface(shape) for shape in self.shapes)
        hands = [_hand(surface) for surface in self.surfaces]
        background, light = make_background(1)
        self.scene = Scene(background, (*hands, make_object(PROPS["milk"], FIRST_OBJECT)), light)
        self.sensor = Sensor()
        counts = [len(hand.vertices) for hand in hands]
        room = sum(len(mesh.faces) for mesh in background)
        self.size = f"two hands of {counts[0]} vertices, one object, {room} faces of background"

    def frame(self, renderer: Renderer, frame: int) -> dict[str, float]:
        """Seconds of every stage."""
        phase = 0.1 * frame
        pose = looking_at(
            np.array([0.05 * np.sin(phase), -0.33, 0.45]), np.array([0, 0.05 + 0.03 * np.cos(phase), 0.05])
        )
        angles = np.full(DOF_COUNT, 0.25 + 0.2 * np.sin(phase))
        bottle = np.eye(4)
        bottle[:3, 3] = 0, 0.05, 0.09
        spent: dict[str, float] = {}

        def timed(stage: str, work: Callable[[], object]) -> object:
            start = time.perf_counter()
            result = work()
            spent[stage] = time.perf_counter() - start
            return result

        wrists = [_shift(x, -0.08, 0.10) for x in (-0.12, 0.12)]
        skins: list[Placement] = []
        timed("skinning", lambda: skins.extend(
            np.asarray(skin(surface, bone_frames(shape, wrist, angles)), np.float64)
            for surface, shape, wrist in zip(self.surfaces, self.shapes, wrists)
        ))  # fmt: skip
        joints = Joints(
            np.concatenate([forward(shape, wrist, angles) for shape, wrist in zip(self.shapes, wrists)]),
            np.repeat([LEFT_HAND, LEFT_HAND + 1], 21),
            np.concatenate([shape.radii_m for shape in self.shapes]),
        )
        camera_from_world = invert_rigid(pose)
        timed("placing", lambda: renderer._place(camera_from_world, [*skins, bottle]))
        count = timed("projection", renderer._project)
        assert isinstance(count, int)
        timed("visible surfaces", lambda: renderer._draw(count))
        shaded = timed("shading and shadows", lambda: renderer._shade(camera_from_world))
        timed("joint visibility", lambda: renderer._look_for(joints, camera_from_world, count))
        assert isinstance(shaded, tuple)
        timed("sensor", lambda: self.sensor.capture(shaded[0][None], 0, max(frame, 0)))
        return spent


def _hand(surface: HandSurface) -> Mesh:
    colours = 255 * skin_colours(surface, skin_tone(0.25), np.random.default_rng(0))
    return Mesh(
        np.asarray(surface.vertices_m, np.float32),
        np.asarray(surface.faces, np.int32),
        np.asarray(colours, np.uint8),
        LEFT_HAND + surface.side,
    )


def _shift(x: float, y: float, z: float) -> Float[np.ndarray, "4 4"]:
    moved = np.eye(4)
    moved[:3, 3] = x, y, z
    return moved
