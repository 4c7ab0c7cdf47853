"""A simulation as a source of episodes: pictures are drawn when they are asked for."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, RenderedPictures
from handloom.simulate.faults import Faults, thinned
from handloom.simulate.mesh import Placement
from handloom.simulate.plan import Layout, Recording, recordings
from handloom.simulate.render import Joints, Picture, Renderer
from handloom.simulate.rigs import Rig, rig
from handloom.simulate.scene import build_set
from handloom.simulate.sensor import Sensor
from handloom.simulate.shutter import smeared
from handloom.simulate.take import Size, Take, make_take

_FAULTS, _SENSORS = 5, 6
"""Set the random numbers of faults and cameras apart from those of people, takes and sets."""


SECONDS = 20.0
"""Length of a recording unless it is given."""


@dataclass(frozen=True)
class Options:
    """What is simulated.

    Attributes:
        layout: how it is stored.
        subjects: number of people; None for the rig's usual number.
        repetitions: recordings per person; for `fpha`, of every action.
        seconds: length of a recording, to the frame; None for `SECONDS`. Not for a rig such as `fpha`, of which every
            recording lasts as long as its action.
        seed: of all chance.
        size: width and height of the pictures; None for the full size of the rig's cameras.
        cameras: names of the rig's cameras that record; all if empty. Official layouts need all. What happens before
            the cameras, and what each of them sees of it, does not depend on which there are.
        actions: names of the actions that are recorded by a rig with one action per recording; all if empty.
        sensor: pictures have the exposure, noise and motion blur of a camera; without, they are as rendered.
        faults: what goes wrong in what is stored; pictures and truth are made without.
        every: only every so many-th frame is drawn and stored, natively; 30 gives one per second, as people label
            AssemblyHands. What happens does not change with it.
    """

    layout: Layout = Layout.NATIVE
    subjects: int | None = None
    repetitions: int = 2
    seconds: float | None = None
    seed: int = 0
    size: Size | None = (480, 270)
    cameras: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    sensor: bool = True
    faults: Faults = field(default_factory=Faults)
    every: int = 1


class Simulation(EpisodeSource):
    """The recordings of a rig.

    Args:
        rig_name: "h2o", "fpha", "assembly" or "desktop".
        options: what is simulated.

    Raises:
        InputError: unknown rig, camera or action, a layout that is not for the rig, or a number out of range.
    """

    def __init__(self, rig_name: str, options: Options) -> None:
        super().__init__(skip_bad=False)
        self.options = _checked(options, rig(rig_name))
        self.rig = _with_cameras(rig(rig_name), options.cameras)
        subjects = self.rig.default_subjects if options.subjects is None else options.subjects
        planned = recordings(self.rig, options.layout, subjects, options.repetitions)
        if options.actions:
            chosen = {self.rig.taxonomy.actions.index(self.rig.taxonomy.action(name)) for name in options.actions}
            planned = tuple(item for item in planned if item.action in chosen)
        self._recordings: dict[str, Recording] = {item.name: item for item in planned}
        self.names = tuple(self._recordings)

    @property
    def seconds(self) -> float:
        """Length of a recording, unless it is that of its action."""
        return SECONDS if self.options.seconds is None else self.options.seconds

    def take(self, name: str) -> Take:
        """A recording as numbers. Raises InputError: there is none of this name."""
        if name not in self._recordings:
            raise InputError(f"the simulation has no recording {name!r}; it has {', '.join(self.names[:3])}, ...")
        chosen = self.options
        return make_take(self.rig, chosen.layout, self._recordings[name], self.seconds, chosen.seed, chosen.size)

    def read(self, name: str) -> Episode:
        """A recording whose pictures are drawn one by one. Raises InputError: there is none of this name."""
        take = self.take(name)
        if not self.with_pictures:
            return self.stored(take, tuple(take.stream(camera) for camera in range(len(take.cameras))))
        camera_men = draw(take, self.options.sensor)
        streams = tuple(
            replace(take.stream(camera), pictures=RenderedPictures(_as_rgb(picture)))
            for camera, picture in enumerate(camera_men)
        )
        return self.stored(take, streams)

    def stored(self, take: Take, streams: tuple[CameraStream, ...]) -> Episode:
        """A take as its layout holds it, with the faults that were asked for.

        Raises:
            InputError: they leave no frame of it.
        """
        options = self.options
        # Its own stream of chance: a recording's faults do not depend on what else is simulated.
        seed = int(np.random.SeedSequence((options.seed, _FAULTS, take.recording.index)).generate_state(1)[0])
        planted = options.faults.planted(take.episode(streams), seed, gaps=options.layout is Layout.NATIVE)
        return planted if options.every == 1 else thinned(planted, options.every)


def draw(take: Take, sensor: bool = True) -> list[Callable[[int], Picture]]:
    """For each camera of a take a function that draws a frame of it, with its truth.

    Args:
        take: the take.
        sensor: pictures as each camera's own sensor takes them; the truth is that of the middle of the exposure.
    """
    built = build_set(take)

    @lru_cache(maxsize=2)  # all cameras ask for a frame, and for how it was before, before any asks for the next
    def placed(frame: int) -> tuple[list[Placement], Joints]:
        return built.placements(frame), built.joints(frame)

    def camera_man(camera: int) -> Callable[[int], Picture]:
        mounted, poses = take.rig.cameras[camera], take.world_from_camera[camera]
        renderer = Renderer(built.scene, take.cameras[camera], mounted.monochrome)

        def rendered(frame: int) -> Picture:
            return renderer.render(poses[frame], *placed(frame))

        # Its own stream of chance: what a camera sees does not depend on which others there are.
        key = (take.seed, _SENSORS, take.recording.index, zlib.crc32(mounted.name.encode()))
        chosen, noise = Sensor.sample(np.random.default_rng(key)), int(np.random.SeedSequence(key).generate_state(1)[0])

        def taken(frame: int) -> Picture:
            beside = frame - 1 if frame else min(1, len(poses) - 1)  # a smear looks the same either way round
            picture = rendered(frame)
            moves = renderer.moves_px(poses[beside], placed(beside)[0]) * np.float32(chosen.shutter_s * take.rate)
            image = chosen.capture(smeared(picture.image, picture.depth_m, moves)[None], noise, frame)
            return replace(picture, image=image)

        return taken if sensor else rendered

    return [camera_man(camera) for camera in range(len(take.cameras))]


def as_rgb(image: UInt8[np.ndarray, "H W channels"]) -> UInt8[np.ndarray, "H W 3"]:
    """A picture with three channels, equal ones for a monochrome camera."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def _as_rgb(picture: Callable[[int], Picture]) -> Callable[[int], UInt8[np.ndarray, "H W 3"]]:
    return lambda frame: as_rgb(picture(frame).image)


