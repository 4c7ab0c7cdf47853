import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handloom.annotate.labelled_hands import labelled_hands
from handloom.cli import main
from handloom.errors import InputError
from handloom.estimators.view_crops import boxes_of, corners, cut, disturbed
from handloom.geometry import apply_rigid, invert_rigid, rigid, rotation_from_vector
from handloom.skeleton import MIDDLE_MCP
from made_up_capture import LENS, hands, make_capture, ring
from made_up_rig import FISHEYE, dots, dotted_store
from with_torch import needs_torch, torch

pytestmark = needs_torch
POSES = [invert_rigid(pose) for pose in ring(4)]
TINY = {
    "crop_size": 32,
    "voxels": 8,
    "features": 16,
    "stem": 16,
    "stages": ((1, 3, 1, 16, 1), (2, 3, 2, 16, 1), (2, 3, 2, 16, 1)),
    "kernel": 3,
    "widths": (16, 16),
    "residuals": 1,
}


def tiny(seed=0):
    from handloom.models.mvexonet import MVExoNet, MVExoNetConfig

    torch.manual_seed(seed)
    return MVExoNet(MVExoNetConfig(**TINY)).eval()


def seen_hands(lenses=(LENS, FISHEYE, LENS, LENS), size=96):
    """Both hands of a frame, drawn and cut, and where they are."""
    world = hands(20)[10]
    crops = None
    for view, (lens, pose) in enumerate(zip(lenses, POSES)):
        one = cut(dots(lens, pose, world.reshape(-1, 3)), lens, pose, world, size)
        if crops is None:
            from handloom.estimators.view_crops import nothing

            crops = nothing(2, len(lenses), size)
        crops.put(np.arange(2), view, one)
    return crops, world


