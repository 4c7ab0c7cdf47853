"""Annotate a capture: the stages in order, each on shards, each kept, so that any can be looked at and done again."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handloom.annotate.agreement import Agreement, agreement
from handloom.annotate.capture import Capture, CaptureCamera, Captures
from handloom.annotate.chains import Chaining, choose_hands, slots_of_hands
from handloom.annotate.clusters import Clusters
from handloom.annotate.detect import Detections, DetectTask, detect
from handloom.annotate.labels import Labels, clean_labels, metric_scale, palm_length
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.pool import Engine
from handloom.annotate.refine import REFINED, RefineTask, refine_shard
from handloom.annotate.report import check_agreement, summary_of
from handloom.annotate.review import EDITS, Edits, corrected, seen_in
from handloom.annotate.shards import BlockTask, cluster_shard, solve_shard, surroundings, triangulate_shard
from handloom.annotate.stage_files import block_path, blocks, digest, load_stage, safe, save_stage, stands
from handloom.annotate.timeline import Timeline, reference_camera, timeline
from handloom.annotate.untangle import untangled
from handloom.errors import InputError
from handloom.estimators.lifting import ADULT_BONES_M
from handloom.estimators.mediapipe import mediapipe_name
from handloom.formats.atomic import json_text, write_text
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights_config import network_of, weights_folder
from handloom.hands import ScaleSource
from handloom.progress import Progress, silent
from handloom.skeleton import bone_lengths
from handloom.video.digest import file_digest

STAGES = ("detect", "sync", "hands", "triangulate", "refine", "solve", "label", "store")
VERSION = 1
"""Raised when a stage's result changes, so that older results are made again."""
_THRESHOLD_SHARE = 0.015
_FOLDERS = {
    "detect": ("detect",),
    "sync": ("sync.npz",),
    "hands": ("clusters", "hands"),
    "triangulate": ("points",),
    "refine": ("scale.npz", REFINED),
    "solve": ("bones.npz", "joints"),
    "label": ("labels.npz", "report.json"),
    "store": (),
}


@dataclass(frozen=True, eq=False)
class Run:
    """Where and how a capture is annotated.

    Attributes:
        captures: the recordings.
        stages: folder that keeps the stages' results, a folder per recording.
        options: see there.
        engine: does shards.
        progress: told how many shards of a stage are done.
    """

    captures: Captures
    stages: Path
    options: AnnotateOptions
    engine: Engine
    progress: Progress = silent

    def folder(self, name: str) -> Path:
        """Where the stages of a recording are kept."""
        return self.stages / safe(name)

    def open(self, name: str) -> "RecordingStages":
        """A recording with its stages."""
        return RecordingStages(self, name)

    def digest(self, name: str) -> str:
        """What the labels of a recording are made of."""
        return RecordingStages(self, name).made_of["label"]

    def forget(self, stage: str) -> None:
        """Delete the results of a stage and of those after it, so that they are made again."""
        for name in self.captures.names:
            for later in STAGES[STAGES.index(stage) :]:
                for item in _FOLDERS[later]:
                    path = self.folder(name) / item
                    shutil.rmtree(path, ignore_errors=True)
                    path.unlink(missing_ok=True)

    def annotate(self, name: str, until: str = "label") -> dict[str, Any] | None:
        """Do what is missing of a recording up to a stage; what is known of it when all is done.

        Raises:
            InputError, CalibrationError: the capture cannot be used; says why.
            OutputError: results cannot be written.
        """
        return RecordingStages(self, name).upto(until)


