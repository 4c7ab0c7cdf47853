"""Evaluation on a store: every clip has its own segment's action, every video is computed once, nothing is silent."""

import json
from dataclasses import replace

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.clips import ClipPlace, htt_clips, prediction_clips
from handloom.datasets.loader import ClipDataset
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import OutputError
from handloom.formats.episode import Episode
from made_up_store import MadeUp
from with_torch import TINY, needs_torch, torch


class Overlapping(MadeUp):
    """As H2O; "close box" begins within "open box", and a stretch whose action is withheld lies within both."""

    def read(self, name: str) -> Episode:
        """One recording."""
        made = super().read(name)
        first, second = made.segments
        withheld = replace(first, label=None, verb=None, noun=None, label_id=None, start=8, end=12)
        segments = (replace(first, start=0, end=18), withheld, replace(second, start=4, end=20))
        return replace(made, dataset="h2o", segments=segments)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    source = Overlapping((24, 24, 25))
    return prepare_episodes(source, tmp_path_factory.mktemp("store") / "s", (64, 36), ("front",)).store


def words(store, clip, kind):
    return {None if row < 0 else Store(store).words[kind][row].name for row in getattr(clip, kind).tolist()}


def test_clips_of_overlapping_segments_have_their_own_labels(store):
    opened = Store(store)
    for places in (htt_clips(opened, "train", False, 8, 2, 2), prediction_clips(opened, "train", min_window_s=0.1)):
        clips = ClipDataset(store, "front", places, decode=False)
        found = {(place.segment, *words(store, clips[k], "action")) for k, place in enumerate(places)}
        assert found <= {(0, "open box"), (1, None), (2, "close box")}
        assert len(found) >= 2
        assert {(place.segment, *words(store, clips[k], "verb")) for k, place in enumerate(places)} == {
            (segment, action and action.split()[0]) for segment, action in found
        }
    # A clip of no segment has the labels of its frames: where segments overlap, of that which began last.
    (whole,) = ClipDataset(store, "front", [ClipPlace(0, np.arange(24), np.ones(24, bool))], decode=False)
    names = [opened.words["action"][row].name[:5] if row >= 0 else "" for row in whole.action]
    assert names == ["open "] * 4 + ["close"] * 16 + [""] * 4


@pytest.fixture(scope="module")
def weights(store, tmp_path_factory):
    from handloom.formats.weights import save_pretrained
    from handloom.models.htt import HTT
    from handloom.training.htt import config_for

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "w"
    save_pretrained(HTT(replace(config_for([Store(store)]), **TINY)).eval(), folder)
    return folder


@needs_torch
def test_training_and_evaluation_ask_for_the_segments_own_action(store, weights):
    from handloom.estimators.htt_network import load_network
    from handloom.evaluation.predict import predict
    from handloom.formats.weights import load_pretrained
    from handloom.models.htt import HTT, HTTConfig
    from handloom.training.samples import PictureSamples

    config = load_pretrained(HTT, HTTConfig, weights).config
    places = htt_clips(Store(store), "train", False, 8, 2, 2)
    samples = PictureSamples(ClipDataset(store, "front", places, decode=False), config, None)
    opened, closed = config.actions.index("open box"), config.actions.index("close box")
    expected = {0: opened, 1: -1, 2: closed}
    numbers = range(0, len(places), 3)
    samples.clips.decode = True
    assert [int(samples[0, k].target.action) for k in numbers] == [expected[places[k].segment] for k in numbers]
    found, videos = predict(load_network(weights, "cpu", "float32"), Store(store), "front", "train", "made up")
    assert [(video.start, video.end) for video in videos] == [(0, 18), (8, 12), (4, 20)] * 2
    assert found.action_truth.tolist() == [opened, -1, closed] * 2


@needs_torch
def test_every_picture_is_computed_once_and_a_missing_submission_is_told(store, weights, tmp_path, monkeypatch, capsys):
    from handloom.estimators.htt_torch import TorchHTT

    seen, features = [], TorchHTT.features

    def counted(self, pictures):
        seen.append(len(pictures))
        return features(self, pictures)

    monkeypatch.setattr(TorchHTT, "features", counted)
    out = tmp_path / "scores"
    out.mkdir()
    (out / "action_labels.json").write_text("of an earlier evaluation")
    command = ["evaluate", str(weights), "--data", str(store), "--out", str(out), "--split", "train"]
    assert main([*command, "--camera", "front", "--device", "cpu", "--precision", "float32"]) == 0
    assert sum(seen) == 2 * (18 + 4 + 16)
    page = (out / "evaluation.html").read_text()
    for heading in ("What the action token attends to", "Attention inside a pose window"):
        assert f"<h2>{heading}</h2>" in page
    reason = "no action_labels.json for H2O's challenge: an H2O submission needs the 36 actions of H2O in their order"
    assert " ".join(reason.split()[:4]) in " ".join(capsys.readouterr().out.split())
    assert json.loads((out / "scores.json").read_text())["notes"][0].startswith(reason)
    assert reason.replace("'", "&#x27;") in page
    assert (out / "hand_poses.json").is_file()
    assert not (out / "action_labels.json").exists()


@needs_torch
def test_a_submission_that_cannot_be_written_is_an_error(store, weights, tmp_path, monkeypatch):
    from handloom.evaluation import evaluate as module

    def full(path, predictions):
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(module, "write_hand_submission", full)
    with pytest.raises(OutputError, match="No space left"):
        module.evaluate(weights, store, "train", tmp_path / "out", "front", "cpu", "float32")


@needs_torch
def test_timelines_of_whole_recordings(store, weights, monkeypatch, capsys):
    from handloom.estimators.htt_network import load_network
    from handloom.evaluation import timeline
    from handloom.hands import ActionSegment
    from handloom.metrics.segments import SegmentScore

    assert main(["bench", "timeline", str(store), "--weights", str(weights), "--split", "train"]) == 0
    said = capsys.readouterr().out
    assert "camera front" in said
    assert "F1@50" in said
    opened, network = Store(store), load_network(weights, "cpu")
    count = len([r for r in opened.recordings if r.split == "train"])
    fps = opened.layout.fps
    seen = []

    def only_open(network, store, camera, recording, times_s):
        seen.append(recording.index)
        return (ActionSegment("open box", 0.0, 20 / fps),)

    monkeypatch.setattr(timeline, "_timeline", only_open)
    # "open box" has frames 0 to 17, "close box" 4 to 19; what is withheld does not count.
    score = timeline.score_timeline(network, opened, "front", "train")
    assert (score.recordings, score.labelled, score.right) == (count, 20 * count, 18 * count)
    assert score.segments == SegmentScore(count, count, 2 * count)
    timeline.score_timeline(network, opened, "front", "train", limit=1)
    assert len(seen) == count + 1
    assert main(["bench", "timeline", str(store), "--weights", str(weights), "--split", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
