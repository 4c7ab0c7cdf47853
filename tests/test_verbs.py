"""Verbs from poses: what the network is shown, how it is trained and scored, and AssemblyHands' Table 5 end to end."""

import json
from dataclasses import replace

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.motions import MotionRecording, MotionSegment, stored_motions
from handloom.datasets.pose_noise import tracker_errors
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.datasets.verb_segments import network_input, poses_of, verb_segments
from handloom.errors import InputError
from handloom.formats.result import write_track
from handloom.geometry.motion_features import hand_motion
from made_up_store import MadeUp
from with_torch import needs_torch, torch

LABELS = ("pick up", "screw", "", "screw")


def recording(T=60, seed=0):
    joints = np.random.default_rng(seed).normal(0, 0.1, (T, 2, 21, 3))
    ends = (10, 30, 40, 60)
    segments = [MotionSegment(f"{v} it", "it", end - 10, end, v) for v, end in zip(LABELS, ends)]
    return MotionRecording("r", "s", hand_motion(joints, np.isfinite(joints).all(-1)), joints, tuple(segments))


def test_segments_have_their_frames_and_those_around_them():
    found = verb_segments([recording()], context=5)
    assert [(s.verb, s.start, s.before, s.after, len(s)) for s in found] == [
        ("pick up", 0, 0, 5, 10),
        ("screw", 20, 5, 5, 10),
        ("screw", 50, 5, 0, 10),
    ]
    assert (found[1].joints_m == recording().joints_m[15:35]).all()
    assert len(verb_segments([recording()], ["screw"])) == 2
    with pytest.raises(InputError, match="one of the verbs fly; 1 recordings have pick up, screw"):
        verb_segments([recording()], ["fly"])


def test_the_network_is_shown_loops_of_short_segments_the_start_of_long_ones_and_no_gaps():
    joints = recording().joints_m
    shown = network_input(joints[:7], 10, 1, centred=False)
    assert shown.shape == (3, 10, 21, 2)
    np.testing.assert_allclose(shown[:, 8, 4, 1], 1000 * joints[1, 1, 4], rtol=1e-6)
    np.testing.assert_allclose(network_input(joints, 10, 3, False)[:, 9, 4, 0], 1000 * joints[27, 0, 4], rtol=1e-6)
    centred = network_input(joints, 10, 1, centred=True)
    assert abs(centred[:, 0].mean((1, 2))).max() < 1e-3
    np.testing.assert_allclose(
        centred, network_input(joints + np.array([3.0, 4.0, 5.0]), 10, 1, centred=True), atol=1e-3
    )
    gap = joints[:5].copy()
    gap[1:4, 0, 8] = np.nan
    gap[:, 1] = np.nan
    filled = network_input(gap, 5, 1, centred=False) / 1000
    np.testing.assert_allclose(filled[:, 2, 8, 0], (joints[0, 0, 8] + joints[4, 0, 8]) / 2, atol=1e-6)
    np.testing.assert_allclose(filled[:, 3, 5, 1], joints[0, 0].mean(0), atol=1e-6)


def test_a_trackers_errors_are_as_large_and_last_as_long_as_said():
    errors = tracker_errors(6000, 0.022, 30, np.random.default_rng(0))
    relative = errors - errors[:, :, :1]
    assert np.linalg.norm(relative, axis=-1).mean() == pytest.approx(0.022, rel=0.03)
    one = relative[:, 0, 5, 0]
    assert np.corrcoef(one[:-9], one[9:])[0, 1] == pytest.approx(np.exp(-1), abs=0.08)
    assert np.corrcoef(relative[:, 0, 5, 0], relative[:, 0, 12, 0])[0, 1] == pytest.approx(0.5, abs=0.08)
    assert abs(np.corrcoef(relative[:, 0, 5, 0], relative[:, 1, 5, 0])[0, 1]) < 0.1


