"""Clips out of a store: the right pictures with the right numbers, in any order, in workers."""

import pickle
import shutil

import numpy as np
import pytest

from handloom.benchmarks.load import measure_load
from handloom.datasets.clips import ClipPlace, htt_clips, prediction_clips
from handloom.datasets.loader import ClipDataset, read_frames, stack
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.geometry import apply_rigid, invert_rigid
from handloom.video.file import VideoFile
from made_up_store import FRONT, MadeUp, picture


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    prepare_episodes(MadeUp(), out, (64, 36))
    return out


def test_clips_hold_pictures_and_numbers_of_their_frames(root):
    places = htt_clips(Store(root), "train", training=False)
    # Two recordings, two segments each, both parities.
    assert [place.recording for place in places] == [0] * 4 + [1] * 4
    assert [int(place.frames[0]) for place in places] == [2, 3, 18, 19, 2, 3, 10, 11]
    clips = ClipDataset(root, "front", places)
    for number in (0, 7, 2):
        clip, made = clips[number], MadeUp().read(MadeUp().names[places[number].recording])
        frames = places[number].frames
        expected = np.stack([picture(places[number].recording, frame, FRONT) for frame in frames])
        assert np.abs(clip.pictures.astype(int) - expected).mean((1, 2, 3)).max() < 3
        seen = made.hands.valid[frames]
        np.testing.assert_array_equal(clip.joints_valid, seen)
        np.testing.assert_allclose(clip.joints_m[seen], made.hands.joints_m[frames][seen], atol=1e-6)
        assert (clip.joints_m[~seen] == 0).all()
        pixels, _ = clip.camera.project(clip.joints_m[seen].astype(float))
        np.testing.assert_allclose(clip.keypoints_px[seen], pixels, atol=1e-3)
        assert clip.pictured.all()
        assert clip.action[0] == number // 2 % 2
    batch = stack([clips[0], clips[5]])
    assert batch.pictures.shape == (2, 128, 36, 64, 3)
    assert batch.pictures.dtype == np.uint8
    assert batch.recordings == (0, 1)
    assert batch.valid.sum(1).tolist() == [9, 5]


def test_joints_are_in_the_frame_of_a_moving_camera(root):
    place = ClipPlace(0, np.array([30, 5, 5]), np.ones(3, bool))
    clip, made = ClipDataset(root, "head", [place])[0], MadeUp().read("subject1/take/0")
    camera_from_world = invert_rigid(made.stream("head").world_from_camera[place.frames])
    expected = apply_rigid(camera_from_world[:, None], made.hands.joints_m[place.frames].astype(float))
    np.testing.assert_allclose(clip.joints_m, expected, atol=1e-6)
    np.testing.assert_array_equal(clip.pictures[1], clip.pictures[2])
    assert np.abs(clip.pictures[0].astype(int) - clip.pictures[1]).mean() > 10


def test_prediction_clips_stay_inside_their_segments(root):
    store = Store(root)
    places = prediction_clips(store, "test", min_window_s=0.5)
    # Segments 2 ... 14 (13 frames) and 13 ... 29 (17 frames) of the last recording; half a second is 15 frames.
    assert [(place.recording, int(place.frames[0]), int(place.valid.sum())) for place in places] == [(2, 13, 17)]
    with pytest.raises(InputError, match="no recordings of split 'val'; it has test, train"):
        htt_clips(store, "val", training=True)


def test_a_dataset_travels_to_workers(root):
    clips = ClipDataset(root, "front", htt_clips(Store(root), "test", training=True))
    copy = pickle.loads(pickle.dumps(clips))
    assert len(copy) == len(clips)
    np.testing.assert_array_equal(copy[3].pictures, clips[3].pictures)


def test_faults_are_located(root, tmp_path):
    with pytest.raises(InputError, match="no pictures of camera 'side'; it has front, head"):
        ClipDataset(root, "side", [])
    copy = tmp_path / "s"
    shutil.copytree(root, copy)
    video = copy / "videos/observation.images.front/chunk-000/file-001.mp4"
    video.write_bytes((copy / "videos/observation.images.front/chunk-000/file-000.mp4").read_bytes())
    with pytest.raises(InputError, match=r"file-001.mp4, frame 77: the video has 40 frames"):
        read_frames(VideoFile(video), np.array([3, 77]))
    video.unlink()
    with pytest.raises(InputError, match=r"file-001.mp4 is missing"):
        ClipDataset(copy, "front", [ClipPlace(1, np.arange(4), np.ones(4, bool))])[0]
    one = ClipDataset(root, "front", [ClipPlace(0, np.arange(n), np.ones(n, bool)) for n in (3, 4)])
    with pytest.raises(InputError, match="one length and size"):
        stack([one[0], one[1]])


def test_the_benchmark_measures_speeds_and_size():
    title, rows = measure_load(repetitions=1)
    assert title == "made-up noisy pictures, camera made_up: 512 frames of 480 x 270 px, best of 1"
    values = {name: value.split() for name, value in rows}
    assert list(values) == [
        "clips from the store",
        "one PNG per frame",
        "HTT's augmentation",
        "store, share of numbers",
        "PNG",
    ]
    # How fast depends on the machine; how large does not.
    assert all(float(value[0]) > 0 for value in values.values())
    assert float(values["clips from the store"][-3]) > 0
    assert float(values["store, share of numbers"][2].removeprefix("1/")) >= 20
