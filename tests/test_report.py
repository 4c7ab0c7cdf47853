"""The report page: whole and offline, true to the record, safe for any name; looked at in a real browser."""

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from browser import needs_browser, wait_for
from handloom.errors import InputError, OutputError
from handloom.hands import ActionSegment, CameraSource, HandTrack, ScaleSource
from handloom.view.report import write_report
from handloom.view.report_data import MAX_POINTS, MAX_POSES, extremes
from make_labels import make_found, make_truth
from make_track import make_track

RUN = {
    "handloom": "0.1.0",
    "python": "3.11.7",
    "arguments": {"out": "result", "camera": None},
    "input": {
        "path": "/videos/kitchen.mp4",
        "width": 720,
        "height": 720,
        "frame_rate": 30.0,
        "codec": "h264",
    },
    "estimator": "mediapipe 0.10.14",
    "camera": {"source": "guessed", "model": "Pinhole", "fx": 620.0, "note": "60 degrees across assumed"},
    "scale": {"source": "tracker's own scale", "hand_size_mm": None, "note": "found 88 mm"},
    "counts": {"frames": 120, "skipped": 0, "dropped": 0},
    "problems": [],
    "partial": False,
    "timings_s": {"decode": 1.0, "detect": 3.0},
}


def page(tmp_path, track, run=RUN, samples=(), truth=None):
    write_report(tmp_path / "report.html", track, run, samples, truth)
    return (tmp_path / "report.html").read_text("utf-8")


def data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


def warnings(text):
    found = re.search(r'<ul class="warnings".*?</ul>', text, re.S)
    return found.group(0) if found else ""


