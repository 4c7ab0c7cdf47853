"""Clips as in a mirror."""

from dataclasses import replace

import numpy as np

from handloom.datasets.clips import ClipPlace
from handloom.datasets.loader import ClipDataset
from handloom.datasets.mirror import mirrored
from handloom.datasets.prepare import prepare_episodes
from made_up_store import MadeUp


def test_a_mirror_swaps_hands_and_keeps_the_geometry(tmp_path):
    prepare_episodes(MadeUp(), tmp_path / "s", (64, 36))
    place = ClipPlace(0, np.arange(4), np.ones(4, bool))
    clip = ClipDataset(tmp_path / "s", "front", [place])[0]
    clip = clip._replace(camera=replace(clip.camera, cx=clip.camera.cx + 3))
    turned = mirrored(clip)
    assert turned.pictures[0, 5, 0].tolist() == clip.pictures[0, 5, -1].tolist()
    np.testing.assert_array_equal(turned.joints_m[:, 0, :, 2], clip.joints_m[:, 1, :, 2])
    np.testing.assert_array_equal(turned.joints_valid[:, 0], clip.joints_valid[:, 1])
    valid = turned.joints_valid & (turned.joints_m[..., 2] > 0)
    assert valid.any()
    projected = turned.camera.project(turned.joints_m[valid].astype(float))[0]
    of_the_clip = mirrored(clip._replace(keypoints_px=clip.camera.project(clip.joints_m.astype(float))[0]))
    np.testing.assert_allclose(projected, of_the_clip.keypoints_px[valid], atol=1e-4)
    again = mirrored(turned)
    for name in ("pictures", "joints_m", "joints_valid", "visible"):
        np.testing.assert_array_equal(getattr(again, name), getattr(clip, name))
    np.testing.assert_allclose(again.keypoints_px, clip.keypoints_px, atol=1e-4)
    assert again.camera == clip.camera
