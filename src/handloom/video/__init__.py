"""Frames in, frames out, with exact times: files, images, webcams and streams through one interface."""

from handloom.video.digest import file_digest
from handloom.video.frames import Frame, FrameProblem, FrameSource, Recording, VideoInfo
from handloom.video.handoff import prefetch
from handloom.video.live import LiveSource
from handloom.video.lookup import FrameLookup
from handloom.video.open import open_source
from handloom.video.writer import VideoWriter

__all__ = [
    "Frame",
    "FrameLookup",
    "FrameProblem",
    "FrameSource",
    "LiveSource",
    "Recording",
    "VideoInfo",
    "VideoWriter",
    "file_digest",
    "open_source",
    "prefetch",
]
