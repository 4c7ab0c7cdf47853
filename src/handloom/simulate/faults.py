"""Faults of real captures, planted into a recording: its labels go wrong, and frames go missing."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Int

from handloom.errors import InputError
from handloom.formats.episode import Episode, LabelledSegment, PictureFiles, Pictures, RenderedPictures, VideoSpan
from handloom.hands import HandTrack
from handloom.simulate.sensor import kept_frames, late, missing, noisy, swapped

_RANGES = {
    "label_noise_mm": (0.0, 1000.0),
    "dropped_frames": (0.0, 0.9),
    "time_offset_s": (-60.0, 60.0),
    "swapped_hands": (0.0, 1.0),
    "missing_hands": (0.0, 1.0),
}


@dataclass(frozen=True)
class Faults:
    """What goes wrong in every recording; nothing by default.

    Attributes:
        label_noise_mm: standard deviation of a normal error on every coordinate of every labelled joint.
        dropped_frames: share of the frames that are lost, in bursts of 3, with labels and all cameras' pictures.
        time_offset_s: what the labels lag behind the pictures: a picture taken at t is labelled with where the hands
            were at t - time_offset_s, which is between two frames as a rule. Where the labels would begin before or
            end after the recording, hands are missing.
        swapped_hands: share of the frames whose labels exchange left and right, in bursts of 10.
        missing_hands: share of the frames in which a hand has no label, in bursts of 10, each hand by itself.

    Raises:
        InputError: a value out of range.
    """

    label_noise_mm: float = 0.0
    dropped_frames: float = 0.0
    time_offset_s: float = 0.0
    swapped_hands: float = 0.0
    missing_hands: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), _RANGES[field.name]
            if not low <= value <= high:
                raise InputError(f"{field.name} must lie between {low:g} and {high:g}, found {value:g}")

    def planted(self, episode: Episode, seed: int, gaps: bool) -> Episode:
        """The recording as a capture with these faults stores it; its actions, objects and cameras stay right.

        Args:
            episode: as it truly was.
            seed: of this recording's faults.
            gaps: dropped frames leave gaps in numbers and times; otherwise the frames that are left are numbered
                and timed as if none were lost, as the official layouts have them, whose videos cannot have gaps.

        Raises:
            InputError: all frames would be dropped.
        """
        if self == Faults():
            return episode
        hands = episode.hands
        streams = tuple(
            # What a camera sees of a hand is told of the label, wherever that went.
            stream
            if stream.visible is None
            else replace(stream, visible=self._labelled(replace(hands, valid=hands.valid & stream.visible), seed).valid)
            for stream in episode.streams
        )
        faulty = replace(episode, hands=self._labelled(hands, seed), streams=streams)
        kept = kept_frames(len(episode), self.dropped_frames, seed)
        if len(kept) == 0:
            raise InputError(
                f"{episode.name}: dropped_frames {self.dropped_frames:g} leaves none of its {len(episode)} frames; "
                "drop fewer, or make recordings longer"
            )
        return _only(faulty, kept, gaps)

    def _labelled(self, hands: HandTrack, seed: int) -> HandTrack:
        hands = _sampled(late(hands, self.time_offset_s), hands.times_s) if self.time_offset_s else hands
        hands = noisy(hands, self.label_noise_mm / 1000, seed)
        hands = swapped(hands, self.swapped_hands, seed)
        return missing(hands, self.missing_hands, seed)


def thinned(episode: Episode, every: int) -> Episode:
    """Every so many-th frame of a recording, the first one to begin with, at the rate that is left."""
    kept = _only(episode, np.arange(0, len(episode), every), gaps=True)
    return replace(kept, frame_rate=episode.frame_rate / every)


def _sampled(track: HandTrack, times_s: np.ndarray) -> HandTrack:
    """World-frame hands at other times, between frames on a straight line; missing beyond the first and last."""
    position = np.interp(times_s, track.times_s, np.arange(len(track)), left=np.nan, right=np.nan)
    inside = np.isfinite(position)
    before = np.floor(np.where(inside, position, 0)).astype(np.int64)
    after = np.ceil(np.where(inside, position, 0)).astype(np.int64)
    share = np.where(inside, position - before, 0)[:, None, None]
    return replace(
        track,
        times_s=times_s,
        joints_m=(1 - share[..., None]) * track.joints_m[before] + share[..., None] * track.joints_m[after],
        valid=track.valid[before] & track.valid[after] & inside[:, None, None],
        confidence=(1 - share) * track.confidence[before] + share * track.confidence[after],
    )


def _only(episode: Episode, kept: Int[np.ndarray, "n"], gaps: bool) -> Episode:
    """The recording without the frames that are not kept, and without actions that are wholly lost."""
    if len(kept) == len(episode):
        return episode
    hands, stamped = episode.hands, kept if gaps else np.arange(len(kept))
    return replace(
        episode,
        frame_ids=episode.frame_ids[stamped],
        hands=replace(
            hands,
            times_s=hands.times_s[stamped],
            joints_m=hands.joints_m[kept],
            valid=hands.valid[kept],
            confidence=hands.confidence[kept],
            keypoints_px=hands.keypoints_px[kept],
        ),
        streams=tuple(
            replace(
                stream,
                world_from_camera=stream.world_from_camera[kept],
                pictures=_pictures(stream.pictures, kept),
                visible=None if stream.visible is None else stream.visible[kept],
            )
            for stream in episode.streams
        ),
        segments=_segments(episode.segments, kept),
        object_poses=None if episode.object_poses is None else episode.object_poses[kept],
        object_labels=None if episode.object_labels is None else episode.object_labels[kept],
    )


def _pictures(pictures: Pictures | None, kept: Int[np.ndarray, "n"]) -> Pictures | None:
    match pictures:
        case PictureFiles(paths):
            return PictureFiles(tuple(paths[frame] for frame in kept.tolist()))
        case VideoSpan(path, frames):
            return VideoSpan(path, frames[kept])
        case RenderedPictures(picture):
            return RenderedPictures(lambda frame: picture(int(kept[frame])))
    return None


def _segments(segments: tuple[LabelledSegment, ...], kept: Int[np.ndarray, "n"]) -> tuple[LabelledSegment, ...]:
    moved = (
        replace(item, start=int(np.searchsorted(kept, item.start)), end=int(np.searchsorted(kept, item.end)))
        for item in segments
    )
    return tuple(item for item in moved if item.start < item.end)
