"""The studio: recordings, their layouts and truth, the same whatever the workers, resumable."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from handloom.datasets.prepare import open_dataset
from handloom.datasets.store import Store
from handloom.errors import InputError, OutputError
from handloom.geometry import Pinhole
from handloom.simulate import studio
from handloom.simulate.mesh import LEFT_HAND, RIGHT_HAND
from handloom.simulate.plan import Layout, recordings
from handloom.simulate.rigs import rig
from handloom.simulate.shoot import Shots
from handloom.simulate.simulation import Options, Simulation, draw
from handloom.simulate.studio import contact_sheet, simulate, simulate_poses

TINY = {"subjects": 2, "repetitions": 1, "seconds": 1.0, "size": (48, 28)}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def h2o_tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "h2o"
    told = []
    options = Options(layout=Layout.H2O, **TINY)
    made = simulate("h2o", out, options, masks=True, progress=lambda *step: told.append(step))
    return out, options, made, told


def test_an_official_tree_reads_back_as_it_was_simulated(h2o_tree):
    out, options, made, told = h2o_tree
    simulation = Simulation("h2o", options)
    assert (made.recordings, made.found) == (2, 0)
    episodes = list(open_dataset("h2o", out))
    assert [episode.name for episode in episodes] == list(simulation.names)
    assert [episode.split for episode in episodes] == ["train", "test"]
    for episode in episodes:
        expected = simulation.read(episode.name)
        assert np.abs(episode.hands.joints_m - expected.hands.joints_m).max() < 1e-5
        spans = [(s.label, s.label_id, s.start, s.end) for s in expected.segments]
        assert [(s.label, s.label_id, s.start, s.end) for s in episode.segments] == spans
        for found, stream in zip(episode.streams, expected.streams):
            assert found.name == stream.name
            np.testing.assert_allclose(found.world_from_camera, stream.world_from_camera, atol=1e-9)
            assert found.camera.fx == pytest.approx(stream.camera.fx)
    assert made.frames == sum(len(episode) for episode in episodes)
    assert (told[0], told[-1]) == (("draw", 0, 2), ("store", 2, 2))


def test_the_truth_is_kept_beside_it(h2o_tree):
    out, options, _, _ = h2o_tree
    simulation = Simulation("h2o", options)
    take = simulation.take("subject1/h1/0")
    folder = out / "truth" / Shots(out).of("subject1/h1/0").name
    truth = np.load(folder / "truth.npz")
    np.testing.assert_array_equal(truth["joints_m"], take.joints_m)
    visible = truth["visible"]
    assert visible.shape == (5, len(take.motion), 2, 21)
    assert 0.1 < visible.mean() < 0.95
    shot = draw(take)[1](0)
    mask = cv2.imread(str(folder / "masks" / "cam1" / "000000.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, shot.instances)
    np.testing.assert_array_equal(visible[1, 0].ravel(), shot.visible)
    stored = cv2.imread(str(out / "subject1/h1/0/cam1/rgb/000000.png"))[..., ::-1]
    np.testing.assert_array_equal(stored, shot.image)


def test_an_interrupted_run_goes_on_with_the_same_bytes(h2o_tree, tmp_path, monkeypatch):
    out, options, _, _ = h2o_tree
    again = tmp_path / "again"
    shoot = Shots.shoot

    def killed(self, simulation, name):
        if name != simulation.names[0]:
            raise KeyboardInterrupt
        shoot(self, simulation, name)

    monkeypatch.setattr(Shots, "shoot", killed)
    with pytest.raises(KeyboardInterrupt):
        simulate("h2o", again, options, masks=True)
    assert not again.exists()
    monkeypatch.undo()
    assert simulate("h2o", again, options, masks=True).found == 1
    assert digests(again) == digests(out)
    assert not again.with_name("again.part").exists()


def test_a_run_that_was_killed_with_its_workers_goes_on_with_the_same_bytes(h2o_tree, tmp_path):
    out, options, made, _ = h2o_tree
    again, shots = tmp_path / "again", tmp_path / "again.part" / "shots"
    arguments = "simulate h2o --layout h2o --subjects 2 --repetitions 1 --seconds 1 --size 48 28 --masks --workers 2"
    command = [
        sys.executable,
        "-c",
        "import sys; from handloom.cli import main; sys.exit(main())",
        *arguments.split(),
        "--out",
        str(again),
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not any(shots.glob("recording-*")) and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.killpg(run.pid, signal.SIGKILL)  # its workers too, whatever they are writing
        run.wait()
    assert shots.is_dir() or out.is_dir()
    assert simulate("h2o", again, options, masks=True).recordings == made.recordings
    assert digests(again) == digests(out)


def test_another_version_does_not_go_on_with_what_was_begun(h2o_tree, tmp_path, monkeypatch):
    _, options, _, _ = h2o_tree

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Shots, "shoot", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate("h2o", tmp_path / "out", options)
    monkeypatch.setattr(studio, "__version__", "0.0.9")
    with pytest.raises(
        OutputError, match=r"out.part was begun by another version of Handloom; finish it with that one"
    ):
        simulate("h2o", tmp_path / "out", options)


def test_every_so_many_th_frame_alone_is_drawn_and_is_what_it_would_be_among_all(tmp_path):
    whole, options = Simulation("h2o", Options(**TINY)), Options(every=15, cameras=("cam4",), **TINY)
    name = whole.names[0]
    assert simulate("h2o", tmp_path / "out", options).frames == 4
    found, expected = Store(tmp_path / "out").episode(0), whole.read(name)
    assert found.name == name
    assert found.frame_rate == 2
    np.testing.assert_allclose(found.hands.times_s, expected.hands.times_s[[0, 15]], atol=1e-6)
    np.testing.assert_allclose(found.hands.joints_m, expected.hands.joints_m[[0, 15]], atol=1e-6)
    few = Simulation("h2o", options).read(name).streams[0].pictures
    many = Simulation("h2o", replace(options, every=1)).read(name).streams[0].pictures
    assert (few.picture(1) == many.picture(15)).all()
    with pytest.raises(InputError, match="every must divide the 30 frames per second of the rig 'h2o', found 7"):
        Simulation("h2o", Options(every=7, **TINY))
    with pytest.raises(InputError, match="only the native layout keeps every so many-th frame, and without dropped"):
        Simulation("h2o", Options(every=3, layout=Layout.H2O, **TINY))


def test_cameras_are_chosen_without_changing_what_they_see(tmp_path):
    whole, part = Simulation("h2o", Options(**TINY)), Simulation("h2o", Options(cameras=("cam4", "cam1"), **TINY))
    a, b = whole.take(whole.names[0]), part.take(part.names[0])
    assert [camera.name for camera in b.rig.cameras] == ["cam1", "cam4"]
    np.testing.assert_array_equal(a.joints_m, b.joints_m)
    for few, many in ((0, 1), (1, 4)):
        np.testing.assert_array_equal(draw(a)[many](3).image, draw(b)[few](3).image)
    simulate("h2o", tmp_path / "out", Options(cameras=("cam4",), **TINY), depth=True)
    assert json.loads((tmp_path / "out/meta/info.json").read_text())["features"].keys() >= {"observation.images.cam4"}
    assert [folder.name for folder in (tmp_path / "out/videos").iterdir()] == ["observation.images.cam4"]
    stored = cv2.imread(
        str(tmp_path / "out/truth" / Shots(tmp_path).of(whole.names[0]).name / "depth/cam4/000003.png"),
        cv2.IMREAD_UNCHANGED,
    )
    depth = draw(a)[4](3).depth_m
    assert stored.dtype == np.uint16
    np.testing.assert_allclose(stored / 1000, depth, atol=0.00051)


def test_the_sensor_changes_pictures_and_nothing_else():
    take = (simulation := Simulation("h2o", Options(**TINY))).take(simulation.names[0])
    plain, seen, again = (draw(take, sensor)[4](10) for sensor in (False, True, True))
    np.testing.assert_array_equal(seen.image, again.image)
    difference = seen.image.astype(float) - plain.image
    assert 1 < difference.std() < 30
    np.testing.assert_array_equal(seen.depth_m, plain.depth_m)
    np.testing.assert_array_equal(seen.visible, plain.visible)
    neighbours = draw(take)[4]
    assert (neighbours(11).image != seen.image).mean() > 0.3  # noise is new in every frame
    bare = Simulation("h2o", Options(sensor=False, **TINY)).read(simulation.names[0])
    np.testing.assert_array_equal(bare.streams[4].pictures.picture(10), plain.image)


def test_the_bytes_do_not_depend_on_the_number_of_workers(h2o_tree, tmp_path):
    out, options, _, _ = h2o_tree
    simulate("h2o", tmp_path / "two", options, workers=2, masks=True)
    assert digests(tmp_path / "two") == digests(out)


def test_a_finished_simulation_is_left_alone_and_another_is_refused(h2o_tree, tmp_path):
    out, options, made, _ = h2o_tree
    before = digests(out)
    assert simulate("h2o", out, options, masks=True).found == made.recordings
    assert digests(out) == before
    with pytest.raises(OutputError, match="holds a simulation with other options; choose another folder"):
        simulate("h2o", out, Options(layout=Layout.H2O, seed=1, **TINY), masks=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is there already and holds no simulation"):
        simulate("h2o", tmp_path, options)


def test_a_recording_is_the_same_whatever_else_is_simulated():
    few = Simulation("h2o", Options(**TINY))
    more = Simulation("h2o", Options(**(TINY | {"subjects": 4})))
    a, b = few.take("subject1/h1/0"), more.take("subject1/h1/0")
    np.testing.assert_array_equal(a.joints_m, b.joints_m)
    np.testing.assert_array_equal(a.world_from_camera, b.world_from_camera)
    other = Simulation("h2o", Options(seed=1, **TINY)).take("subject1/h1/0")
    assert other.joints_m.shape != a.joints_m.shape or np.abs(other.joints_m - a.joints_m).max() > 0.01


def test_things_and_hands_hide_joints_in_many_frames():
    """At least 30 % of the frames of the head camera have a joint hidden by something that is not its own hand."""
    hidden = []
    for seed in range(3):
        options = Options(seed=seed, **(TINY | {"seconds": 8.0, "size": (160, 90)}))
        take = Simulation("h2o", options).take("subject1/h1/0")
        shots = draw(take)[4]
        alone = []
        for frame in range(0, len(take.motion), 12):
            shot = shots(frame)
            pixels, _ = take.cameras[4].project(_in_camera(take, frame))
            pixel = np.clip(np.rint(pixels).astype(int), 0, (159, 89))
            instance = shot.instances[pixel[:, 1], pixel[:, 0]]
            own = np.repeat([LEFT_HAND, RIGHT_HAND], 21)
            alone.append((shot.inside & ~shot.visible & (instance != own) & (instance != 0)).any())
        hidden += alone
    assert np.mean(hidden) >= 0.3


def _in_camera(take, frame):
    camera_from_world = np.linalg.inv(take.world_from_camera[4, frame])
    return take.joints_m[frame].reshape(-1, 3) @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]


def test_fpha_shows_and_labels_the_right_hand_alone():
    simulation = Simulation(
        "fpha", Options(layout=Layout.FPHA, actions=("receive coin",), **(TINY | {"seconds": None}))
    )
    assert simulation.names == ("Subject_1/receive_coin/1", "Subject_2/receive_coin/1")
    episode = simulation.read(simulation.names[0])
    assert (episode.hands.present == (False, True)).all()
    assert [(s.label, s.verb, s.noun, s.start, s.end) for s in episode.segments] == [
        ("receive coin", "receive", "coin", 0, len(episode))
    ]
    instances = draw(simulation.take(simulation.names[0]))[0](len(episode) // 2).instances
    assert RIGHT_HAND in instances
    assert LEFT_HAND not in instances


def test_assembly_layouts_have_their_rates_ids_and_lenses():
    options = {layout: Options(layout=layout, **TINY) for layout in (Layout.ASSEMBLYHANDS, Layout.ASSEMBLY101)}
    slow, fast = (Simulation("assembly", chosen) for chosen in options.values())
    a, b = slow.take(slow.names[0]), fast.take(fast.names[0])
    assert (a.rate, b.rate) == (Fraction(30), Fraction(60))
    assert [take.episode(()).frame_ids[:3].tolist() for take in (a, b)] == [[0, 2, 4], [0, 1, 2]]
    assert all(type(camera) is Pinhole for camera in a.cameras)
    assert not any(type(camera) is Pinhole for camera in b.cameras)
    assert abs(len(a.motion) * 2 - len(b.motion)) <= 2
    assert (a.cameras[0].width, a.cameras[8].width) == (48, 48)


def test_people_of_the_test_set_are_in_no_other():
    for name in ("h2o", "assembly", "desktop"):
        used = rig(name)
        made = recordings(used, Layout.NATIVE, used.default_subjects, 6)
        by_split = {split: {item.number for item in made if item.split == split} for split in ("train", "val", "test")}
        assert all(by_split.values())
        assert not by_split["test"] & (by_split["train"] | by_split["val"])
        assert len({item.name for item in made}) == len(made)
    fpha = recordings(rig("fpha"), Layout.FPHA, 6, 4)
    assert not {"Subject_2/close_milk/4", "Subject_4/flip_sponge/2"} & {item.name for item in fpha}
    assert len(fpha) == 6 * 45 * 4 - 3


def test_a_contact_sheet_has_a_row_per_camera(tmp_path):
    contact_sheet("h2o", tmp_path / "sheet.png", Options(**TINY), columns=3)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (5 * 30, 3 * 50, 3)
    with pytest.raises(InputError, match=r"the simulation has no recording 'x'; it has subject1/h1/0"):
        contact_sheet("h2o", tmp_path / "sheet.png", Options(**TINY), recording="x")


@pytest.mark.parametrize(
    ("used", "options", "message"),
    [
        ("fpha", {"layout": Layout.H2O}, "the layout h2o is that of the rig 'h2o', not of 'fpha'"),
        ("h2o", {"layout": Layout.H2O, "subjects": 5}, "h2o has 4 subjects, found 5; use --layout native"),
        ("h2o", {"subjects": 10**8}, "100000 at most, found 100000000 and"),
        ("h2o", {"subjects": 0}, "at least 1 subject and 1 repetition are needed, found 0 and"),
        ("h2o", {"seconds": float("nan")}, "seconds must lie between 0 and 3600, found nan"),
        ("h2o", {"seed": -1}, "the seed must not be negative, found -1"),
        ("h2o", {"size": (8, 8)}, r"pictures must be 16 ... 8192 pixels wide and high, found \(8, 8\)"),
        ("fpha", {"seconds": 3.0}, "recordings of the rig 'fpha' last as long as their action; leave seconds out"),
        ("h2o", {"actions": ("grab milk",)}, "actions can be chosen for 'fpha' only"),
        ("h2o", {"cameras": ("cam7",)}, "unknown camera 'cam7'; h2o has cam0, cam1"),
        ("h2o", {"cameras": ("cam4", "cam4")}, "every camera records once, found cam4 cam4"),
        ("h2o", {"cameras": ("cam1",), "layout": Layout.H2O}, "the layout h2o needs all cameras of its rig"),
        ("fpha", {"actions": ("fly",)}, "unknown action 'fly'; fpha has open juice bottle"),
    ],
)
def test_options_that_cannot_be_are_refused(used, options, message):
    with pytest.raises(InputError, match=message):
        Simulation(used, Options(**options))


def test_no_worker_and_a_run_begun_with_other_options_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least one worker is needed, found 0"):
        simulate("h2o", tmp_path / "out", Options(**TINY), workers=0)
    part = tmp_path / "out.part"
    part.mkdir()
    (part / "plan.json").write_text(json.dumps({"options": {"rig": "desktop"}}))
    for run in (simulate, simulate_poses):
        with pytest.raises(OutputError, match="was begun with other options; finish it with the same, or delete it"):
            run("h2o", tmp_path / "out", Options(**TINY))