def unpack(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def nobody(frames):
    empty = np.zeros((frames, 2, 21))
    return HandTrack(
        np.arange(frames) / 30, np.zeros((frames, 2, 21, 3)), empty > 0, empty, np.zeros((frames, 2, 21, 2))
    )


def test_the_page_holds_the_poses_of_the_record(tmp_path):
    track = make_track()
    found = data(page(tmp_path, track))
    poses = found["scene"]["poses"]
    packed = unpack(poses["joints"], "<i2").reshape(-1, 2, 21, 3)
    np.testing.assert_array_equal(packed[..., 0] == -32768, ~track.valid)
    metres = packed * poses["unit_m"] + np.array(poses["centre_m"])
    np.testing.assert_allclose(metres[track.valid], track.joints_m[track.valid], atol=poses["unit_m"])
    assert poses["unit_m"] < 1e-4
    np.testing.assert_allclose(unpack(found["poses"]["t"], "<f4"), track.times_s, atol=1e-6)


def test_the_page_begins_where_a_hand_is_seen(tmp_path):
    track = make_track(gaps=False)
    late = replace(track, valid=track.valid & (np.arange(120) >= 40)[:, None, None])
    assert data(page(tmp_path, late))["first_s"] == pytest.approx(40 / 30)
    assert data(page(tmp_path, nobody(3)))["first_s"] == 0


def test_headline_numbers_and_trust_are_stated(tmp_path):
    track = make_track(120)
    text = page(tmp_path, track)
    assert "<title>kitchen.mp4" in text
    assert re.search(r"With both hands</dt><dd>73 %", text)
    assert "30/s" in text
    assert "60 degrees across assumed" in text
    assert "found 88 mm" in text
    assert "focal length 20 % too long" in warnings(text)
    assert "tracker's own" in warnings(text)
    sure = replace(track, camera_source=CameraSource.CALIBRATED, scale_source=ScaleSource.HAND_SIZE)
    assert warnings(page(tmp_path, sure)) == ""


def test_what_went_wrong_comes_first(tmp_path):
    problems = [{"index": 40 + i, "time_s": 1.4 + i / 30, "reason": "damaged <packet>"} for i in range(250)]
    run = RUN | {
        "partial": True,
        "problems": problems,
        "counts": {"skipped": 250, "dropped": 7, "duplicates_removed": 3},
    }
    text = page(tmp_path, make_track(), run)
    found = warnings(text)
    assert text.index(found) < text.index("Hands in 3D")
    assert "Partial result" in found
    assert "250 frames were skipped" in found
    assert "frame 40 at 1.4 s: damaged &lt;packet&gt;" in found
    assert "and 50 more, all in run.json" in found
    assert "7 live frames" in found
    assert len(data(text)["problems_s"]) == 250


@pytest.mark.parametrize(
    "track",
    [nobody(0), nobody(1), nobody(40), make_track(10, gaps=False)[:1], make_track(10, gaps=False)[:2]],
    ids=["no frames", "one empty frame", "no hand", "one frame", "two frames"],
)
@pytest.mark.parametrize("run", [{}, RUN], ids=["no run", "run"])
def test_little_data_still_gives_a_page(tmp_path, track, run):
    text = page(tmp_path, track, run)
    assert ("No hand was found" in text) == (not track.present.any())
    assert "nan" not in re.sub(r"<script.*?</script>|<style>.*?</style>", "", text, flags=re.S).lower()


def test_names_cannot_break_the_page(tmp_path):
    name = "</script><img src=x onerror=alert(1)>\"'&\udcff$js.mp4"
    run = RUN | {
        "input": {"path": f"/v/{name}"},
        "arguments": {"<b>": name},
        "estimator": name,
        "started": name,
    }
    run |= {
        "problems": [{"index": name, "time_s": 1.0, "reason": name}],
        "camera": {"note": name, name: name},
    }
    text = page(tmp_path, make_track(), run, [(3, np.zeros((8, 8, 3), np.uint8))])
    assert "<img src=x" not in text
    assert text.count("</script>") == 2
    assert "$js.mp4" in text


def test_an_hour_of_video_stays_small_and_says_what_was_thinned(tmp_path):
    short = make_track(2000)
    many = 54
    track = replace(
        short,
        times_s=np.arange(2000 * many) / 30,
        **{name: np.tile(getattr(short, name), (many, *(1,) * (getattr(short, name).ndim - 1)))
           for name in ("joints_m", "valid", "confidence", "keypoints_px")},
    )  # fmt: skip
    text = page(tmp_path, track)
    assert len(text) < 4e6
    assert "every 36th of 108,000 frames" in text
    assert f"{MAX_POINTS:,} points" in text
    found = data(text)
    assert len(unpack(found["poses"]["t"], "<f4")) <= MAX_POSES
    assert all(len(unpack(series["v"], "<f4")) <= MAX_POINTS for plot in found["plots"] for series in plot["series"])


def test_thinning_keeps_every_peak_and_valley():
    random = np.random.default_rng(3)
    values = random.normal(size=10_007)
    values[random.random(10_007) < 0.3] = np.nan
    values[[17, 9000]] = 50, -50
    kept = extremes(values, 1000)
    assert len(kept) <= 1000
    assert (np.diff(kept) > 0).all()
    assert {17, 9000} <= set(kept.tolist())
    stretches = np.array_split(values[:10_000], 100)  # each holds several buckets
    index = np.array_split(np.arange(10_000), 100)
    for part, where in zip(stretches, index):
        assert where[np.nanargmax(part)] in kept or where[np.nanargmin(part)] in kept
    assert extremes(np.full(5000, np.nan), 1000).size <= 1000


def test_sample_frames_are_embedded_small(tmp_path):
    import cv2

    image = np.zeros((900, 1600, 3), np.uint8)
    image[..., 0] = 255
    text = page(tmp_path, make_track(), RUN, [(30, image)])
    encoded = re.search(r'src="data:image/jpeg;base64,([^"]+)"', text).group(1)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (360, 640, 3)
    np.testing.assert_allclose(shown[180, 320], [0, 0, 255], atol=3)  # red, and OpenCV reads BGR
    assert "frame 30 · 1.00 s" in text
    with pytest.raises(InputError, match="sample frame 120 is outside the record, which has 120 frames"):
        page(tmp_path, make_track(), RUN, [(120, image)])


def test_the_page_needs_nothing_heavy():
    code = "import sys, handloom.view.report; print({'plotly', 'matplotlib', 'viser', 'torch'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_page_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*missing.report\.html: No such file or directory"):
        write_report(tmp_path / "missing" / "report.html", make_track(10), RUN)
    assert list(tmp_path.iterdir()) == []


def cells(row):
    kinds = {"edges": "<f4", "label": "<i2", "sure": "u1"}
    return {name: unpack(row["cells"][name], kind) for name, kind in kinds.items()}


def test_lanes_hold_actions_and_objects_of_track_and_truth(tmp_path):
    found = data(page(tmp_path, make_found(), truth=make_truth()))
    action, objects = found["lanes"]
    assert action["labels"] == ["take milk", "</script><i>open", "pour & spill"]
    assert len(set(action["colours"])) == 3
    runs = [
        [(action["labels"][run["label"]], run["sure"], run["line"]) for run in row["runs"]] for row in action["rows"]
    ]
    # What overlaps the segment before it has a line of its own.
    assert runs[0] == [("take milk", 0.9, 0), ("</script><i>open", 0.4, 0), ("pour & spill", 0.8, 1)]
    assert runs[1] == [("take milk", 1, 0), ("pour & spill", 1, 0)]
    assert [row["lines"] for row in action["rows"]] == [2, 1]
    assert action["rows"][0]["runs"][1]["to"] == pytest.approx(3)
    assert objects["labels"] == ["milk", "</script><b>cup"]
    mine, true = (cells(row) for row in objects["rows"])
    assert mine["label"].tolist() == [0] * 30 + [1] * 30 + [0] * 30 + [-1] * 30
    np.testing.assert_allclose(mine["sure"][[0, 40, 70, 100]], [178, 153, 178, 0], atol=1)
    assert true["label"].tolist() == [0] * 60 + [-1] * 60
    np.testing.assert_allclose(mine["edges"], np.arange(121) / 30, atol=1e-5)


