"""The 3D viewer: serves, draws true geometry, and answers to a person's clicks in a real browser."""

import socket
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

from browser import SOFTWARE_GL, Browser, needs_browser, wait_for
from handloom.errors import InputError
from handloom.futures import Futures
from handloom.geometry import rotation_from_vector
from handloom.skeleton import BONES
from handloom.view.stage import directions
from handloom.view.viewer import serve
from make_labels import make_found, make_truth
from make_track import CAMERA, make_track

TRACK = make_track(60)


@pytest.fixture
def viewer():
    """Starts viewers on free ports, and stops them."""
    servers = []

    def start(track=TRACK, frames=None, truth=None, futures=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        servers.append(serve(track, frames, truth=truth, futures=futures, port=port, block=False))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def node(server, name):
    return server.scene.get_handle_by_name(name)


def turned(wxyz, vector):
    """`vector` turned by the unit quaternions (N, 4)."""
    w, q = wxyz[:, :1], wxyz[:, 1:]
    return vector + 2 * w * np.cross(q, vector) + 2 * np.cross(q, np.cross(q, vector))


def test_it_answers_over_http(viewer):
    server = viewer()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.get_port()}", timeout=10) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read().lower()


def test_bones_end_at_their_joints_and_missing_ones_vanish(viewer):
    server = viewer()  # opens at the first frame with a hand: only the left one is there
    joints, bones = node(server, "/left/joints"), node(server, "/left/bones")
    np.testing.assert_allclose(joints.batched_positions, TRACK.joints_m[0, 0])
    tips = bones.batched_positions + bones.batched_scales[:, 2:] * turned(bones.batched_wxyzs, np.array([0.0, 0, 1]))
    np.testing.assert_allclose(tips, TRACK.joints_m[0, 0][[child for _, child in BONES]], atol=1e-6)
    assert (node(server, "/right/joints").batched_scales == 0).all()
    assert (node(server, "/right/bones").batched_scales == 0).all()
    assert not node(server, "/right/label").visible


def test_the_camera_has_its_true_field_of_view_and_the_image_stands_where_it_says(viewer):
    camera = replace(CAMERA, width=1280, height=720, fx=700.0, fy=600.0)
    frustum = node(viewer(replace(TRACK, camera=camera), lambda i: np.zeros((72, 128, 3), np.uint8)), "/camera")
    assert np.tan(frustum.fov / 2) == pytest.approx(360 / 600)
    assert np.tan(frustum.fov / 2) * frustum.aspect == pytest.approx(640 / 700)
    x, y = 640 / 700, 360 / 600
    assert frustum.scale / np.cbrt(x * y / 3) == pytest.approx(
        round(1.15 * float(np.percentile(TRACK.joints_m[TRACK.valid][:, 2], 98)), 2)
    )


def test_the_frame_shown_is_the_frame_of_the_pose(viewer):
    asked = []

    def frames(index):
        asked.append(index)
        return np.full((36, 36, 3), index, np.uint8)

    late = replace(TRACK, valid=TRACK.valid & (np.arange(60) >= 33)[:, None, None])
    server = viewer(late, frames)
    assert asked[-1] == 33
    assert (node(server, "/camera").image == 33).all()


