"""Planted faults: in what is stored, at the asked rate, by chance of their own; the truth stays exact."""

from dataclasses import asdict, fields, replace
from functools import cache

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.check import check
from handloom.datasets.prepare import open_dataset
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.formats.episode import RenderedPictures
from handloom.simulate.faults import Faults
from handloom.simulate.plan import Layout
from handloom.simulate.simulation import Options, Simulation
from handloom.simulate.studio import simulate
from test_simulate_studio import TINY, digests

NAME = "subject1/h1/0"
EACH = {
    "label_noise_mm": 8.0,
    "dropped_frames": 0.3,
    "time_offset_s": 0.1,
    "swapped_hands": 0.4,
    "missing_hands": 0.3,
}
ALL = Faults(**EACH)
SHORT = TINY | {"seconds": 3.0}


@cache
def episode(layout=Layout.NATIVE, seed=0, subjects=1, **faults):
    """Half a minute without pictures."""
    half_minute = TINY | {"subjects": subjects, "seconds": 30.0}
    return Simulation("h2o", Options(layout=layout, seed=seed, faults=Faults(**faults), **half_minute)).read(NAME)


def same_hands(a, b):
    return all(
        np.array_equal(getattr(a.hands, name), getattr(b.hands, name), equal_nan=name == "joints_m")
        for name in ("times_s", "joints_m", "valid")
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Makes a native store with some faults, once."""
    folder = tmp_path_factory.mktemp("faulty")

    @cache
    def made(**faults):
        out = folder / ("-".join(faults) or "exact")
        simulate("h2o", out, Options(faults=Faults(**faults), **SHORT))
        return out

    return made


def test_label_noise_has_its_deviation_and_moves_nothing_else():
    exact, noisy = episode(), episode(label_noise_mm=8.0)
    error_mm = 1000 * (noisy.hands.joints_m - exact.hands.joints_m)
    assert error_mm.std() == pytest.approx(8.0, rel=0.02)
    assert abs(error_mm.mean()) < 0.1
    np.testing.assert_array_equal(noisy.hands.valid, exact.hands.valid)
    np.testing.assert_array_equal(noisy.object_poses, exact.object_poses)


def test_labels_lag_behind_the_pictures_by_the_offset():
    exact, late, between = episode(), episode(time_offset_s=0.1), episode(time_offset_s=-0.05)
    np.testing.assert_allclose(late.hands.joints_m[3:], exact.hands.joints_m[:-3], atol=1e-6)
    assert not late.hands.valid[:3].any()
    assert late.hands.valid[3:].all()
    middle = (exact.hands.joints_m[1:-1] + exact.hands.joints_m[2:]) / 2
    np.testing.assert_allclose(between.hands.joints_m[:-2], middle, atol=1e-6)
    assert not between.hands.valid[-2:].any()
    np.testing.assert_array_equal(late.times_s, exact.times_s)


def test_hands_are_exchanged_in_about_the_asked_share_of_frames():
    exact, swapped = episode(), episode(swapped_hands=0.4)
    struck = (swapped.hands.joints_m != exact.hands.joints_m).any((1, 2, 3))
    np.testing.assert_array_equal(swapped.hands.joints_m[struck], exact.hands.joints_m[struck][:, ::-1])
    assert struck.mean() == pytest.approx(0.4, abs=0.1)


def test_each_hand_is_missing_in_about_the_asked_share_of_frames():
    present = episode(missing_hands=0.3).hands.present
    np.testing.assert_allclose(present.mean(0), 0.7, atol=0.1)
    assert (present[:, 0] != present[:, 1]).any()


def test_dropped_frames_take_labels_pictures_and_actions_with_them():
    exact, dropped = episode(), episode(dropped_frames=0.3)
    assert len(dropped) / len(exact) == pytest.approx(0.7, abs=0.06)
    kept = dropped.frame_ids
    np.testing.assert_array_equal(dropped.times_s, exact.times_s[kept])
    np.testing.assert_array_equal(dropped.hands.joints_m, exact.hands.joints_m[kept])
    np.testing.assert_array_equal(dropped.object_labels, exact.object_labels[kept])
    np.testing.assert_array_equal(dropped.streams[4].world_from_camera, exact.streams[4].world_from_camera[kept])
    row = int(np.argmax(np.diff(kept) > 1)) + 1
    assert kept[row] > row
    pictures, all_pictures = dropped.streams[1].pictures, exact.streams[1].pictures
    assert isinstance(pictures, RenderedPictures)
    np.testing.assert_array_equal(pictures.picture(row), all_pictures.picture(int(kept[row])))

    def per_frame(of):
        labels = np.zeros(len(of), int)
        for item in of.segments:
            labels[item.start : item.end] = item.label_id
        return labels

    np.testing.assert_array_equal(per_frame(dropped), per_frame(exact)[kept])
    official = episode(Layout.H2O, dropped_frames=0.3)
    np.testing.assert_array_equal(official.frame_ids, np.arange(len(kept)))
    np.testing.assert_array_equal(official.hands.joints_m, dropped.hands.joints_m)


def test_chance_is_that_of_seed_and_recording_alone():
    again = Simulation("h2o", Options(faults=ALL, **(TINY | {"subjects": 1, "seconds": 30.0}))).read(NAME)
    assert same_hands(episode(**EACH), again)
    assert same_hands(episode(**EACH), episode(subjects=2, **EACH))
    lost = [episode(seed=seed, missing_hands=0.3).hands.present[:600] for seed in (0, 1)]
    assert (lost[0] != lost[1]).any()
    both = Simulation("h2o", Options(faults=Faults(missing_hands=0.3), **(TINY | {"seconds": 10.0})))
    first, second = (both.read(name).hands.present[:250] for name in both.names)
    assert (first != second).any()


@pytest.mark.parametrize("fault", EACH)
def test_a_fault_is_in_the_store_and_not_in_the_truth(store, fault):
    out, exact = store(**{fault: EACH[fault]}), store()
    columns, asked = Store(out).columns(0), Options(faults=Faults(**{fault: EACH[fault]}), **SHORT)
    expected, plain = Simulation("h2o", asked).read(NAME), Store(exact).columns(0)
    known = expected.hands.valid
    np.testing.assert_array_equal(columns["hand.valid"], known)
    np.testing.assert_array_equal(columns["hand.joints"][known], expected.hands.joints_m[known])
    np.testing.assert_array_equal(columns["frame_id"], expected.frame_ids)
    assert not np.array_equal(columns["hand.joints"], plain["hand.joints"])
    assert digests(out / "truth") == digests(exact / "truth")
    if fault == "swapped_hands":  # what is seen of a hand stays with its label
        struck = (columns["hand.joints"] != plain["hand.joints"]).any((1, 2, 3))
        seen, before = (item["camera.cam0.visible"] for item in (columns, plain))
        np.testing.assert_array_equal(seen, np.where(struck[:, None, None], before[:, ::-1], before))
        assert struck.any()
        assert not np.array_equal(seen, before)


@pytest.mark.parametrize(
    ("fault", "item", "message"),
    [
        ("swapped_hands", "left and right", "the hands change sides"),
        ("label_noise_mm", "bone lengths", "varies by"),
        ("dropped_frames", "gaps", "frames missing in"),
    ],
)
def test_a_check_finds_a_fault_at_its_item(store, fault, item, message):
    healthy = {verdict.item: verdict for verdict in check(store())}
    found = {verdict.item: verdict for verdict in check(store(**{fault: EACH[fault]}))}
    assert healthy[item].state == "ok"
    assert found[item].state == "fail"
    assert message in found[item].message
    others = {"schema", "rate and timestamps", "videos", "finite numbers", "calibration", "reprojection"}
    assert {name: found[name].state for name in others} == {name: healthy[name].state for name in others}


def test_no_faults_leave_the_take_as_it_is():
    simulation = Simulation("h2o", Options(**TINY))
    take = simulation.take(NAME)
    truth = take.episode(())
    assert same_hands(simulation.stored(take, ()), truth)
    assert Faults().planted(truth, 1, gaps=True) is truth


def test_official_trees_hold_the_faults_whatever_the_workers(tmp_path):
    options = Options(layout=Layout.H2O, faults=ALL, **(TINY | {"seconds": 1.5}))
    for workers in (1, 2):
        simulate("h2o", tmp_path / str(workers), options, workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    expected = Simulation("h2o", options).read(NAME).hands
    found = open_dataset("h2o", tmp_path / "1").read(NAME).hands
    np.testing.assert_array_equal(found.valid, expected.valid)
    np.testing.assert_allclose(found.joints_m, expected.joints_m, atol=1e-5)


def test_frames_cannot_be_dropped_where_tables_count_at_half_the_rate():
    options = Options(layout=Layout.ASSEMBLY101, faults=Faults(dropped_frames=0.1))
    with pytest.raises(InputError, match="assembly101 count at half the rate of the poses; leave dropped_frames at 0"):
        Simulation("assembly", options)


@pytest.mark.parametrize(("used", "layout"), [("fpha", Layout.FPHA), ("assembly", Layout.ASSEMBLYHANDS)])
def test_the_other_layouts_take_the_faults_too(tmp_path, used, layout):
    faults = replace(ALL, swapped_hands=0.0) if used == "fpha" else ALL
    actions = ("receive coin",) if used == "fpha" else ()
    few = {"subjects": 1, "seconds": None} if used == "fpha" else {"subjects": 3}
    options = Options(layout=layout, faults=faults, actions=actions, **(TINY | few))
    simulate(used, tmp_path / "out", options)
    name = Simulation(used, options).names[0]
    expected, found = Simulation(used, options).read(name), open_dataset(layout.value, tmp_path / "out").read(name)
    rows = np.searchsorted(expected.frame_ids, found.frame_ids)
    np.testing.assert_array_equal(found.hands.valid[..., 2:], expected.hands.valid[rows][..., 2:])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_noise_mm": -1.0}, "label_noise_mm must lie between 0 and 1000, found -1"),
        ({"dropped_frames": 0.95}, "dropped_frames must lie between 0 and 0.9, found 0.95"),
        ({"time_offset_s": float("nan")}, "time_offset_s must lie between -60 and 60, found nan"),
        ({"swapped_hands": 1.5}, "swapped_hands must lie between 0 and 1, found 1.5"),
        ({"missing_hands": -0.1}, "missing_hands must lie between 0 and 1, found -0.1"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Faults(**values)


def test_faults_that_cannot_be_planted_are_refused():
    with pytest.raises(InputError, match="the rig 'fpha' has one hand only, swapped_hands needs two; leave it at 0"):
        Simulation("fpha", Options(layout=Layout.FPHA, faults=Faults(swapped_hands=0.1)))
    take = Simulation("h2o", Options(**(TINY | {"seconds": 0.1}))).take(NAME)
    lost = next(seed for seed in range(100) if np.random.default_rng((seed, 1, 0)).random() < 0.3)
    if len(take.motion) > 3:
        pytest.skip("longer than a burst")
    with pytest.raises(InputError, match=r"subject1/h1/0: dropped_frames 0.3 leaves none of its 3 frames; drop fewer"):
        Faults(dropped_frames=0.3).planted(take.episode(()), lost, gaps=True)


def test_the_command_passes_every_fault_on(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("handloom.simulate.studio.simulate", lambda rig, out, options, *rest: asked.append(options))
    flags = [part for name, value in EACH.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    with pytest.raises(AttributeError):  # nothing was made that could be told of
        main(["simulate", "h2o", "--out", str(tmp_path), *flags])
    assert asdict(asked[0].faults) == EACH
    assert {field.name for field in fields(Faults)} == set(EACH)