def brightest(picture, places):
    """How far the brightest spot within 3 pixels of each place is from it."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    ys, xs = np.mgrid[: grey.shape[0], : grey.shape[1]]
    off = []
    for x, y in places:
        weight = np.where(np.hypot(xs - x, ys - y) < 4, np.clip(grey - 60, 0, None), 0)
        if weight.sum() > 0:
            off.append(np.hypot((weight * xs).sum() / weight.sum() - x, (weight * ys).sum() / weight.sum() - y))
    return np.array(off)


def test_dots_of_joints_are_where_the_crop_cameras_project_them_pinhole_or_fisheye():
    crops, world = seen_hands(size=192)
    assert crops.seen.all()
    closer = crops.closer(crops.plane(world), 128, 1.25)
    for kept in (crops, closer):
        pixels = kept.plane(world) * kept.focal_px[..., None, None] + (kept.pictures.shape[2] - 1) / 2
        off = []
        for place in np.ndindex(2, 4):
            apart = np.linalg.norm(pixels[place][:, None] - pixels[place][None], axis=-1) + 99 * np.eye(21)
            alone = pixels[place][apart.min(1) > 8]  # dots that lie on each other have no middle
            off += brightest(kept.pictures[place], alone).tolist()
        assert len(off) > 20
        assert np.median(off) < 0.35
    inside = closer.plane(world) * closer.focal_px[..., None, None] / 64
    np.testing.assert_allclose(np.abs(inside).max((2, 3)), 1 / 1.25, atol=0.02)


def test_a_hand_outside_the_picture_or_without_a_pose_is_not_seen():
    world = hands(20)[10]
    image = dots(LENS, POSES[0], world.reshape(-1, 3))
    away = world + POSES[0][0, :3] * 0.6  # to the right of the picture
    assert not cut(image, LENS, POSES[0], away, 64).seen.any()
    assert not cut(image, LENS, np.full((4, 4), np.nan), world, 64).seen.any()
    nowhere = cut(image, LENS, POSES[0], np.full((2, 21, 3), np.nan), 64)
    assert not nowhere.seen.any()
    assert np.isnan(nowhere.plane(world)).all()


def test_disturbed_boxes_are_as_far_off_as_asked_and_corners_give_the_box_back():
    boxes = np.tile([1.0, 2.0, 3.0, 4.0], (4000, 1))
    assert (boxes_of(corners(boxes)) == boxes).all()
    off = disturbed(boxes, np.random.default_rng(0), 0.1, 0.2)
    assert (off[:, :2] + off[:, 2:]).std(0) / 2 == pytest.approx(0.2, rel=0.1)  # sides are 2
    assert np.log((off[:, 2] - off[:, 0]) / 2).std() == pytest.approx(0.2, rel=0.1)


def test_a_left_hand_in_the_mirror_is_a_right_hand():
    from handloom.estimators.mvexonet import views_of

    crops, world = seen_hands()
    root = world[:, MIDDLE_MCP]
    mirror = np.diag([-1.0, 1, 1, 1])
    mirrored = replace(
        crops, pictures=crops.pictures[:, :, :, ::-1].copy(), crop_from_world=mirror @ crops.crop_from_world @ mirror
    )
    as_left = views_of(crops, np.ones(2, bool), root)
    as_right = views_of(mirrored, np.zeros(2, bool), root * [-1, 1, 1])
    for one, other in zip(as_left, as_right):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)


def test_the_axes_and_the_unit_of_the_world_do_not_matter(tmp_path):
    from handloom.estimators.mvexonet import Annotator
    from handloom.formats.weights import save_pretrained

    save_pretrained(tiny(), tmp_path / "weights")
    crops, world = seen_hands()
    annotator, left = Annotator(tmp_path / "weights", "cpu"), np.array([True, False])
    outline = crops.plane(world)
    here = list(annotator.rounds(crops, left, outline, world + 0.01, 2))
    # There: turned, moved, and in centimetres.
    moved = rigid(rotation_from_vector(np.array([0.7, -1.9, 0.4])), np.array([0.3, -2.0, 1.0]))
    poses = crops.crop_from_world @ np.linalg.inv(moved)
    poses[..., :3, 3] *= 100
    there = replace(crops, crop_from_world=poses)
    begun = 100 * apply_rigid(moved, world + 0.01)
    for one, other in zip(here, annotator.rounds(there, left, outline, begun, 2, metres=0.01)):
        np.testing.assert_allclose(other.joints, 100 * apply_rigid(moved, one.joints), atol=0.05)
        np.testing.assert_allclose(other.score, one.score, atol=1e-3)


def test_volumes_lie_about_the_middle_knuckle_turned_as_the_palm_left_hands_in_the_mirror():
    from handloom.estimators.mvexonet import placed

    right = hands(20)[3, 1]
    joints = np.stack([right, right * [-1, 1, 1], right, np.full_like(right, np.nan)])
    joints[2, MIDDLE_MCP] = np.nan
    root, turn = placed(joints, np.array([False, True, False, False]))
    np.testing.assert_array_equal(root[:2], joints[:2, MIDDLE_MCP])
    np.testing.assert_allclose(root[2], np.nanmean(joints[2], 0))
    np.testing.assert_allclose(turn[0], turn[1], atol=1e-12)
    np.testing.assert_array_equal(turn[2:], [np.eye(3)] * 2)
    fingers = (right[MIDDLE_MCP] - right[0]) @ turn[0]
    assert fingers[1] < -0.95 * np.linalg.norm(fingers)  # up is -y in the palm's frame
    assert np.isnan(root[3]).all()


def test_what_the_views_see_is_triangulated_exactly_by_both_ways():
    from handloom.estimators.mvexonet import Alone, directions, triangulated_views, views_of
    from handloom.models.mvexonet import ViewJoints, triangulated

    crops, world = seen_hands()
    left, root = np.array([True, False]), world[:, MIDDLE_MCP] + 0.01
    close = crops.closer(crops.plane(world), 64, 1.25)
    pixels = close.plane(world) * close.focal_px[..., None, None] + 31.5
    pixels[0, ..., 0] = 63 - pixels[0, ..., 0]
    alone = Alone(directions(close, pixels, left), np.ones((2, 4, 21)))
    np.testing.assert_allclose(triangulated_views(alone, crops, 0.03), world, atol=1e-6)
    wrong = alone.directions.copy()
    wrong[:, 2] = wrong[:, 2] + 0.2
    np.testing.assert_allclose(triangulated_views(replace(alone, directions=wrong), crops, 0.03), world, atol=1e-6)
    views = views_of(close, left, root)
    said = ViewJoints(torch.from_numpy(pixels).float(), torch.zeros(2, 4, 21, 16, 16), torch.ones(2, 4, 21))
    found = triangulated(said, views).numpy() * np.where(left[:, None, None], [-1, 1, 1], 1)
    np.testing.assert_allclose(found + root[:, None], world, atol=2e-4)


def test_the_order_of_views_and_what_stands_in_missing_ones_do_not_matter():
    from handloom.estimators.mvexonet import views_of

    crops, world = seen_hands()
    close, left, root = crops.closer(crops.plane(world), 32, 1.25), np.array([True, False]), world[:, MIDDLE_MCP]
    views, model = views_of(close, left, root), tiny()
    with torch.no_grad():
        together, alone, algebraic = model(views)
        order = [2, 0, 3, 1]
        again = model(type(views)(*(part[:, order] for part in views)))
        np.testing.assert_allclose(together.joints_m, again[0].joints_m, atol=1e-5)
        np.testing.assert_allclose(algebraic, again[2], atol=1e-3)
        views.seen[0, 1] = False
        there = model(views)[0].joints_m
        views.images[0, 1], views.projections[0, 1] = 255, 7.0
        np.testing.assert_array_equal(there, model(views)[0].joints_m)
        two = model(type(views)(*(part[:, :2] for part in views)))[0]
    assert together.joints_m.shape == two.joints_m.shape == (2, 21, 3)
    assert (together.joints_m.abs() <= 0.15).all()
    assert alone.keypoints_px.shape == (2, 4, 21, 2)


def test_cross_entropy_is_least_where_the_expected_place_is_the_true_one():
    from handloom.training.mvexonet_loss import cross_entropy

    place = torch.tensor([[2.3, 4.75], [0.0, 7.0], [8.1, 2.0]])  # x, y; the last is outside 8 columns
    maps = torch.full((3, 9, 8), -20.0)
    maps[0, 4, 2], maps[0, 4, 3], maps[0, 5, 2], maps[0, 5, 3] = torch.tensor([0.175, 0.075, 0.525, 0.225]).log()
    maps[1, 7, 0] = 0.0
    loss, inside = cross_entropy(maps.flatten(1).log_softmax(1).reshape(3, 9, 8), place)
    assert inside.tolist() == [True, True, False]
    entropy = -sum(p * np.log(p) for p in (0.175, 0.075, 0.525, 0.225))
    assert loss[0] == pytest.approx(entropy, abs=1e-3)
    assert loss[1] == pytest.approx(0, abs=0.05)
    volume = torch.full((1, 4, 5, 6), -20.0)
    volume[0, 1, 2, 3] = 0
    assert (
        cross_entropy(volume, torch.tensor([[1.0, 2.0, 3.0]]))[0][0]
        < 0.05
        < cross_entropy(volume, torch.tensor([[3.0, 2.0, 1.0]]))[0][0]
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return dotted_store(tmp_path_factory.mktemp("rig") / "store")


@pytest.fixture
def tiny_preset(monkeypatch):
    from handloom.models.mvexonet import MVExoNetConfig
    from handloom.training.mvexonet_recipe import MVEXONET_PRESETS, MVExoNetPreset, MVExoNetRecipe

    recipe = MVExoNetRecipe(epochs=3, batch_clips=2, learning_rate=1e-3, warm_up_steps=1, most_views=4)
    monkeypatch.setitem(MVEXONET_PRESETS, "small", MVExoNetPreset(MVExoNetConfig(**TINY), recipe, 48))


def test_hands_of_a_store_are_cut_once_and_are_where_the_labels_say(store, tmp_path):
    first = labelled_hands(store, "train", tmp_path, 48)
    assert [part.name for part in first] == ["take-train"]
    assert first[0].moving.tolist() == [False] * 3 + [True] * 2
    assert first[0].left.tolist() == [True, False] * 2
    assert first[0].crops.seen.all()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.np*")}
    labelled_hands(store, "train", tmp_path, 48)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.np*")} == times
    assert len(labelled_hands(store, None, tmp_path, 48)) == 3
    with pytest.raises(InputError, match="no recordings of split 'other'"):
        labelled_hands(store, "other", tmp_path, 48)
    damaged = next(path for path in times if path.name == "pictures.npy")
    damaged.write_bytes(b"no")
    with pytest.raises(InputError, match=r"is damaged; delete .*, and it is made again"):
        labelled_hands(store, "train", tmp_path, 48)


def test_killed_and_gone_on_with_gives_the_same_weights_as_in_one_go(store, tmp_path, tiny_preset, capsys):
    once, twice, shared = tmp_path / "once", tmp_path / "twice", ["--crops", str(tmp_path / "crops")]
    command = ["train", "mvexonet", "--data", str(store), *shared]
    assert main([*command, "--out", str(once)]) == 0
    assert main([*command, "--out", str(twice), "--max-steps", "3"]) == 0
    assert "ended early" in capsys.readouterr().out
    assert not (twice / "model").exists()
    assert main([*command, "--out", str(twice)]) == 0
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (once, twice)]
    assert weights[0] == weights[1]
    log = (once / "log.csv").read_text().splitlines()
    assert "joint_error_mm" in log[0]
    assert sum(",val," in line for line in log) == 3
    assert main([*command, "--out", str(twice), "--seed", "1"]) == 2
    assert "other settings (seed: begun with 0, now 1" in capsys.readouterr().err


def test_the_tables_stand_beside_the_paper_and_come_with_pictures(store, tmp_path, tiny_preset, capsys):
    command = ["reproduce", "assemblyhands-table2", "--data", str(store), "--out", str(tmp_path), "--epochs", "1"]
    assert main(command) == 0
    table = json.loads((tmp_path / "assemblyhands-table2.json").read_text())
    rows = {row["label"]: row for row in table["rows"]}
    assert list(rows) == ["egocentric only", "2D + triangulation", "algebraic", *(f"MVExoNet-R{k}" for k in (1, 2, 3))]
    assert rows["MVExoNet-R3"]["paper"] == {"MPJPE mm": 4.20, "PCK-AUC %": 83.4}
    assert all(0 < row["measured"]["MPJPE mm"] < 400 for row in rows.values())
    assert table["scores"]["MVExoNet-R1"]["hands"] == 4
    for name in ("rounds", "one-pose"):
        assert cv2.imread(str(tmp_path / f"assemblyhands-table2-{name}.png")) is not None
    assert main(["reproduce", "assemblyhands-table3", "--data", str(store), "--out", str(tmp_path / "other")]) == 2
    assert "give its network with --weights RUN/model" in capsys.readouterr().err
    weights = ["--weights", str(tmp_path / "run" / "model"), "--split", "all"]
    assert (
        main(
            [
                "reproduce",
                "assemblyhands-table3",
                "--data",
                str(store),
                "--out",
                str(tmp_path / "new" / "one"),
                *weights,
            ]
        )
        == 0
    )
    table = json.loads((tmp_path / "new" / "one" / "assemblyhands-table3.json").read_text())
    assert table["scores"]["2D + triangulation"]["hands"] == 12


def test_refinement_begins_where_the_round_before_ended(store, tmp_path, monkeypatch):
    from handloom.estimators import mvexonet
    from handloom.estimators.mvexonet import Annotator
    from handloom.evaluation.rounds import BoxNoise, estimate, scores
    from handloom.formats.weights import save_pretrained

    save_pretrained(tiny(), tmp_path / "weights")
    part = labelled_hands(store, "test", tmp_path / "crops", 96, room=3.5)[0]
    annotator, asked = Annotator(tmp_path / "weights"), []

    def halfway(self, crops, left, begun, metres=1.0):
        """A network that halves the error of the knuckle, of everything."""
        root = begun[:, MIDDLE_MCP]
        asked.append((crops, root))
        found = usual(self, crops, left, begun, metres)
        better = part.joints_m + (root - part.joints_m[:, MIDDLE_MCP])[:, None] / 2
        return replace(found, joints=better)

    usual = mvexonet.Annotator.round
    monkeypatch.setattr(mvexonet.Annotator, "round", halfway)
    result = estimate(part, annotator, BoxNoise(), seed=3)
    roots = [np.linalg.norm(root - part.joints_m[:, MIDDLE_MCP], axis=-1) for _, root in asked]
    np.testing.assert_allclose(roots[1], roots[0] / 2, atol=1e-6)
    np.testing.assert_allclose(roots[2], roots[0] / 4, atol=1e-6)
    # The first round's crops are off as its boxes are; the later ones have the hand of the round before in the middle.
    off = [np.abs(crops.plane(part.joints_m)).max((2, 3)) * crops.focal_px / 16 for crops, _ in asked]
    assert np.abs(off[2] - 1 / 1.25).mean() < 0.5 * np.abs(off[0] - 1 / 1.25).mean()
    measured = scores([result], ["MVExoNet-R1", "MVExoNet-R3", "2D + triangulation"])
    assert measured["MVExoNet-R3"]["mpjpe_mm"] == pytest.approx(measured["MVExoNet-R1"]["mpjpe_mm"] / 4, rel=1e-3)
    assert 0.2 < np.nanmean(result.overlap) < 0.9
    assert result.joints["egocentric only"].shape == (4, 21, 3)


def test_annotate_with_a_network_says_what_the_network_says_also_in_gaps(tmp_path, monkeypatch, capsys):
    from handloom.annotate import detect as detecting
    from handloom.estimators import mvexonet
    from handloom.estimators.mvexonet import Alone, Round
    from handloom.formats.weights import save_pretrained

    world, T = hands(24), 24
    scene = make_capture(tmp_path / "take", world, ring(3), noise_px=3.0)
    for view in range(3):  # the detector sees no left hand for a while
        for frame in range(9, 14):
            scene.seen[view, frame] = scene.seen[view, frame][1:]
    monkeypatch.setattr(detecting, "MediaPipeDetector", scene.detector)
    save_pretrained(tiny(), tmp_path / "weights")

    def truthful(self, crops, left, begun, metres=1.0):
        """A network that knows all, off by a millimetre on each axis; it is asked for both hands of every frame."""
        assert left.tolist() == [True, False] * T
        joints = world.reshape(-1, 21, 3) + 0.001
        joints[41] += 0.3  # but for the right hand of frame 20: it is lost, and the network knows that
        pose = crops.crop_from_world
        centre = -np.einsum("hvji,hvj->hvi", pose[..., :3, :3], pose[..., :3, 3])
        ways = joints[:, None] - centre[:, :, None]
        ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
        score = np.ones((len(left), 21))
        score[41] = 0.1
        return Round(joints, score, joints, Alone(ways, np.broadcast_to(score[:, None], ways.shape[:3])))

    monkeypatch.setattr(mvexonet.Annotator, "round", truthful)
    command = [
        "annotate",
        str(tmp_path / "take"),
        "--out",
        str(tmp_path / "store"),
        "--until",
        "label",
        "--workers",
        "1",
    ]
    assert main(command) == 0
    folder = tmp_path / "store.stages" / "take"
    plain = dict(np.load(folder / "labels.npz"))
    assert not (folder / "refined").exists()
    assert main([*command, "--network", str(tmp_path / "weights"), "--rounds", "2"]) == 0
    found, refined = dict(np.load(folder / "labels.npz")), np.load(folder / "refined" / "00000000.npz")
    assert refined["rounds"].shape == (2, T, 2, 21, 3)
    assert found["valid"].all()
    assert (found["views"][9:14, 0] == 3).all()  # where geometry alone has nothing, or a filled gap
    assert (plain["views"][9:14, 0] == 0).all()
    assert (found["views"][20, 1] == 0).all()
    off = 1000 * np.linalg.norm(found["joints_m"] - world, axis=-1)
    before = 1000 * np.linalg.norm(plain["joints_m"] - world, axis=-1)[plain["valid"]]
    assert np.median(off) == pytest.approx(3**0.5, abs=0.3)
    assert np.median(off) < 0.7 * np.median(before)
    sure = np.ones((T, 2), bool)
    sure[20, 1] = False
    assert np.abs(refined["rounds"] - world)[:, sure].max() == pytest.approx(0.001, abs=1e-6)
    assert off[20, 1].max() < 10
    stamp = (folder / "refined" / "00000000.npz").stat().st_mtime_ns
    assert main([*command, "--network", str(tmp_path / "weights"), "--rounds", "2"]) == 0
    assert (folder / "refined" / "00000000.npz").stat().st_mtime_ns == stamp
    assert main([*command, "--network", str(tmp_path / "weights"), "--rounds", "0"]) == 2
    assert "the network looks 1 to 20 times, found 0 rounds" in capsys.readouterr().err
    assert main([*command, "--network", str(tmp_path / "nowhere")]) == 2
    assert "config.json is missing; give a training run of MVExoNet" in capsys.readouterr().err


def test_a_store_of_poses_alone_is_refused(tmp_path, capsys):
    dotted_store(tmp_path / "poses", pictures=False, splits=("train",))
    assert main(["train", "mvexonet", "--data", str(tmp_path / "poses"), "--out", str(tmp_path / "run")]) == 2
    assert "is a store of poses alone; MVExoNet is trained on pictures" in capsys.readouterr().err
