"""What a store is to hold, decided before the first recording is written: its cameras and its layout."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from handloom.datasets.layout import Size, StoreLayout, check_fits, layout_from_json, layout_of
from handloom.datasets.origin import damaged
from handloom.errors import HandloomError, InputError, OutputError
from handloom.formats.atomic import json_text, write_text
from handloom.formats.episode import Episode, EpisodeSource, Problem
from handloom.formats.text_files import parse_json, read_text

PLAN = "plan.json"


def read_plan(part: Path, wanted: dict[str, Any]) -> StoreLayout | None:
    """The layout of an interrupted run; None where there was none.

    Raises:
        OutputError: it had other settings.
        InputError: the plan is damaged.
    """
    path = part / PLAN
    if not path.exists():
        return None
    plan = parse_json(path, read_text(path))
    if "options" in plan:  # that of a simulation with pictures
        raise OutputError(f"{part} was begun with other options; finish it with the same, or delete it")
    begun = plan.get("wanted")
    if not isinstance(begun, dict) or not isinstance(plan.get("layout"), dict):
        raise damaged(path, "no settings or no layout in it", part)
    if differing := [key for key, value in wanted.items() if begun.get(key) != value]:
        raise OutputError(
            f"{part} was begun with another {' and '.join(differing)}; finish it with the same, or delete it"
        )
    return layout_from_json(plan["layout"], str(path))


def write_plan(part: Path, wanted: dict[str, Any], layout: StoreLayout) -> None:
    """Keep what was decided. Raises OutputError: the disk is full, ..."""
    write_text(part / PLAN, json_text({"wanted": wanted, "layout": layout.as_json()}))


def make_plan(
    source: EpisodeSource, part: Path, wanted: dict[str, Any], size: Size | None, cameras: Sequence[str]
) -> StoreLayout:
    """The layout that the first recording asks for that can be used and has all the cameras.

    Raises:
        InputError, CalibrationError: a recording lacks a camera or cannot be used, without `skip_bad`; none can.
    """
    had = _cameras(source)
    names = tuple(cameras) or _all_cameras(source, had)
    faults = []
    for name in source.names:
        try:
            if name in had and (lacking := [camera for camera in names if camera not in had[name]]):
                raise InputError(_lacks(name, lacking[0], had))
            episode = common_episode(source, name, names)
            chosen = names if cameras or had else tuple(stream.name for stream in episode.streams)
            layout = layout_of(episode, size, chosen, source.with_pictures)
            check_fits(episode, layout)
        except HandloomError as failure:
            if not source.skip_bad:
                raise
            faults.append(str(failure))
            continue
        if not source.skip_bad:  # tell at once what would stop the work in hours
            for other, known in had.items():
                if lacking := [camera for camera in chosen if camera not in known]:
                    raise InputError(_lacks(other, lacking[0], had))
        write_plan(part, wanted, layout)
        return layout
    raise InputError(f"none of the {len(source.names)} recordings can be used; the first: {''.join(faults[:1])}")


def common_episode(source: EpisodeSource, name: str, cameras: Sequence[str]) -> Episode:
    """A recording with the cameras named as in the store, pictures as wanted, and no camera lost in silence.

    Args:
        source: where it comes from.
        name: of the recording.
        cameras: those that are to be stored; none if that is not known yet.

    Raises:
        InputError, CalibrationError: it cannot be read, or a camera has no pictures though they are wanted.
    """
    episode = source.read(name)
    streams = tuple(replace(s, name=source.common_names.get(s.name, s.name)) for s in episode.streams)
    if not source.with_pictures:
        return replace(episode, streams=tuple(replace(stream, pictures=None) for stream in streams))
    wanted = [stream for stream in streams if stream.name in cameras or not cameras]
    bare = [stream.name for stream in wanted if stream.pictures is None]
    if bare or not streams:
        what = f"no pictures of camera {', '.join(bare)}" if bare else "no cameras, so no pictures"
        place = f"; pictures belong to {source.pictures_belong}" if source.pictures_belong else ""
        raise InputError(
            f"{name}: {what}{place}. Put them there, choose cameras that have some with --cameras, or make a store of "
            "poses alone with --no-pictures"
        )
    return replace(episode, streams=streams)


def check_cameras(source: EpisodeSource, layout: StoreLayout, out: Path) -> None:
    """Make sure that the cameras that were decided on earlier are still those of all recordings.

    Raises:
        OutputError: the source has gained or lost some since.
    """
    if had := _cameras(source):
        now, then = set(_all_cameras(source, had)), {camera.name for camera in layout.cameras}
        if now != then:
            before, after = (", ".join(sorted(names)) or "none" for names in (then, now))
            raise OutputError(
                f"{out} was begun when the recordings had the cameras {before}; now they have {after}; choose another "
                f"folder, or delete it and {out.name}.part"
            )


def left_out_cameras(source: EpisodeSource, layout: StoreLayout) -> list[Problem]:
    """Cameras that some recordings have, but the store has not, where nobody chose."""
    had, stored = _cameras(source), {camera.name for camera in layout.cameras}
    found = []
    for camera in dict.fromkeys(camera for cameras in had.values() for camera in cameras if camera not in stored):
        lacking = next(name for name, cameras in had.items() if camera not in cameras)
        found.append(Problem(f"camera {camera}", f"is not in the store, because {lacking} has no such camera"))
    return found


def _cameras(source: EpisodeSource) -> dict[str, list[str]]:
    """Cameras of every recording, as they are named in the store, where that can be told without reading it."""
    had = {}
    for name in source.names:
        try:
            found = source.cameras_of(name)
        except HandloomError:  # it is told when the recording is read
            continue
        if found is not None:
            had[name] = [source.common_names.get(camera, camera) for camera in found]
    return had


def _all_cameras(source: EpisodeSource, had: dict[str, list[str]]) -> tuple[str, ...]:
    """All that any recording has; of poses alone, to which cameras are an extra, those that all have."""
    fullest_first = sorted(had.values(), key=len, reverse=True)  # so that their order is that of a whole recording
    every = tuple(dict.fromkeys(camera for cameras in fullest_first for camera in cameras))
    if source.with_pictures:
        return every
    return tuple(camera for camera in every if all(camera in cameras for cameras in had.values()))


def _lacks(name: str, camera: str, had: dict[str, list[str]]) -> str:
    common = [item for item in had[name] if all(item in cameras for cameras in had.values())]
    other = next((f", which {other} has" for other, cameras in had.items() if camera in cameras), "")
    advice = f"choose those that all have with --cameras {' '.join(common)}" if common else "choose with --cameras"
    found = ", ".join(had[name]) or "none"
    return f"{name} has no camera {camera!r}{other} (it has {found}); finish the download, or {advice}"