def test_a_moving_camera_is_placed_in_the_world(viewer):
    poses = np.tile(np.eye(4), (60, 1, 1))
    poses[:, :3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    poses[:, :3, 3] = [1, 2, 3]
    frustum = node(viewer(replace(TRACK, frame="world", world_from_camera=poses)), "/camera")
    np.testing.assert_allclose(frustum.position, [1, 2, 3])
    np.testing.assert_allclose(turned(np.array([frustum.wxyz]), np.array([0.0, 0, 1])), [[1, 0, 0]], atol=1e-9)
    unknown = node(viewer(replace(TRACK, frame="world", world_from_camera=poses * np.nan)), "/camera")
    assert not unknown.visible


def test_futures_hang_on_the_last_frame_and_the_ground_lies_below_all(viewer):
    last = TRACK.joints_m[-1].astype(np.float64)
    assert TRACK.valid[-1, 1].all()
    steps = np.arange(1, 6)[:, None, None, None] * np.array([0, 0.05, 0])
    samples = np.stack([last + steps, last + 1.2 * steps])
    valid = np.stack([np.zeros(21, bool), np.ones(21, bool)])
    futures = Futures(TRACK.times_s[-1] + np.arange(1, 6) / 30, samples, valid, "camera", "a")
    server = viewer(futures=futures)
    np.testing.assert_allclose(node(server, "/right/joints").batched_positions, TRACK.joints_m[-1, 1])
    paths = node(server, "/futures/right/8").points
    assert paths.shape == (2 * 4, 2, 3)
    np.testing.assert_allclose(paths[3, 1], samples[0, -1, 1, 8], atol=1e-6)
    assert node(server, "/futures/left/8") is None
    drawn = node(server, "/futures/right/mean").points
    np.testing.assert_allclose(drawn[:, 1], samples[0, -1, 1, [child for _, child in BONES]], atol=1e-6)
    assert node(server, "/grid").position[1] == pytest.approx(samples[:, :, 1, :, 1].max() + 0.05, abs=1e-5)


@pytest.mark.parametrize("down_deg", [-15.0, 0.0, 30.0, 65.0])
def test_the_ground_of_a_world_is_level_for_its_cameras(down_deg):
    poses = np.tile(np.eye(4), (60, 1, 1))
    poses[:, :3, :3] = rotation_from_vector(np.radians([-down_deg, 0, 0])) @ np.array(
        [[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]
    )
    world = replace(TRACK, frame="world", world_from_camera=poses)
    up, ahead = directions(world)
    np.testing.assert_array_equal(up, [0, 0, 1])
    np.testing.assert_array_equal(ahead, [0, 1, 0])
    for track in (TRACK, replace(world, world_from_camera=None), replace(world, world_from_camera=poses * np.nan)):
        np.testing.assert_array_equal(directions(track), [[0, -1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    "track",
    [TRACK[:1], replace(TRACK, valid=TRACK.valid & False), replace(TRACK, camera=None, frame="world")],
    ids=["one frame", "no hand", "no camera"],
)
def test_little_data_still_shows(viewer, track):
    viewer(track, lambda index: None)


def test_what_cannot_be_served_is_refused():
    with pytest.raises(InputError, match="no frames to show"):
        serve(TRACK[:0], None, block=False)
    with pytest.raises(InputError, match=r"port must be 1 \.\.\. 65535, found 70000"):
        serve(TRACK, None, port=70000, block=False)
    with pytest.raises(InputError, match=r"cannot serve on nohost.invalid, port 8080: .*; choose another --host"):
        serve(TRACK, None, host="nohost.invalid", block=False)


CLICK = "[...document.querySelectorAll('button')].find((b) => b.textContent.trim() === '{}').click()"
CLOCK = "[...document.querySelectorAll('input')].map((i) => i.value).find((v) => v.includes(' s · ')) || ''"

# The boxes of the scene have a UUID as id; those of viser's own settings have not.
LEFT_BOX = "[...document.querySelectorAll('input[type=checkbox]')].find((b) => /^\\w{8}-/.test(b.id)).click()"


@needs_browser
def test_a_person_steps_and_plays_in_the_browser(viewer):
    server = viewer(TRACK, lambda index: np.full((90, 90, 3), 4 * index, np.uint8))
    browser = Browser(*SOFTWARE_GL)
    try:
        home = f"http://127.0.0.1:{server.get_port()}"
        browser.open(home, 640, 480)
        assert wait_for(lambda: browser.js(CLOCK) == "0.000 s · left")
        browser.js(CLICK.format("+10"))
        assert wait_for(lambda: browser.js(CLOCK) == "0.333 s · left + right")
        wait_for(lambda: (node(server, "/camera").image == 40).all())
        browser.js(CLICK.format("−1"))
        assert wait_for(lambda: browser.js(CLOCK).startswith("0.300 s"))
        browser.js(CLICK.format("Play"))
        assert wait_for(lambda: float(browser.js(CLOCK).split()[0]) > 0.5)
        browser.js(CLICK.format("Pause"))
        assert wait_for(lambda: "Play" in browser.js("document.body.innerText"))
        browser.js(LEFT_BOX)
        assert wait_for(lambda: not node(server, "/left").visible)
        assert browser.errors() == []
        assert all(url.startswith((home, "blob:", "ws://127.0.0.1")) for url in browser.requests())
    finally:
        browser.close()


def test_the_truth_stands_beside_in_grey_and_labels_are_said(viewer):
    truth, found = make_truth(60), make_found(60)
    server = viewer(found, truth=truth)
    for record, root in ((found, ""), (truth, "/truth")):
        np.testing.assert_allclose(node(server, f"{root}/right/joints").batched_positions, record.joints_m[0, 1])
    assert len(np.unique(node(server, "/truth/left/joints").batched_colors, axis=0)) == 1
    assert not node(server, "/truth/left/label").visible
    assert said(server) == {
        "Action": "take milk · 0.90",
        "True action": "take milk · 1.00",
        "Object": "milk · 0.70",
        "True object": "milk · 1.00",
    }
    move(server, 50)
    assert said(server) == {
        "Action": "pour & spill · 0.80",
        "True action": "pour & spill · 1.00",
        "Object": "–",
        "True object": "–",
    }


def test_without_labels_nothing_is_said_of_them(viewer):
    assert said(viewer()) == {}


def test_a_truth_of_other_frames_is_refused():
    with pytest.raises(InputError, match="the truth has 5 frames in camera space, the record 60 in camera space"):
        serve(TRACK, None, truth=TRACK[:5], block=False)


def boxes(server):
    return {handle.label: handle for handle in server.gui._gui_input_handle_from_uuid.values() if handle.label}


def said(server):
    return {name: box.value for name, box in boxes(server).items() if name.endswith(("ction", "bject"))}


def move(server, index):
    boxes(server)["Frame"].value = index
