"""Shooting a take: its pictures and their truth as files, in a folder that is either whole or not there."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from handloom.errors import OutputError
from handloom.formats.dataset_files import whole_folder
from handloom.formats.episode import Episode, EpisodeSource, PictureFiles
from handloom.simulate.plan import Layout
from handloom.simulate.simulation import Options, Simulation, draw
from handloom.simulate.take import Take
from handloom.skeleton import JOINT_COUNT, LEFT, RIGHT

TRUTH, MASKS, DEPTH = "truth.npz", "masks", "depth"
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_FARTHEST_MM = 65535


@dataclass(frozen=True)
class Shots:
    """Where the pictures of a simulation are kept while it is made.

    Attributes:
        folder: of all recordings.
        masks: instance masks are kept beside the pictures, one channel of 8 bits: `mesh.LEFT_HAND` and so on.
        depth: so is depth, one channel of 16 bits: the camera frame's z in millimetres, 0 where nothing is seen.
    """

    folder: Path
    masks: bool = False
    depth: bool = False

    def of(self, name: str) -> Path:
        """The folder of a recording."""
        return self.folder / f"recording-{quote(name, safe=' ')}"

    def shoot(self, simulation: Simulation, name: str) -> None:
        """Draw the frames of a recording that are stored, for every camera, unless that is done.

        Raises:
            OutputError: a file cannot be written.
        """
        if self.of(name).is_dir():
            return
        take = simulation.take(name)
        with whole_folder(self.of(name)) as folder:
            visible = self._pictures(take, folder, simulation.options)
            _write_truth(folder / TRUTH, take, visible)

    def _pictures(self, take: Take, folder: Path, options: Options) -> np.ndarray:
        cameras = draw(take, options.sensor)
        names = [camera.name for camera in take.rig.cameras]
        for name in names:
            for kept, where in ((True, folder), (self.masks, folder / MASKS), (self.depth, folder / DEPTH)):
                if kept:
                    (where / name).mkdir(parents=True)
        shown = [RIGHT] if take.rig.taxonomy.one_hand else [LEFT, RIGHT]
        visible = np.zeros((len(cameras), len(take.motion), 2, JOINT_COUNT), bool)
        for frame in range(0, len(take.motion), options.every):
            for k, (name, picture) in enumerate(zip(names, cameras)):
                shot = picture(frame)
                visible[k, frame, shown] = shot.visible.reshape(len(shown), JOINT_COUNT)
                # OpenCV's order of channels; a single one stays single.
                _write(folder / name / f"{frame:06d}.png", shot.image[..., ::-1])
                if self.masks:
                    _write(folder / MASKS / name / f"{frame:06d}.png", shot.instances)
                if self.depth:
                    millimetres = np.minimum(np.rint(1000 * shot.depth_m), _FARTHEST_MM).astype(np.uint16)
                    _write(folder / DEPTH / name / f"{frame:06d}.png", millimetres)
        return visible


class Shot(EpisodeSource):
    """The recordings of a simulation with their pictures as files. All must have been shot."""

    def __init__(self, simulation: Simulation, shots: Shots) -> None:
        super().__init__(skip_bad=False)
        self.simulation, self.shots, self.names = simulation, shots, simulation.names

    def read(self, name: str) -> Episode:
        """One recording. Raises InputError: there is none of this name."""
        take, folder = self.simulation.take(name), self.shots.of(name)
        with np.load(folder / TRUTH) as truth:
            visible = truth["visible"]
        streams = []
        for k, mounted in enumerate(take.rig.cameras):
            paths = tuple(folder / mounted.name / f"{frame:06d}.png" for frame in range(len(take.motion)))
            # Official layouts have a validity of their own, which is not about what hides what.
            seen = visible[k] if self.simulation.options.layout is Layout.NATIVE else None
            streams.append(replace(take.stream(k), pictures=PictureFiles(paths), visible=seen))
        return self.simulation.stored(take, tuple(streams))

    def keep_truth(self, name: str, target: Path) -> None:
        """Move what no layout has a place for to its own folder."""
        folder, kept = self.shots.of(name), target / self.shots.of(name).name
        kept.mkdir(parents=True)
        for item in (TRUTH, MASKS, DEPTH):
            if (folder / item).exists():
                (folder / item).replace(kept / item)


def _write_truth(path: Path, take: Take, visible: np.ndarray) -> None:
    motion = take.motion
    np.savez_compressed(
        path,
        joints_m=take.joints_m,
        world_from_hand=motion.world_from_hand,
        angles_rad=motion.angles,
        things=np.array(motion.things),
        world_from_thing=motion.world_from_thing,
        holder=motion.holder,
        phase=motion.phase,
        cameras=np.array([camera.name for camera in take.rig.cameras]),
        world_from_camera=take.world_from_camera,
        visible=visible,
    )


def _write(path: Path, image: np.ndarray) -> None:
    done, data = cv2.imencode(".png", np.ascontiguousarray(image), _PNG)
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded")
    path.write_bytes(data.tobytes())