class RecordingStages:
    """One recording on its way through the stages."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name, self.options = run, name, run.options
        self.capture: Capture = run.captures.read(name)
        self.cameras = self.capture.cameras
        self.folder = run.folder(name)
        self.threshold_px = self.options.threshold_px or default_threshold_px(self.cameras)
        pictures, calibration = run.captures.made_of(name)
        options = self.options
        cameras = [camera.name for camera in self.cameras]
        settings = (options.image_rate, options.threshold, options.max_hands, options.shard_frames)
        self.detected = digest(VERSION, pictures, settings, *self._detector(calibration))
        self.made_of = {"detect": self.detected}
        before = self.detected
        for stage, facts in (
            ("sync", (calibration, cameras, options.sync, options.max_offset_s, self.threshold_px)),
            ("hands", ()),
            ("triangulate", ()),
            ("refine", self._network()),
            ("solve", (options.unit_m, options.hand_size_mm)),
            ("label", (options.smooth_hz, Edits(self.folder).frames)),
        ):
            before = self.made_of[stage] = digest(before, stage, *facts)

    def upto(self, until: str) -> dict[str, Any] | None:
        """See `Run.annotate`."""
        wanted = STAGES[: STAGES.index(until) + 1]
        self.detect()
        if "sync" not in wanted:
            return None
        found = self.synchronise()
        clock = timeline(self.cameras, found.offsets)
        check_agreement(self.cameras, found, self.threshold_px / 2, self.options)
        works = (self.associate, self.triangulate, self.refine, self.solve)
        for stage, work in zip(("hands", "triangulate", "refine", "solve"), works):
            if stage not in wanted:
                return None
            work(clock)
        return self.label(clock, found) if "label" in wanted else None

    def blocks(self, length: int) -> list[range]:
        """The shards of so many frames."""
        return blocks(length, self.options.shard_frames)

    def detect(self) -> None:
        """Stage 1."""
        options, tasks = self.options, []
        for camera in self.cameras:
            folder = self.folder / "detect" / safe(camera.name)
            lens = replace(camera, camera_from_world=camera.camera_from_world[:1])
            for block in self.blocks(len(camera)):
                if not stands(block_path(folder, block), self.detected):
                    tasks.append(DetectTask(lens, block, folder, self.detected, options))
        self._do("annotate-detect", detect, tasks)

    def synchronise(self) -> Agreement:
        """Delays between the cameras, and whether they agree."""
        path = self.folder / "sync.npz"
        if not stands(path, self.made_of["sync"]):
            step = 1 / self.cameras[reference_camera(self.cameras)].rate
            most = round(self.options.max_offset_s / step) if self.options.sync else 0
            found = agreement(self.cameras, self._detections(), most, self.threshold_px)
            exchanged = np.array(found.exchanged or (-1, -1))
            save_stage(path, self.made_of["sync"], {**found.__dict__, "exchanged": exchanged})
        arrays = load_stage(path)
        a, b = arrays.pop("exchanged").tolist()
        return Agreement(**arrays, exchanged=None if a < 0 else (a, b))

    def associate(self, clock: Timeline) -> None:
        """Stage 2."""
        made_of, T = self.made_of["hands"], len(clock.times_s)
        if all(stands(block_path(self.folder / "hands", block), made_of) for block in self.blocks(T)):
            return
        tasks = [self._task(clock, block, made_of) for block in self.blocks(T)]
        missing = [task for task in tasks if not stands(task.path("clusters"), made_of)]
        self._do("annotate-hands", cluster_shard, missing)
        chaining = Chaining(T)
        for number, task in enumerate(tasks):
            chaining.push(number, task.block.start, Clusters(**load_stage(task.path("clusters"))), task.found())
        others = choose_hands(chaining.chains)
        for number, task in enumerate(tasks):
            clusters = Clusters(**load_stage(task.path("clusters")))
            slots = slots_of_hands(chaining.chains, number, task.block.start, clusters)
            slots = untangled(list(task.cameras), list(task.poses), task.found(), slots, self.threshold_px)
            save_stage(task.path("hands"), made_of, {"slots": slots, "others": np.array(others)})

    def triangulate(self, clock: Timeline) -> None:
        """Stage 3."""
        self._blocks("annotate-triangulate", "triangulate", "points", triangulate_shard, clock)

    def refine(self, clock: Timeline) -> None:
        """Stage 4; nothing without a network."""
        made_of, options = self.made_of["refine"], self.options
        if options.network is None:
            return
        unit_m = float(self._measured("scale.npz", made_of, clock, "points")["unit_m"])
        todo = [b for b in self.blocks(len(clock.times_s)) if not stands(block_path(self.folder / REFINED, b), made_of)]
        tasks = [
            RefineTask(
                self._task(clock, block, made_of), self.cameras, options.network, options.rounds, unit_m, options.device
            )
            for block in todo
        ]
        self._do("annotate-refine", refine_shard, tasks)

    def solve(self, clock: Timeline) -> None:
        """Stage 5."""
        self._measured("bones.npz", self.made_of["solve"], clock, self._source)
        self._blocks("annotate-solve", "solve", "joints", solve_shard, clock)

    @property
    def _source(self) -> str:
        return "points" if self.options.network is None else REFINED

    def _network(self) -> tuple[object, ...]:
        """What the network's result depends on."""
        options = self.options
        if options.network is None:
            return ()
        return _digests(options.network, "MVExoNet"), options.rounds, options.unit_m, options.hand_size_mm

    def _detector(self, calibration: str) -> tuple[object, ...]:
        """What finds the hands; a trained one looks at joints through the lens."""
        options = self.options
        if options.detector is None:
            return (mediapipe_name(),)
        assert options.network is not None
        return _digests(options.detector, "HandDetector"), _digests(options.network, "MVExoNet"), calibration

    def _measured(self, name: str, made_of: str, clock: Timeline, source: str) -> dict[str, np.ndarray]:
        """Lengths of bones, of the palm, and the scale, by the joints of a stage."""
        path = self.folder / name
        if not stands(path, made_of):
            parts = [load_stage(block_path(self.folder / source, b))["joints"] for b in self.blocks(len(clock.times_s))]
            bones = np.concatenate([bone_lengths(part).reshape(-1, 20) for part in parts])
            if not np.isfinite(bones).any():
                raise InputError(
                    f"{self.name}: no joint is seen alike by two cameras; are the cameras synchronous, and is the "
                    "calibration theirs?"
                )
            lengths = np.array([np.nanmedian(b) if np.isfinite(b).any() else np.nan for b in bones.T])
            sizes = np.concatenate([detections.sizes_m() for detections in self._detections()])
            known = self.options.unit_m
            if known is None and self.options.hand_size_mm is None:
                known = self.capture.unit_m
            palm = palm_length(lengths)
            # A detector that knows no sizes leaves an adult's average hand.
            size = float(np.median(sizes)) if len(sizes) else float(ADULT_BONES_M.sum())
            unit_m, source = metric_scale(lengths, known, self.options.hand_size_mm, size, palm)
            arrays = {"lengths": lengths, "palm": palm, "unit_m": unit_m, "source": str(source)}
            save_stage(path, made_of, {key: np.asarray(value) for key, value in arrays.items()})
        return load_stage(path)

    def label(self, clock: Timeline, found: Agreement) -> dict[str, Any]:
        """Stage 6."""
        path, about = self.folder / "labels.npz", self.folder / "report.json"
        if not stands(path, self.made_of["label"]) or not about.is_file():
            parts = [load_stage(block_path(self.folder / "joints", b)) for b in self.blocks(len(clock.times_s))]
            view_error_px = np.concatenate([part.pop("view_error_px") for part in parts], axis=1)
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            bones = load_stage(self.folder / "bones.npz")
            unit_m = float(bones["unit_m"])
            labels = clean_labels(
                **joined,
                times_s=clock.times_s,
                threshold_px=self.threshold_px,
                unit_m=unit_m,
                smooth_hz=self.options.smooth_hz,
            )
            labels = self._reviewed(labels, clock, unit_m)
            source = ScaleSource(str(bones["source"]))
            others = int(load_stage(block_path(self.folder / "hands", self.blocks(len(clock.times_s))[0]))["others"])
            summary = summary_of(self.cameras, clock, found, labels, view_error_px, others, unit_m, source)
            write_text(about, json_text(summary, indent=1))
            save_stage(path, self.made_of["label"], {**labels.__dict__, "index": clock.index, "times_s": clock.times_s})
        return parse_json(about, read_text(about))

    def labels(self, clock: Timeline) -> tuple[Labels, np.ndarray]:
        """The labels, and (T, 2) whether two cameras see each hand."""
        parts = [load_stage(block_path(self.folder / "joints", b)) for b in self.blocks(len(clock.times_s))]
        seen = np.concatenate([np.isfinite(part["view_error_px"]).any(-1).sum(0) for part in parts])
        return labels_of(self.folder)[0], np.asarray(seen >= 2)

    def _reviewed(self, labels: Labels, clock: Timeline, unit_m: float) -> Labels:
        """The labels with a person's corrections."""
        edits, T = Edits(self.folder), len(clock.times_s)
        frames = [int(frame) for frame in edits.frames]
        if beyond := [frame for frame in frames if frame >= T]:
            raise InputError(f"{self.folder / EDITS}: frame {beyond[0]} of a recording of {T}; is it of another one?")
        poses = {
            frame: np.concatenate([c.poses(clock.index[v, frame : frame + 1]) for v, c in enumerate(self.cameras)])
            for frame in frames
        }
        seen = {frame: seen_in(self.folder, frame, T, self.options.shard_frames) for frame in frames}
        return corrected(labels, edits, list(self.cameras), poses, seen, unit_m)

    def _blocks(self, shown: str, stage: str, folder: str, work: Callable[[BlockTask], None], clock: Timeline) -> None:
        made_of = self.made_of[stage]
        around = stage == "solve"
        todo = [b for b in self.blocks(len(clock.times_s)) if not stands(block_path(self.folder / folder, b), made_of)]
        self._do(shown, work, [self._task(clock, block, made_of, around) for block in todo])

    def _task(self, clock: Timeline, block: range, made_of: str, around: bool = False) -> BlockTask:
        T = len(clock.times_s)
        posed = surroundings(block, T) if around else block
        rows = slice(block.start, block.stop)
        return BlockTask(
            self.folder,
            block,
            T,
            self.options.shard_frames,
            tuple(camera.name for camera in self.cameras),
            tuple(camera.camera for camera in self.cameras),
            tuple(len(camera) for camera in self.cameras),
            clock.index[:, rows],
            tuple(c.poses(clock.index[v, posed.start : posed.stop]) for v, c in enumerate(self.cameras)),
            clock.times_s[rows],
            self.threshold_px,
            made_of,
            clock.step_s,
            self._source if around else "points",
        )

    def _detections(self) -> list[Detections]:
        size = self.options.shard_frames
        return [Detections(self.folder / "detect" / safe(c.name), len(c), size) for c in self.cameras]

    def _do(self, stage: str, work: Callable[[Any], None], tasks: Sequence[Any]) -> None:
        if tasks:
            self.run.progress(stage, 0, len(tasks))
            for done, _ in enumerate(self.run.engine(work, tasks), 1):
                self.run.progress(stage, done, len(tasks))


def _digests(run: Path, network: str) -> tuple[str, ...]:
    """Of a network's weights. Raises InputError: they are missing, or of another network."""
    folder = weights_folder(run)
    parts = [folder / name for name in ("config.json", "model.safetensors")]
    if missing := next((part for part in parts if not part.is_file()), None):
        raise InputError(f"{missing} is missing; give a training run of {network}, or the folder of its weights")
    if (found := network_of(folder)) != network:
        raise InputError(f"{folder} holds weights of {found}, not of {network}")
    return tuple(file_digest(part) for part in parts)


def default_threshold_px(cameras: Sequence[CaptureCamera]) -> float:
    """From which error on a view is wrong: a share of the diagonal of the smallest pictures."""
    return _THRESHOLD_SHARE * min(float(np.hypot(camera.camera.width, camera.camera.height)) for camera in cameras)


def labels_of(folder: Path) -> tuple[Labels, np.ndarray, np.ndarray]:
    """The labels of a recording, the pictures that they belong to, and their times."""
    arrays = load_stage(folder / "labels.npz")
    index, times_s = arrays.pop("index"), arrays.pop("times_s")
    return Labels(**arrays), index, times_s
