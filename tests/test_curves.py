"""The page of a training and the log that it reads: values, thinning, malformed files, a real browser."""

import json
import re

import numpy as np
import pytest

from browser import needs_browser
from handloom.errors import InputError, OutputError
from handloom.formats.training_log import read_training_log
from handloom.view.curves import write_curves

LOG = """split,step,epoch,wall_s,loss,accuracy
train,1,0.5,10,4,
train,2,1,20,3,
val,2,1,25,3.5,0.25
train,3,1.5,30,2,
train,4,2,3600,1,
val,4,2,3605,2.5,0.5
"""


def write(tmp_path, text=LOG):
    path = tmp_path / "run" / "log.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def page(tmp_path, text=LOG):
    write_curves(write(tmp_path, text), tmp_path / "curves.html")
    return (tmp_path / "curves.html").read_text("utf-8")


def charts(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1)
    return json.loads(found)["charts"]


def test_the_log_by_split(tmp_path):
    logs = read_training_log(write(tmp_path))
    assert logs["train"].step.tolist() == [1, 2, 3, 4]
    assert logs["train"].values["loss"].tolist() == [4, 3, 2, 1]
    assert np.isnan(logs["train"].values["accuracy"]).all()
    assert logs["val"].values["accuracy"].tolist() == [0.25, 0.5]
    assert logs["val"].epoch.tolist() == [1, 2]


def test_columns_in_another_order_and_other_line_ends(tmp_path):
    text = "loss,step,split,wall_s,epoch\r\n 2 ,1,train,3,0.1\r\n\r\n"
    log = read_training_log(write(tmp_path, text))["train"]
    assert (log.values["loss"].tolist(), log.wall_s.tolist()) == ([2], [3])


def test_the_page_holds_every_value(tmp_path):
    text = page(tmp_path)
    found = charts(text)
    assert list(found) == ["loss", "accuracy"]
    train, val = found["loss"]["series"]
    assert train["y"] == [4, 3, 2, 1]
    assert val["x"] == {"step": [2, 4], "epoch": [1, 2], "minutes": [pytest.approx(25 / 60), pytest.approx(3605 / 60)]}
    assert [series["name"] for series in found["accuracy"]["series"]] == ["val"]
    assert "<h1>run</h1>" in text
    assert "1 h 00 min" in text
    assert "1 <small>step 4</small>" in text


def test_a_long_noisy_log_is_thinned_and_gets_a_running_mean(tmp_path):
    steps = np.arange(1, 50_001)
    values = np.sin(steps / 8000) + np.where(steps % 2, 0.5, -0.5)
    values[31_000] = 9
    rows = "".join(f"train,{s},1,{s},{v:.5f}\n" for s, v in zip(steps, values))
    text = page(tmp_path, "split,step,epoch,wall_s,loss\n" + rows)
    line = charts(text)["loss"]["series"][0]
    assert len(text) < 300_000
    assert max(line["y"]) == 9
    assert (line["x"]["step"][0], line["x"]["step"][-1]) == (1, 50_000)
    mean = np.array(line["mean"]["y"])
    np.testing.assert_allclose(mean[4:-4], np.sin(np.array(line["mean"]["x"]["step"]) / 8000)[4:-4], atol=0.02)


def test_what_is_not_finite_is_named_and_left_out(tmp_path):
    text = page(tmp_path, LOG.replace("train,3,1.5,30,2,", "train,3,1.5,30,nan,inf"))
    assert "2 values are NaN or infinite, the first is loss (train) at step 3" in text
    assert charts(text)["loss"]["series"][0]["y"] == [4, 3, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log.csv is empty"),
        ("split,step,epoch,loss\n", "no column 'wall_s'; a training log has split, step, epoch, wall_s, then values"),
        ("split,step,epoch,wall_s,a,a\n", "the column 'a' is there twice"),
        ("split,step,epoch,wall_s,a,\n", "column 6 has no name"),
        ("split,step,epoch,wall_s\n", "measures nothing"),
        ("split,step,epoch,wall_s,a\n", "has a header and no rows yet"),
        (LOG + "train,5,2.5", "line 8: expected 6 cells as in the header, found 3"),
        (LOG + "test,5,3,9,1,\n", "line 8: split must be train or val, found 'test'"),
        (LOG + "train,5,3,9,good,\n", "line 8: loss must be a number, found 'good'"),
        (LOG + "train,,3,9,1,\n", "line 8: step must be a number, found ''"),
        (LOG + "train,5,nan,9,1,\n", "line 8: epoch must be finite, found 'nan'"),
        (LOG + "train,2,1,20,3,\n", "line 8: train step 2 comes after 4; was an old log continued"),
    ],
)
def test_malformed_logs(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        write_curves(write(tmp_path, text), tmp_path / "curves.html")
    assert not (tmp_path / "curves.html").exists()


def test_a_page_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="make its folder first"):
        write_curves(write(tmp_path), tmp_path / "no" / "curves.html")


def test_names_cannot_break_the_page(tmp_path):
    text = page(tmp_path, LOG.replace("accuracy", "</script><img src=x>"))
    assert "<img src=x" not in text
    assert text.count("</script>") == 2


@needs_browser
@pytest.mark.parametrize("width", [420, 1200])
def test_in_a_browser_axes_change(tmp_path, browser, width):
    page(tmp_path)
    browser.open((tmp_path / "curves.html").as_uri(), width=width)
    pixels = "document.querySelector('[data-lines=loss] canvas').toDataURL()"
    outputs = "[...document.querySelectorAll('[data-lines=loss] output')].map((o) => o.textContent)"
    assert browser.js(outputs) == ["1", "2.5"]
    seen = [browser.js(pixels)]
    for change in (
        "log.checked = true; log.dispatchEvent(new Event('change'))",
        "along.value = 'minutes'; along.dispatchEvent(new Event('change'))",
    ):
        element = "document.getElementById(%r)"
        browser.js(f"((log, along) => {{ {change} }})({element % 'log'}, {element % 'along'})")
        seen.append(browser.js(pixels))
    assert len(set(seen)) == 3
    assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.errors() == []
    assert browser.requests() == [(tmp_path / "curves.html").as_uri()]
