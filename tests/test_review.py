import json
import threading
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

from browser import needs_browser, wait_for
from handloom.annotate import detect as detecting
from handloom.annotate.annotate import annotate, reports_of, write_labels
from handloom.annotate.pool import local_engine
from handloom.annotate.review_server import Reviews, review_server
from handloom.datasets.store import Store
from made_up_capture import hands, make_capture, ring


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A served review of a capture in which one camera is wrong by a joint of one frame."""
    world = hands(20)
    scene = make_capture(tmp_path / "take", world, ring(2), noise_px=0.1)
    wrong = scene.seen[1, 7][0]
    true_px = wrong.keypoints_px[8].copy()
    moved = wrong.keypoints_px.copy()
    moved[8] += [0, 30]
    scene.seen[1, 7][0] = replace(wrong, keypoints_px=moved)
    scene.seen[1, 12] = [replace(hand, score=0.2) for hand in scene.seen[1, 12]]
    monkeypatch.setattr(detecting, "MediaPipeDetector", scene.detector)
    done = annotate(tmp_path / "take", tmp_path / "store", engine=local_engine(1))

    def store() -> str:
        return str(write_labels(done.run, reports_of(done.run), tmp_path / "store").store)

    server = review_server(Reviews(done.run, ("take",), store), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "store", world, true_px
    server.shutdown()
    server.server_close()


def ask(address, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def test_worst_frames_come_first_and_a_corrected_joint_reaches_the_store(served):
    address, out, world, true_px = served
    queue = ask(address, "/queue?recording=take")
    assert queue["frames"][0] == 12
    assert queue["frames"][1] == 7
    shown = ask(address, "/frame?recording=take&frame=7")
    assert not shown["views"][1]["used"][0][8]
    assert shown["joints"][0][8][0] is None
    body = {"recording": "take", "frame": 7, "positions": {"cam1": {"left": {"8": true_px.tolist()}}}}
    before = Store(out).episode(0)
    assert before.evidence.views[7, 0, 8] == 0
    body["positions"]["cam0"] = {"left": {"8": shown["views"][0]["keypoints"][0][8]}}
    solved = ask(address, "/solve", body)
    np.testing.assert_allclose(solved["joints"][0][8], world[7, 0, 8], atol=2e-3)
    assert ask(address, "/frame?recording=take&frame=7")["joints"][0][8][0] is None
    ask(address, "/save", body)
    assert ask(address, "/queue?recording=take")["frames"][-1] == 7
    ask(address, "/store", {})
    after = Store(out).episode(0)
    assert after.hands.confidence[7, 0, 8] == 1
    assert after.evidence.views[7, 0, 8] == 2
    np.testing.assert_allclose(after.hands.joints_m[7, 0, 8], world[7, 0, 8], atol=2e-3)
    others = np.ones((20, 2, 21), bool)
    others[7, 0, 8] = False
    np.testing.assert_array_equal(after.hands.joints_m[others], before.hands.joints_m[others])
    for wrong in ({"cam9": {}}, {"cam1": {"left": {"21": [1, 1]}}}, {"cam1": {"left": {"8": [1]}}}):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(address, "/save", body | {"positions": wrong})


@needs_browser
def test_a_person_drags_a_joint_and_saves(served, browser):
    address, out, _, true_px = served
    browser.open(address, 1280, 900)
    wait_for(lambda: browser.js("document.body.dataset.ready") == "yes")
    browser.js("step(1)")
    wait_for(lambda: browser.js("document.body.dataset.frame") == "7")
    box = browser.js(
        "(() => { const r = drawn[1].canvas.getBoundingClientRect(); return [r.left, r.top, r.width / 320]; })()"
    )
    left, top, scale = box

    def on_page(x, y):
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    browser.mouse("mousePressed", *on_page(true_px[0], true_px[1] + 30), button="left", buttons=1, clickCount=1)
    for step in (20, 10, 0):
        browser.mouse("mouseMoved", *on_page(true_px[0], true_px[1] + step), button="left", buttons=1)
    browser.mouse("mouseReleased", *on_page(*true_px), button="left", clickCount=1)
    moved = wait_for(lambda: browser.js("positions.cam1 && positions.cam1.left && positions.cam1.left[8]"))
    np.testing.assert_allclose(moved, true_px, atol=1.0)
    browser.js("save()")
    wait_for(lambda: browser.js("document.body.dataset.saved") == "7")
    browser.js("document.getElementById('store').click()")
    wait_for(lambda: browser.js("document.body.dataset.stored") == "yes")
    assert browser.errors() == []
    assert all(url.startswith(address) for url in browser.requests())
    saved = json.loads((out.with_name("store.stages") / "take" / "review.json").read_text())
    np.testing.assert_allclose(saved["frames"]["7"]["cam1"]["left"]["8"], true_px, atol=1.0)
    picture = browser.call("Page.captureScreenshot")["data"]
    (out.parent / "review.png").write_bytes(__import__("base64").b64decode(picture))
