"""Crops, targets and evaluation of AssemblyHands' toolkit (shared/golden/annotation.md, 3.2 and 3.3)."""

import zlib
from pathlib import Path

import numpy as np
import pytest

import annotation_golden as formulas
from handloom.geometry import Pinhole
from handloom.geometry.pinhole_views import affine_to_square, square_boxes, square_views, whole_squares
from with_torch import needs_torch

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "internet.npz"
pytestmark = [
    needs_torch,
    pytest.mark.skipif(not GOLDEN.exists(), reason="the golden numbers are not beside this checkout"),
]


def near(found, name, tolerance=1e-3):
    np.testing.assert_allclose(found, np.load(GOLDEN)[name], rtol=0, atol=tolerance, err_msg=name)


def inverse(affine):
    whole = np.concatenate([affine, np.broadcast_to([[0.0, 0.0, 1.0]], (len(affine), 1, 3))], 1)
    return np.linalg.inv(whole)[:, :2]


def test_boxes_become_squares_of_whole_pixels():
    boxes = formulas.boxes()
    near(square_boxes(boxes), "box_square_xywh")
    squares = whole_squares(boxes)
    ends = np.concatenate([squares[:, :2], squares[:, :2] + squares[:, 2:]], 1)
    assert (ends == np.load(GOLDEN)["box_crop_xyxy"]).all()
    views = square_views(Pinhole(636, 480, 190.0, 191.0, 316.0, 238.0), squares, 256)
    near(views.matrix, "box_K")
    unit = square_views(Pinhole(636, 480, 1.0, 1.0, 0.0, 0.0), squares, 256).matrix[:, :2]
    near(unit, "box_full_matrix")
    halves = [
        affine_to_square(np.full(2, side / 2), np.full(2, side), 1.0, 0.0, 256) for side in squares[:, 2].astype(float)
    ]
    near(halves, "box_matrix")
    near(inverse(np.array(halves)), "box_inverse")


def test_turned_boxes_become_squares():
    cases = formulas.affine_cases()
    columns = (cases[name] for name in ("centre", "size", "scale", "rotation"))
    found = np.array([affine_to_square(*case, 256) for case in zip(*columns)])
    near(found, "affine_matrix")
    near(inverse(found), "affine_inverse")


@pytest.fixture(scope="module")
def items():
    """The six hands of the golden frames: frame, hand, views, joints in metres, annotated validity of both hands."""
    from handloom.estimators.ego_crops import ENOUGH_JOINTS, OURS, cutter, hand_targets
    from handloom.models.internet import InterNetConfig

    config = InterNetConfig(crops="square", other_hand=False)
    found = []
    for number, sample in enumerate(formulas.samples()):
        K, Rt = (sample[name].astype(np.float64) for name in ("K", "Rt"))
        camera = Pinhole(636, 480, K[0, 0], K[1, 1], K[0, 2], K[1, 2])
        joints = ((sample["world"] @ Rt[:, :3].T + Rt[:, 3]) / 1000).reshape(2, 21, 3)[::-1, OURS]
        valid = sample["valid"].reshape(2, 21)[::-1, OURS]
        for hand in (1, 0):
            if (number, hand) == (0, 0):
                continue
            cut = cutter(config, camera, sample["box"][None, 1 - hand].astype(np.float32))
            targets = hand_targets(config, cut.views, joints[None], valid[None], np.array([hand]))
            if targets.joint_valid.sum() >= ENOUGH_JOINTS:
                found.append((number, hand, cut, targets, joints, valid))
    return config, found


def test_items(items):
    _, found = items
    golden = np.load(GOLDEN)
    assert [(frame, 1 - hand) for frame, hand, *_ in found] == list(zip(golden["item_frame"], golden["item_is_left"]))
    targets = [item[3] for item in found]
    # z of a joint in voxels; x and y are a quarter of the pixels.
    near(np.concatenate([t.joints for t in targets]), "item_joint_heatmap_xyz")
    assert (np.concatenate([t.joint_valid for t in targets]) == golden["item_joint_valid"].astype(bool)).all()
    assert (np.concatenate([t.hands for t in targets]) == golden["item_hand_type"].astype(bool)).all()
    assert (np.concatenate([t.root_valid for t in targets]) == golden["item_root_valid"].astype(bool)).all()
    near(np.concatenate([t.root_bin for t in targets]), "item_rel_root_depth_bin")
    views = np.concatenate([item[2].views.matrix for item in found])
    near(views[:, [0, 1], [0, 1]], "item_focal")
    near(views[:, :2, 2], "item_principal_point")
    depths = np.stack([item[4][::-1, 0, 2] for item in found])
    near(1000 * depths, "item_wrist_depth_mm")


def test_pictures(items):
    from handloom.estimators.ego_crops import cut_square

    golden = np.load(GOLDEN)
    pictures = [formulas.picture(f"internet/frame{k}", 480, 636) for k in range(4)]
    assert [zlib.crc32(picture.tobytes()) for picture in pictures] == golden["frame_crc32"].tolist()
    found = np.stack([cut_square(pictures[frame], cut.squares[0], 256) for frame, _, cut, *_ in items[1]])
    found = found.transpose(0, 3, 1, 2)
    near(found[:, :, 5::18, 7::18].astype(int), "item_image_samples", 1)
    near(found.mean((2, 3)) / 255, "item_image_mean", 2e-4)


def test_evaluation(items):
    from handloom.estimators.ego_crops import OURS, RELEASED, depths_of
    from handloom.metrics.pose import joint_means, mepe
    from handloom.metrics.wrist_relative import wrist_relative_errors

    config, found = items
    golden = np.load(GOLDEN)
    said = formulas.predictions(len(found))
    points, truths, valid, hands = [], [], [], []
    for (_, hand, cut, _, joints, known), voxels in zip(found, said["joint_coord"].astype(np.float64)):
        wrists = np.repeat(joints[::-1, 0, 2], 21)
        depth = depths_of(config, voxels[:, 2]) + wrists
        both = cut.views.back_project(4 * voxels[None, :, :2], depth[None])[0]
        points.append(both)
        truths.append(joints[hand])
        valid.append(known[hand])
        hands.append(hand)
    near(1000 * np.stack(points), "back_projected_mm")
    own = np.stack([both.reshape(2, 21, 3)[1 - hand, OURS] for both, hand in zip(points, hands)])
    errors = wrist_relative_errors(own, np.stack(truths), np.stack(valid), np.array(hands))
    near(1000 * joint_means(errors)[::-1, RELEASED].ravel(), "evaluation_mpjpe_per_joint_mm")
    near(1000 * mepe(errors), "evaluation_mpjpe_mm")
    truth = np.concatenate([item[3].hands for item in found])
    right = ((said["hand_type"] > 0.5) == truth).all(1)
    assert [right.sum(), len(right)] == golden["evaluation_hand_type_correct"].tolist()