@needs_torch
def test_every_verb_comes_as_often_and_cyclic_ones_in_parts():
    from handloom.models.verb_classifier import VerbClassifierConfig
    from handloom.training.verb_samples import VerbSamples

    config = VerbClassifierConfig(("pick up", "screw"), frames=10, context=0)
    segments = verb_segments([recording()])
    segments += [replace(segments[0], start=at) for at in (1, 2)]  # three of one verb, two of the other
    samples = VerbSamples(segments, config, seed=0, balanced=True, augment=False)
    assert len(samples) == 6
    drawn = [samples[epoch, number] for epoch in range(20) for number in range(6)]
    assert sum(int(sample.verb) for sample in drawn) == 60
    assert {int(sample.place) for sample in drawn} == {0, 1, 2, 3, 4}
    again = samples[3, 5]
    assert all(torch.equal(a, b) for a, b in zip(again, samples[3, 5]))
    lengths = set()
    for sample in drawn:
        segment = segments[int(sample.place)]
        start = [
            np.abs(1000 * joints - sample.hands[:, 0].numpy().transpose(2, 1, 0)).max() for joints in segment.joints_m
        ]
        assert min(start) < 1e-3
        if segment.verb == "pick up":
            assert int(np.argmin(start)) == 0
        else:
            lengths.add(int(np.argmin(start)))
    assert lengths <= {0, 1, 2, 3, 4, 5}  # of the first frame: parts have 5 to 10 of 10 frames
    assert len(lengths) > 3
    plain = VerbSamples(segments, config, seed=0, balanced=False, augment=False)
    assert [int(plain[0, k].verb) for k in range(len(plain))] == [0, 1, 1, 0, 0]