def test_the_truth_gives_errors_over_time_and_a_second_skeleton(tmp_path):
    text = page(tmp_path, make_found(), truth=make_truth())
    found = data(text)
    plots = {plot["name"]: unpack(plot["series"][1]["v"], "<f4") for plot in found["plots"]}
    np.testing.assert_allclose(plots["error"], 10, atol=1e-2)
    np.testing.assert_allclose(plots["aligned"], 0, atol=1e-2)
    assert [hand["true"] for hand in found["scene"]["hands"]] == [False, False, True, True]
    poses, unit = found["scene"]["poses"], found["scene"]["poses"]["unit_m"]
    shown = unpack(poses["joints"], "<i2").reshape(-1, 4, 21, 3) * unit + np.array(poses["centre_m"])
    np.testing.assert_allclose(shown[:, 2:], make_truth().joints_m, atol=unit)
    np.testing.assert_allclose(shown[:, 1], make_found().joints_m[:, 1], atol=unit)
    assert re.search(r"<dt>Error</dt><dd>10.0 mm<small>MPJPE; 0.0 mm with wrists aligned", text)
    assert "230 of 240 hands that the truth shows were found" in text
    assert "the object is right in 50.0 % of the frames" in text
    assert "the action is right in 75.0 % of the frames" in text
    with pytest.raises(InputError, match="cannot be compared with a truth of 5"):
        page(tmp_path, make_found(), truth=make_truth()[:5])


def test_labels_are_listed_and_cannot_break_the_page(tmp_path):
    text = page(tmp_path, make_found(), truth=make_truth())
    assert text.count("</script>") == 2
    assert "<b>cup" not in text
    assert "<i>open" not in text
    assert "&lt;/script&gt;&lt;i&gt;open" in text
    many = replace(make_found(), actions=tuple(ActionSegment(f"a{i}", i / 99, (i + 1) / 99) for i in range(250)))
    assert "and 50 more" in page(tmp_path, many)


def test_without_labels_or_truth_nothing_of_them_is_shown(tmp_path):
    text = page(tmp_path, make_track())
    assert data(text)["lanes"] == []
    assert [hand["name"] for hand in data(text)["scene"]["hands"]] == ["left", "right"]
    for words in ("data-lane=", "Actions and objects", "Against the truth", 'id="truth"'):
        assert words not in text


def test_objects_of_an_hour_are_thinned_to_the_most_frequent(tmp_path):
    short = make_found()
    many = 900
    track = replace(
        short,
        times_s=np.arange(120 * many) / 30,
        **{name: np.tile(getattr(short, name), (many, *(1,) * (getattr(short, name).ndim - 1)))
           for name in ("joints_m", "valid", "confidence", "keypoints_px", "object_probabilities")},
    )  # fmt: skip
    found = cells(data(page(tmp_path, track))["lanes"][1]["rows"][0])
    assert len(found["label"]) == 2000
    assert set(found["label"].tolist()) <= {-1, 0, 1}
    assert found["edges"][-1] == pytest.approx(3600)


PIXELS = "document.getElementById('scene').toDataURL()"
FRAME = "parseInt(document.getElementById('readout').textContent.match(/\\d+/)[0])"


