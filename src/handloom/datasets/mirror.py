"""Clips as in a mirror: what was the left hand is a right one, in the same scene the other way round."""

from dataclasses import replace

import numpy as np

from handloom.datasets.loader import Clip
from handloom.datasets.resize import pinhole


def mirrored(clip: Clip) -> Clip:
    """The clip with columns and hands exchanged; labels of actions stay, for they do not name a hand.

    Raises:
        InputError: the camera is no pinhole.
    """
    camera = pinhole(clip.camera, "of a clip")
    last = camera.width - 1
    return clip._replace(
        pictures=np.ascontiguousarray(clip.pictures[:, :, ::-1]),
        joints_m=clip.joints_m[:, ::-1] * np.array([-1, 1, 1], clip.joints_m.dtype),
        joints_valid=clip.joints_valid[:, ::-1],
        keypoints_px=np.array([last, 0], clip.keypoints_px.dtype)
        + clip.keypoints_px[:, ::-1] * np.array([-1, 1], clip.keypoints_px.dtype),
        visible=clip.visible[:, ::-1],
        camera=replace(camera, cx=last - camera.cx),
    )
