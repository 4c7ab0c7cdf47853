"""What an episode refuses, and how its pictures are found."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from handloom.errors import InputError, OutputError, RecordError
from handloom.formats.episode import EpisodeSource, PictureFiles, VideoSpan, is_rigid
from handloom.formats.pictures import pictures_of, write_pictures, write_videos
from handloom.geometry import Pinhole
from make_dataset import h2o_episode, stream

MADE = h2o_episode()
SEGMENT = MADE.segments[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_ids": np.array([0, 1, 2, 2, 4, 5, 6, 7])}, r"frame ids must increase, but 2 follows 2"),
        ({"split": "validation"}, r"split must be one of train, val, test or None, found 'validation'"),
        ({"frame_rate": Fraction(0)}, r"the frame rate must be positive"),
        ({"hands": replace(MADE.hands, frame="camera")}, r"hands must be in the world frame, found 'camera'"),
        ({"streams": (stream("cam0", 8), stream("cam0", 8))}, r"two cameras are called 'cam0'"),
        ({"streams": (stream("cam0", 7),)}, r"8 frames, but 7 of camera 'cam0'"),
        ({"segments": (replace(SEGMENT, end=9),)}, r"segment 'grab lotion' covers frames 0 ... 9 \(end exclusive\) of"),
        ({"segments": (replace(SEGMENT, start=3, end=3),)}, r"covers frames 3 ... 3"),
        ({"object_labels": np.full(8, 8)}, r"object labels must lie in -1 ... 7, found 8 ... 8"),
        ({"object_poses": np.ones((8, 8, 4, 4))}, r"object_poses\[0, 0\] is not a rigid transform"),
    ],
)
def test_fields_that_do_not_belong_together_are_refused(changes, message):
    with pytest.raises(RecordError, match=message):
        replace(MADE, **changes)


def test_a_stream_checks_its_own_fields():
    good = stream("cam0", 3, pictures=False)
    with pytest.raises(RecordError, match=r"camera 'cam0': 3 poses but 2 pictures"):
        replace(good, pictures=PictureFiles((None, None)))
    half = good.world_from_camera.copy()
    half[1, :3] = np.nan  # as the inverse of an unknown pose has it
    assert np.isnan(replace(good, world_from_camera=half).world_from_camera[1]).all()
    half[2, 0, 0] = np.nan
    with pytest.raises(RecordError, match=r"world_from_camera\[2\] is not a rigid transform"):
        replace(good, world_from_camera=half)
    with pytest.raises(ValueError, match="read-only"):
        good.world_from_camera[0] = 0


def test_rigid_transforms_are_told_from_others():
    mirrored, scaled, cut, unknown = np.eye(4), 2 * np.eye(4), np.eye(4), np.full((4, 4), np.nan)
    mirrored[0, 0] = -1
    cut[3, 3] = 0
    assert is_rigid(np.stack([np.eye(4), mirrored, scaled, cut, unknown])).tolist() == [True, *[False] * 4]


def test_streams_are_found_by_name():
    assert MADE.stream("cam4").name == "cam4"
    with pytest.raises(RecordError, match=r"has no camera 'cam3'; it has cam0, cam4"):
        MADE.stream("cam3")


class Numbers(EpisodeSource):
    names = ("good", "bad", "better")

    def read(self, name):
        if name == "bad":
            raise InputError("file 7, line 3: wrong")
        return replace(MADE, name=name)


def test_a_source_stops_at_what_is_bad_or_lists_it():
    assert len(Numbers(False)) == 3
    with pytest.raises(InputError, match="file 7, line 3: wrong"):
        list(Numbers(False))
    source = Numbers(True)
    assert [episode.name for episode in source] == ["good", "better"]
    assert [str(problem) for problem in source.problems] == ["bad: file 7, line 3: wrong"]


def test_pictures_of_files_videos_and_renderers_are_the_same(tmp_path):
    rendered = stream("cam0", 4)
    made = h2o_episode(T=4, segments=(), streams=(rendered,))
    write_pictures(made, lambda _, frame: tmp_path / f"{frame}.png")
    write_videos(made, {"cam0": tmp_path / "video.mp4"})
    paths = tuple(tmp_path / f"{frame}.png" for frame in (0, 1, 2, 3))
    files = replace(rendered, pictures=PictureFiles((*paths[:2], None, paths[3])))
    video = replace(rendered, pictures=VideoSpan(tmp_path / "video.mp4", np.array([2, -1, 0, 3])))
    exact = list(pictures_of(rendered))
    found = list(pictures_of(files))
    assert found[2] is None
    for frame in (0, 1, 3):
        np.testing.assert_array_equal(found[frame], exact[frame])
    found = list(pictures_of(video))
    assert found[1] is None
    for frame, source in ((0, 2), (2, 0), (3, 3)):
        assert abs(int(found[frame].mean()) - int(exact[source].mean())) <= 2
    assert list(pictures_of(replace(rendered, pictures=None))) == [None] * 4


def cut(share: float):
    return lambda data: data[: int(share * len(data))]


def flipped(place: int):
    return lambda data: data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [cut(0.002), cut(0.5), cut(0.99), lambda data: data[:-4], flipped(20), flipped(3000), flipped(36)],
)
def test_a_damaged_png_is_one_message_of_ours(tmp_path, capfd, damage):
    """Nothing that OpenCV or libpng write by themselves stands before it."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"a\.png: is not a picture that can be read; copy the file again"):
        list(pictures_of(replace(stream("cam0", 1), pictures=PictureFiles((path,)))))
    assert capfd.readouterr() == ("", "")


def test_files_of_one_kind_are_copied(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (72, 128, 3), np.uint8)
    original = tmp_path / "original.jpg"
    cv2.imwrite(str(original), colours)
    one = replace(stream("cam0", 3), pictures=PictureFiles((original, None, None)))
    made = h2o_episode(T=3, segments=(), streams=(one,))
    write_pictures(made, lambda _, frame: tmp_path / f"copy{frame}.jpg")
    assert not (tmp_path / "copy1.jpg").exists()
    assert (tmp_path / "copy0.jpg").read_bytes() == original.read_bytes()


def test_pictures_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "0.png").write_bytes(b"no picture")
    broken = replace(stream("cam0", 1), pictures=PictureFiles((tmp_path / "0.png",)))
    with pytest.raises(InputError, match=r"0.png: is not a picture that can be read"):
        list(pictures_of(broken))
    lost = replace(stream("cam0", 1), pictures=PictureFiles((tmp_path / "1.png",)))
    with pytest.raises(InputError, match=r"1.png: cannot be read"):
        list(pictures_of(lost))
    made = replace(h2o_episode(segments=()), streams=(replace(MADE.streams[0], camera=Pinhole(64, 64, 9, 9, 5, 5)),))
    with pytest.raises(OutputError, match=r"a picture has shape \(72, 128, 3\) .* its camera asks for \(64, 64, 3\)"):
        write_pictures(made, lambda _, frame: tmp_path / "2.png")
    gaps = PictureFiles((None,) * 8)
    with pytest.raises(OutputError, match=r"camera 'cam0' has no picture of frame 0; a video needs all of them"):
        write_videos(replace(made, streams=(replace(MADE.streams[0], pictures=gaps),)), {"cam0": tmp_path / "v.mp4"})
    assert not (tmp_path / "v.mp4").exists()