@needs_browser
def test_in_a_browser_everything_moves_and_nothing_is_loaded(tmp_path, browser):
    path = tmp_path / "report.html"
    write_report(path, make_track(), RUN, [(90, np.full((64, 64, 3), 200, np.uint8))])
    browser.open(path.as_uri())
    box = browser.js("((r) => [r.x, r.y, r.width, r.height])(document.getElementById('scene').getBoundingClientRect())")
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    before = browser.js(PIXELS)

    browser.js("(s => { s.value = 2; s.dispatchEvent(new Event('input')); })(document.getElementById('scrub'))")
    scrubbed = browser.js(PIXELS)
    assert scrubbed != before
    assert browser.js(FRAME) == 60

    browser.mouse("mousePressed", x, y, button="left", clickCount=1)
    browser.mouse("mouseMoved", x + 80, y + 10, button="left", buttons=1)
    browser.mouse("mouseReleased", x + 80, y + 10, button="left", clickCount=1)
    turned = browser.js(PIXELS)
    assert turned != scrubbed
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    assert wait_for(lambda: browser.js(PIXELS) != turned)

    plot = "document.querySelector('[data-plot=speed] canvas')"
    left, top, width = browser.js(f"(r => [r.x, r.y, r.width])({plot}.getBoundingClientRect())")
    browser.mouse("mouseMoved", left + 46 + (width - 56) * 0.25, top + 40)
    assert browser.js(FRAME) == pytest.approx(30, abs=1)
    cursors = browser.js("[...document.querySelectorAll('.cursor')].map((c) => c.style.transform)")
    assert len(cursors) == 4
    assert len(set(cursors)) == 1
    assert float(browser.js("document.querySelector('[data-plot=speed] output').textContent")) > 0

    browser.js("document.querySelector('[data-seek]').click()")
    assert browser.js(FRAME) == 90
    browser.js("document.getElementById('play').click()")
    assert wait_for(lambda: browser.js(FRAME) > 93)

    assert browser.errors() == []
    assert browser.requests() == [path.as_uri()]


@needs_browser
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize(
    ("track", "run"),
    [
        (nobody(0), {}),
        (nobody(3), RUN),
        (make_track(10, gaps=False)[:1], {}),
        (make_track(90), RUN | {"input": {"path": "</script>"}}),
    ],
    ids=["no frames", "no hand", "one frame", "hostile name"],
)
def test_in_a_browser_odd_records_show_without_an_error(tmp_path, browser, track, run, width):
    path = tmp_path / "report.html"
    write_report(path, track, run)
    browser.open(path.as_uri(), width=width)
    assert browser.errors() == []
    assert browser.js("document.getElementById('nohand').hidden") == track.present.any()
    assert browser.js("document.documentElement.scrollWidth") <= width


LABELS = "[...document.querySelectorAll('#labels span')].map((s) => s.textContent)"
DETAILS = "[...document.querySelectorAll('[data-lane={}] output')].map((o) => o.textContent)"
SCRUB = "(s => {{ s.value = {}; s.dispatchEvent(new Event('input')); }})(document.getElementById('scrub'))"


@needs_browser
@pytest.mark.parametrize("width", [420, 1200])
def test_in_a_browser_lanes_follow_the_clock_and_the_truth_can_be_hidden(tmp_path, browser, width):
    path = tmp_path / "report.html"
    write_report(path, make_found(), RUN, (), make_truth())
    browser.open(path.as_uri(), width=width)
    browser.js(SCRUB.format(0.5))
    assert browser.js(LABELS) == ["take milk 0.90", "take milk (truth)", "milk 0.70", "milk (truth)"]
    browser.js(SCRUB.format(1.5))
    assert browser.js(LABELS)[0] == "</script><i>open 0.40"
    assert browser.js(DETAILS.format("action")) == [
        "</script><i>open · 0.40 · 1.00 to 3.00 s",
        "take milk · 0.00 to 2.00 s",
    ]
    assert browser.js(DETAILS.format("object")) == ["</script><b>cup · 0.60 · 1.00 to 2.00 s", "milk · 0.00 to 2.00 s"]
    browser.js(SCRUB.format(3.5))
    assert browser.js(LABELS) == ["pour & spill 0.80", "pour & spill (truth)"]
    assert browser.js(DETAILS.format("object")) == ["–", "–"]

    shown = browser.js(PIXELS)
    browser.js("document.getElementById('truth').click()")
    assert browser.js(PIXELS) != shown
    assert browser.js(LABELS) == ["pour & spill 0.80"]

    lane = "document.querySelector('[data-lane=action] canvas')"
    browser.js(f"{lane}.scrollIntoView({{block: 'center'}})")
    left, top, wide = browser.js(f"(r => [r.x, r.y, r.width])({lane}.getBoundingClientRect())")
    browser.mouse("mouseMoved", left + 46 + (wide - 56) * 0.25, top + 10)
    assert browser.js(FRAME) == pytest.approx(30, abs=1)
    browser.js("document.querySelector('.labels [data-seek]').click()")
    assert browser.js(FRAME) == 0
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.errors() == []


@needs_browser
def test_in_a_browser_odd_labels_show_without_an_error(tmp_path, browser):
    path = tmp_path / "report.html"
    one = make_found(10)[:1]
    for track, truth in ((one, make_truth(10)[:1]), (one, None), (make_found()[:0], make_truth()[:0])):
        write_report(path, track, {}, (), truth)
        browser.open(path.as_uri())
        assert browser.errors() == []
