"""The evaluation page: true to the record and scores, safe for any name, whole and offline, in a real browser."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from browser import needs_browser, wait_for
from handloom.errors import InputError, RecordError
from handloom.metrics.pose import FPHA_RANGES, H2O_RANGES, PCKRange, Ranges
from handloom.metrics.predictions import Predictions
from handloom.metrics.scores import score
from handloom.view.attention import ActionAttention, WindowAttention
from handloom.view.evaluation import write_evaluation
from handloom.view.evaluation_actions import MOST_CLASSES, confusion_matrix
from handloom.view.evaluation_frames import frame_errors, frames_to_show, video_errors
from make_predictions import make_predictions, predicted_fields

PICTURE = np.full((270, 480, 3), 120, np.uint8)


def page(tmp_path, predictions, ranges=H2O_RANGES, **more):
    path = tmp_path / "evaluation.html"
    write_evaluation(path, predictions, score(predictions, ranges), title=more.pop("title", "HTT"), **more)
    return path.read_text("utf-8")


def data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


def attentions():
    weights, square = np.linspace(0, 1, 128), np.full((16, 16), 1 / 16)
    film = [(0, PICTURE), (64, PICTURE)]
    return {
        "action_attentions": [ActionAttention("take <out> espresso", weights / weights.sum(), film)],
        "window_attentions": [WindowAttention("bare", square), WindowAttention("seen", square, [PICTURE] * 16)],
    }


def poses_only():
    values = predicted_fields()
    values |= {"action_names": (), "action_probabilities": np.empty((48, 0)), "action_truth": np.full(24, -1)}
    values |= {"object_names": (), "object_probabilities": np.empty((480, 0)), "object_truth": np.full(480, -1)}
    return Predictions(**values | {"early_fractions": None, "early_probabilities": None})


def withheld():
    values = predicted_fields()
    values["valid"][:] = False
    values["action_truth"][:] = -1
    values["object_truth"][:] = -1
    return Predictions(**values)


def test_numbers_and_the_papers_beside_them(tmp_path):
    predictions = make_predictions()
    scores, text = score(predictions, H2O_RANGES), page(tmp_path, predictions)
    row = re.search(r"<tr><th><span[^>]*>Camera space.*?</tr>", text, re.S).group(0)
    left = scores.pose("left", "camera")
    assert f"{left.mean_error:.2f} mm" in row
    assert f"{left.auc:.3f}" in row
    assert "35.02 mm" in row
    assert "0.614" in row
    assert "0–90 mm, 37 points" in row
    assert "20, without wrist" in text
    assert "86.36 %" in text
    assert "Measured on made-up hands" in text
    tip = scores.pose("right", "camera").joint_errors[20]
    assert re.search(rf"<span>tip</span>.*<b>{tip:.1f}</b>", text)
    assert "do not reproduce them" in text


def test_the_paper_is_silent_about_other_ranges(tmp_path):
    text = page(tmp_path, make_predictions(), Ranges(PCKRange(100, 21)))
    assert "35.02" not in text
    assert "86.36" not in text
    assert "No published numbers have these ranges" in text
    path, other = tmp_path / "root.html", score(make_predictions(), H2O_RANGES, root=9)
    write_evaluation(path, make_predictions(), other, title="x")
    assert "without middle_mcp" in path.read_text()
    assert "35.02 mm" in path.read_text()
    assert "16.59 mm" not in path.read_text()
    assert "15.81 mm" in page(tmp_path, make_predictions(hands=("right",)), FPHA_RANGES)


def test_curves_are_those_of_the_scores(tmp_path):
    predictions = make_predictions()
    charts = data(page(tmp_path, predictions))["charts"]
    scores = score(predictions, H2O_RANGES)
    right = charts["pck-camera"]["series"][1]
    np.testing.assert_allclose(right["y"], scores.pose("right", "camera").pck)
    np.testing.assert_allclose(right["x"], np.arange(0, 91, 2.5))
    np.testing.assert_allclose(charts["early"]["series"][0]["y"], scores.actions.early)


def test_frames_are_the_worst_the_middle_and_the_best():
    predictions = make_predictions()
    errors = frame_errors(predictions)
    rows = frames_to_show(predictions, 6)
    assert len(set(rows)) == 6
    assert errors[rows[0]] == np.nanmax(errors)
    assert errors[rows[5]] == np.nanmin(errors)
    assert abs(np.nanmean(errors < errors[rows[2]]) - 0.5) < 0.1
    assert len(set(predictions.frame_video[rows[:2]])) == 2
    assert sorted(frames_to_show(make_predictions(videos=1, frames=2), 6)) == [0, 1]
    assert frames_to_show(withheld(), 6) == []


def test_video_errors_are_those_of_their_frames():
    predictions = make_predictions(videos=3)
    for video, error in enumerate(video_errors(predictions)):
        of_video = predictions.frame_video == video
        difference = (predictions.joints_m - predictions.truth_m)[of_video].astype(float)
        assert error == pytest.approx(np.nanmean(np.linalg.norm(difference, axis=-1), axis=0).mean(), rel=1e-4)


def test_the_confusion_matrix_shows_counts_and_the_worst_of_many_classes():
    counts = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    html = confusion_matrix(counts, ("open", "close", "never"))
    assert "open called close: 1 (25 %)" in html
    assert "close called close: 2 (100 %)" in html
    assert "never" not in html
    assert "2 of 3 actions occur" in html
    many = np.eye(MOST_CLASSES + 20, dtype=int)
    many[70, 71] = 5
    html = confusion_matrix(many, tuple(f"action {i}" for i in range(len(many))))
    assert "action 70 called action 71: 5 (83 %)" in html
    assert f"Only the {MOST_CLASSES} with most mistakes" in html


@pytest.mark.parametrize(
    "predictions", [make_predictions(videos=0), make_predictions(videos=1, frames=1), poses_only(), withheld()],
    ids=["nothing", "one frame", "poses only", "withheld"],
)  # fmt: skip
def test_little_to_show_still_gives_a_page(tmp_path, predictions):
    text = page(tmp_path, predictions)
    visible = re.sub(r"<script.*?</script>|<style>.*?</style>", "", text, flags=re.S)
    assert not re.search(r"\bnan\b", visible, re.I)
    assert ("Confusion of actions" in visible) == bool(predictions.action_names)


def test_names_cannot_break_the_page(tmp_path):
    name = "</script><img src=x onerror=alert(1)>\"'&$js"
    one = make_predictions()
    hostile = replace(
        one,
        data=name,
        video_names=(name,) * 24,
        action_names=(name, *one.action_names[1:]),
        action_truth=np.zeros(24, int),
    )
    shown = {
        "action_attentions": [ActionAttention(name, np.ones(3))],
        "window_attentions": [WindowAttention(name, np.ones((2, 2)))],
    }
    text = page(tmp_path, hostile, title=name, **shown)
    assert "<img src=x" not in text
    assert text.count("</script>") == 2


def test_what_is_refused(tmp_path):
    one = make_predictions()
    with pytest.raises(InputError, match="frame 480 is outside the predictions, which have 480 frames"):
        page(tmp_path, one, frames=[480])
    with pytest.raises(InputError, match="frame -1 is outside"):
        page(tmp_path, one, pictures={-1: PICTURE})
    with pytest.raises(InputError, match="the scores are those of 'made-up hands', the predictions those of 'other'"):
        write_evaluation(tmp_path / "e.html", replace(one, data="other"), score(one, H2O_RANGES), title="x")
    with pytest.raises(RecordError, match="picture of frame 3, but there are 3"):
        ActionAttention("a", np.ones(3), [(3, PICTURE)])
    with pytest.raises(RecordError, match="finite weights, none negative"):
        ActionAttention("a", np.array([0.5, np.nan]))
    with pytest.raises(RecordError, match="expected 2 pictures, one per frame, found 1"):
        WindowAttention("a", np.ones((2, 2)), [PICTURE])
    assert list(tmp_path.iterdir()) == []


PIXELS = "document.getElementById('scene').toDataURL()"


@needs_browser
@pytest.mark.parametrize("width", [420, 1200])
def test_in_a_browser_frames_turn_and_curves_are_read(tmp_path, browser, width):
    predictions = make_predictions()
    rows = frames_to_show(predictions)
    page(tmp_path, predictions, pictures=dict.fromkeys(rows, PICTURE), **attentions())
    browser.open((tmp_path / "evaluation.html").as_uri(), width=width)
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.js("document.querySelectorAll('[data-pose] svg').length") == len(rows) == 12

    first = browser.js(PIXELS)
    browser.js("document.querySelectorAll('[data-pose]')[7].click()")
    second = browser.js(PIXELS)
    assert second != first
    assert browser.js("[...document.querySelectorAll('[aria-pressed=true]')].map((b) => b.dataset.pose)") == ["7"]
    browser.js("document.querySelector('[data-view=\"0 1.55\"]').click()")
    assert wait_for(lambda: browser.js(PIXELS) != second)
    both = browser.js(PIXELS)
    browser.js("document.getElementById('truth').click()")
    assert browser.js(PIXELS) != both

    chart = "document.querySelector('[data-lines=pck-camera]')"
    browser.js(f"{chart}.scrollIntoView()")
    left, top, wide = browser.js(f"(r => [r.x, r.y, r.width])({chart}.querySelector('canvas').getBoundingClientRect())")
    browser.mouse("mouseMoved", left + 52 + (wide - 66) * 30 / 90, top + 60)
    shown = browser.js(f"[...{chart}.querySelectorAll('output')].map((o) => Number(o.textContent))")
    scores = score(predictions, H2O_RANGES)
    np.testing.assert_allclose(shown, [scores.pose(hand, "camera").pck[12] for hand in ("left", "right")], atol=6e-4)
    assert browser.errors() == []
    assert browser.requests() == [(tmp_path / "evaluation.html").as_uri()]


@needs_browser
@pytest.mark.parametrize("predictions", [make_predictions(videos=0), poses_only(), withheld()])
def test_in_a_browser_little_data_makes_no_error(tmp_path, browser, predictions):
    page(tmp_path, predictions)
    browser.open((tmp_path / "evaluation.html").as_uri(), width=420)
    assert browser.errors() == []
    assert browser.js("document.documentElement.scrollWidth") <= 420
