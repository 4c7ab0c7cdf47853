"""A simulation as a source of episodes: pictures are drawn when they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.formats.episode import CameraStream, Episode, EpisodeSource, RenderedPictures
from handloom.simulate.faults import Faults
from handloom.simulate.plan import Layout, Recording, recordings
from handloom.simulate.render import Picture, Renderer
from handloom.simulate.rigs import Rig, rig
from handloom.simulate.scene import build_set
from handloom.simulate.take import Size, Take, make_take

_FAULTS = 5
"""Sets the random numbers of faults apart from those of people, takes and sets."""


@dataclass(frozen=True)
class Options:
    """What is simulated.

    Attributes:
        layout: how it is stored.
        subjects: number of people; None for the rig's usual number.
        repetitions: recordings per person; for `fpha`, of every action.
        seconds: length of a recording; for `fpha`, every recording lasts as long as its action.
        seed: of all chance.
        size: width and height of the pictures; None for the full size of the rig's cameras.
        actions: names of the actions that are recorded by a rig with one action per recording; all if empty.
        faults: what goes wrong in what is stored; pictures and truth are made without.
    """

    layout: Layout = Layout.NATIVE
    subjects: int | None = None
    repetitions: int = 2
    seconds: float = 20.0
    seed: int = 0
    size: Size | None = (480, 270)
    actions: tuple[str, ...] = ()
    faults: Faults = field(default_factory=Faults)


class Simulation(EpisodeSource):
    """The recordings of a rig.

    Args:
        rig_name: "h2o", "fpha", "assembly" or "desktop".
        options: what is simulated.

    Raises:
        InputError: unknown rig or action, a layout that is not for the rig, or a number out of range.
    """

    def __init__(self, rig_name: str, options: Options) -> None:
        super().__init__(skip_bad=False)
        self.rig: Rig = rig(rig_name)
        self.options = _checked(options, self.rig)
        subjects = self.rig.default_subjects if options.subjects is None else options.subjects
        planned = recordings(self.rig, options.layout, subjects, options.repetitions)
        if options.actions:
            chosen = {self.rig.taxonomy.actions.index(self.rig.taxonomy.action(name)) for name in options.actions}
            planned = tuple(item for item in planned if item.action in chosen)
        self._recordings: dict[str, Recording] = {item.name: item for item in planned}
        self.names = tuple(self._recordings)

    def take(self, name: str) -> Take:
        """A recording as numbers. Raises InputError: there is none of this name."""
        if name not in self._recordings:
            raise InputError(f"the simulation has no recording {name!r}; it has {', '.join(self.names[:3])}, ...")
        chosen = self.options
        return make_take(self.rig, chosen.layout, self._recordings[name], chosen.seconds, chosen.seed, chosen.size)

    def read(self, name: str) -> Episode:
        """A recording whose pictures are drawn one by one. Raises InputError: there is none of this name."""
        take = self.take(name)
        camera_men = draw(take)
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
        return options.faults.planted(take.episode(streams), seed, gaps=options.layout is Layout.NATIVE)


def draw(take: Take) -> list[Callable[[int], Picture]]:
    """For each camera of a take a function that draws a frame of it, with its truth."""
    built = build_set(take)
    latest: dict[int, tuple[list, object]] = {}

    def placed(frame: int) -> tuple:
        if frame not in latest:  # all cameras ask for a frame before any asks for the next
            latest.clear()
            latest[frame] = (built.placements(frame), built.joints(frame))
        return latest[frame]

    def camera_man(camera: int) -> Callable[[int], Picture]:
        renderer = Renderer(built.scene, take.cameras[camera], take.rig.cameras[camera].monochrome)

        def picture(frame: int) -> Picture:
            placements, joints = placed(frame)
            return renderer.render(take.world_from_camera[camera, frame], placements, joints)

        return picture

    return [camera_man(camera) for camera in range(len(take.cameras))]


def as_rgb(image: UInt8[np.ndarray, "H W channels"]) -> UInt8[np.ndarray, "H W 3"]:
    """A picture with three channels, equal ones for a monochrome camera."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def _as_rgb(picture: Callable[[int], Picture]) -> Callable[[int], UInt8[np.ndarray, "H W 3"]]:
    return lambda frame: as_rgb(picture(frame).image)


def _checked(options: Options, used: Rig) -> Options:
    if not 0 < options.seconds <= 3600:
        raise InputError(f"seconds must lie between 0 and 3600, found {options.seconds:g}")
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