def _with_cameras(used: Rig, names: tuple[str, ...]) -> Rig:
    """The rig with the named cameras alone, in its own order."""
    return replace(used, cameras=tuple(camera for camera in used.cameras if not names or camera.name in names))


def _checked(options: Options, used: Rig) -> Options:
    known_cameras = [camera.name for camera in used.cameras]
    if unknown := [name for name in options.cameras if name not in known_cameras]:
        raise InputError(f"unknown camera {unknown[0]!r}; {used.name} has {', '.join(known_cameras)}")
    if len(set(options.cameras)) < len(options.cameras):
        raise InputError(f"every camera records once, found {' '.join(options.cameras)}; name each one time")
    if options.cameras and options.layout is not Layout.NATIVE and set(options.cameras) != set(known_cameras):
        raise InputError(
            f"the layout {options.layout.value} needs all cameras of its rig; leave cameras out, or use --layout native"
        )
    if options.seconds is not None and used.trimmed:
        raise InputError(f"recordings of the rig {used.name!r} last as long as their action; leave seconds out")
    if options.seconds is not None and not 0 < options.seconds <= 3600:
        raise InputError(f"seconds must lie between 0 and 3600, found {options.seconds:g}")
    if options.every != 1 and not (options.every > 1 and used.frame_rate % options.every == 0):
        raise InputError(
            f"every must divide the {used.frame_rate} frames per second of the rig {used.name!r}, found {options.every}"
        )
    if options.every > 1 and (options.layout is not Layout.NATIVE or options.faults.dropped_frames):
        raise InputError("only the native layout keeps every so many-th frame, and without dropped_frames")
    if options.seed < 0:
        raise InputError(f"the seed must not be negative, found {options.seed}")
    if options.size is not None and not all(16 <= side <= 8192 for side in options.size):
        raise InputError(f"pictures must be 16 ... 8192 pixels wide and high, found {options.size}")
    if options.layout is Layout.NATIVE and options.size is not None and any(side % 2 for side in options.size):
        raise InputError(f"pictures of the native store need even sides, found {options.size}")
    if options.actions and not used.trimmed:
        raise InputError(f"the rig {used.name!r} records many actions at once; actions can be chosen for 'fpha' only")
    known = [action.name for action in used.taxonomy.actions]
    if unknown := [name for name in options.actions if name not in known]:
        raise InputError(f"unknown action {unknown[0]!r}; {used.name} has {', '.join(known)}")
    if options.layout is Layout.ASSEMBLY101 and options.faults.dropped_frames:
        raise InputError("the tables of assembly101 count at half the rate of the poses; leave dropped_frames at 0")
    if options.faults.swapped_hands and used.taxonomy.one_hand:
        raise InputError(f"the rig {used.name!r} has one hand only, swapped_hands needs two; leave it at 0")
    return options