def test_simulated_poses_have_the_papers_verbs_and_are_called_simulated(tmp_path):
    command = ["simulate", "assembly", "--no-pictures", "--out", str(tmp_path / "s"), "--subjects", "3"]
    assert main([*command, "--repetitions", "1", "--seconds", "3", "--workers", "1"]) == 0
    made = Store(tmp_path / "s")
    assert made.simulated
    assert {name for segment in made.recordings[0].segments for name in [segment.verb]} <= {
        "pick up",
        "position",
        "screw",
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "s"
    source = MadeUp((100, 90, 120, 110))
    source.with_pictures = False
    source.read = lambda name: replace(  # the last recording is labelled, and one is held out
        MadeUp.read(source, name), split={"1": "val", "2": "test"}.get(name[-1], "train")
    )
    prepare_episodes(source, out)
    return out


@pytest.fixture
def tiny(monkeypatch):
    from handloom.models.verb_classifier import VerbClassifierConfig
    from handloom.training import verbs

    config = VerbClassifierConfig(
        (), frames=8, step=4, context=2, centred=True, scales=2, window_scales=1, windows=(3,), widths=(96, 96, 96)
    )
    recipe = replace(verbs.PRESETS["small"].recipe, epochs=2, batch_clips=2, warm_up_steps=0)
    monkeypatch.setitem(verbs.PRESETS, "small", verbs.VerbPreset(config, recipe))


def test_poses_come_from_a_store_or_a_folder_of_results(store, tmp_path):
    recordings = stored_motions([Store(store)], "test")
    [one] = recordings
    np.testing.assert_array_equal(poses_of(recordings, store)[one.name], one.joints_m)
    track = Store(store).episode(2).hands
    (tmp_path / "results" / one.name).mkdir(parents=True)
    with pytest.raises(InputError):
        poses_of(recordings, tmp_path / "results")
    write_track(tmp_path / "results" / one.name / "hands.parquet", track)
    found = poses_of(recordings, tmp_path / "results")[one.name]
    np.testing.assert_allclose(found[5:-2], one.joints_m[5:-2], atol=2e-3)
    write_track(tmp_path / "results" / one.name / "hands.parquet", track[:50])
    with pytest.raises(InputError, match=r"lasts 1\.\d s, its labels 4\.0 s"):
        poses_of(recordings, tmp_path / "results")
    with pytest.raises(InputError, match="has no recording elsewhere"):
        poses_of([replace(one, name="elsewhere")], store)


@needs_torch
def test_verbs_are_trained_with_a_break_scored_and_shown(store, tiny, tmp_path, capsys):
    options = ["--data", str(store), "--device", "cpu"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(["train", "verbs", *options, "--out", str(whole)]) == 0
    assert main(["train", "verbs", *options, "--out", str(broken), "--max-steps", "1"]) == 0
    assert not (broken / "model").exists()
    assert main(["train", "verbs", *options, "--out", str(broken)]) == 0
    one, other = ((run / "model" / "model.safetensors").read_bytes() for run in (whole, broken))
    assert one == other
    log = (whole / "log.csv").read_text().splitlines()
    assert log[0].endswith("accuracy")
    assert any(",val," in line for line in log)
    assert main(["evaluate", str(whole), *options, "--out", str(tmp_path / "e")]) == 0
    said = capsys.readouterr().out
    assert "all segments" in said
    scores = json.loads((tmp_path / "e" / "scores.json").read_text())
    assert scores["segments"] == 2 == np.sum(scores["confusion"])
    assert set(scores["verbs"]) == {"open", "close"}
    assert scores["accuracy"] == pytest.approx(np.trace(scores["confusion"]) / 2)
    assert "open called" in (tmp_path / "e" / "evaluation.html").read_text()
    assert main(["evaluate", str(whole), *options, "--out", str(tmp_path / "f"), "--poses", str(store)]) == 0
    assert json.loads((tmp_path / "f" / "scores.json").read_text())["confusion"] == scores["confusion"]
    (tmp_path / "file").touch()
    assert main(["evaluate", str(whole), *options, "--out", str(tmp_path / "file")]) == 2
    assert "cannot make the folder" in capsys.readouterr().err
    for wrong, what in ((("open",), "the only verb is open"), (("open", "fly"), "no segment of fly")):
        assert main(["train", "verbs", *options, "--out", str(tmp_path / "g"), "--verbs", *wrong]) == 2
        assert what in capsys.readouterr().err


@needs_torch
def test_table_5_is_trained_scored_and_written(store, tiny, tmp_path, capsys, monkeypatch):
    from handloom.reproduction import assemblyhands_verbs as table

    monkeypatch.setattr(table, "VERBS", ("open", "close"))
    monkeypatch.setattr(table, "PAPER", {name: (*row[:3], *row[-2:]) for name, row in table.PAPER.items()})
    command = ["reproduce", table.NAME, "--data", str(store), "--out", str(tmp_path / "r"), "--device", "cpu"]
    command += ["--epochs", "1"]
    assert main(command) == 2
    assert "stand-ins are made for simulated stores only" in capsys.readouterr().err
    assert main([*command, "--poses", "UmeTrack"]) == 2
    assert "NAME=PATH" in capsys.readouterr().err
    (store / "simulation.json").write_text("{}")
    assert main([*command, "--poses", f"mine={store}"]) == 0
    said = capsys.readouterr().out
    assert "| UmeTrack | 32.91 | " in said
    assert "SVEgoNet is no tracker here but a stand-in: labels with made-up errors of 21.92 mm" in said
    rows = {
        row["label"]: row["measured"] for row in json.loads((tmp_path / "r" / f"{table.NAME}.json").read_text())["rows"]
    }
    assert list(rows) == ["UmeTrack", "SVEgoNet", "AssemblyHands-A", "mine"]
    assert 30 < rows["UmeTrack"]["MPJPE mm"] < 36
    assert 19 < rows["SVEgoNet"]["MPJPE mm"] < 25
    assert rows["mine"]["MPJPE mm"] == 0
    # The same poses under another name are the same training.
    assert {**rows["mine"], "MPJPE mm": None} == rows["AssemblyHands-A"]
    assert rows["AssemblyHands-A"]["of the best %"] == 100
    assert (tmp_path / "r" / f"{table.NAME}.html").exists()
    before = (tmp_path / "r" / "umetrack" / "run" / "log.csv").stat().st_mtime_ns
    assert main([*command, "--poses", f"mine={store}"]) == 0
    assert (tmp_path / "r" / "umetrack" / "run" / "log.csv").stat().st_mtime_ns == before
