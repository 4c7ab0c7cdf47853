"""Folders, patterns and single images."""

import numpy as np
import pytest

import make_video as make
from handloom.errors import InputError
from handloom.video import open_source


def folder_of(tmp_path, count=12):
    for k in range(count):
        make.image(tmp_path / f"view{k}.png", make.picture(k))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "*.png", "view?*.png"])
def test_images_come_in_natural_order_with_exact_times_and_values(tmp_path, pattern):
    source = open_source(str(folder_of(tmp_path) / pattern), image_rate=29.97)
    frames = list(source)
    assert [f.index for f in frames] == [make.number_of(f.image) for f in frames] == list(range(12))
    assert [f.time_s for f in frames] == [k * 100 / 2997 for k in range(12)] == source.info.times_s.tolist()
    np.testing.assert_array_equal(frames[7].image, make.picture(7))
    assert frames[7].image.flags.c_contiguous
    assert (source.info.frame_count, source.info.width, source.info.height) == (12, 160, 96)
    assert source.info.frame_rate == pytest.approx(29.97)
    assert not source.problems


def test_an_unreadable_image_is_located_and_skipped(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "view0.png").write_bytes(b"")
    whole = (tmp_path / "view5.png").read_bytes()
    (tmp_path / "view5.png").write_bytes(whole[: len(whole) // 2])
    source = open_source(tmp_path)
    for _ in range(2):
        assert [f.index for f in source] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert [(p.index, p.time_s) for p in source.problems] == [(0, 0.0), (5, 5 / 30)]
        assert "view0.png" in source.problems[0].reason
        assert "view5.png" in source.problems[1].reason


def test_images_of_two_sizes_are_both_named(tmp_path):
    folder_of(tmp_path, 3)
    make.image(tmp_path / "view2.png", make.picture(2, 80, 64))
    with pytest.raises(InputError, match=r"view2\.png is 80x64, but .*view0\.png is 160x96"):
        list(open_source(tmp_path))


def test_grey_deep_and_transparent_images(tmp_path):
    grey = np.tile(np.arange(160, dtype=np.uint8), (96, 1))
    rgb = make.picture(5)
    alpha = np.dstack([rgb, np.full((96, 160), 128, np.uint8)])
    cases = {
        "grey.png": (grey, "gray", np.dstack([grey] * 3)),
        "deep_grey.png": (grey.astype(np.uint16) * 257, "gray16be", np.dstack([grey] * 3)),
        "deep.png": (rgb.astype(np.uint16) * 257, "rgb48be", rgb),
        "alpha.png": (alpha, "rgba", rgb),
    }
    for name, (array, pixel_format, expected) in cases.items():
        source = open_source(make.image(tmp_path / name, array, pixel_format=pixel_format))
        (frame,) = source
        assert source.info.pixel_format == pixel_format
        np.testing.assert_allclose(frame.image.astype(int), expected, atol=1, err_msg=name)


def test_exif_orientation_agrees_with_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = make.image(tmp_path / "a.jpg", make.picture(3), codec="mjpeg", pixel_format="yuvj444p")
    plain = path.read_bytes()
    for orientation in (1, 3, 6, 8):
        tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0\0\0\0"
        block = b"Exif\0\0" + tiff
        path.write_bytes(plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:])
        theirs = cv2.imread(str(path))[:, :, ::-1]
        (ours,) = open_source(path)
        assert ours.image.shape == theirs.shape, orientation
        np.testing.assert_allclose(make.quadrants(ours.image), make.quadrants(theirs), atol=4)


@pytest.mark.parametrize("name", ["%03d.png", "a:b.png", "photo [1].png"])
def test_one_image_with_a_strange_name(tmp_path, name):
    (frame,) = open_source(make.image(tmp_path / name, make.picture(9)), mirrored=True)
    np.testing.assert_array_equal(frame.image, make.picture(9)[:, ::-1])


def test_clear_errors(tmp_path):
    with pytest.raises(InputError, match="the folder holds 0 files, none of which is an image"):
        open_source(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="the pattern matches 1 files, none of which is an image"):
        open_source(str(tmp_path / "*.txt"))
    with pytest.raises(InputError, match=r"\*\.png: no file matches this pattern"):
        open_source(str(tmp_path / "*.png"))
    (tmp_path / "a.png").write_text("x" * 100)
    with pytest.raises(InputError, match=r"a\.png: is not a picture that can be read"):
        open_source(tmp_path)
    make.image(tmp_path / "a.png", make.picture(0))
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="image rate must be a positive number"):
            open_source(tmp_path, image_rate=rate)
