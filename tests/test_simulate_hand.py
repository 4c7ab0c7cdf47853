"""The parametric hand: kinematics, surface, colours and fitting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handloom.errors import InputError
from handloom.geometry.transforms import apply_rigid, rigid, rotation_from_vector
from handloom.simulate.complexion import skin_colours, skin_tone
from handloom.simulate.fit import fit
from handloom.simulate.flesh import REST_ANGLES, flesh
from handloom.simulate.hand import (
    DIP_OF_PIP,
    DOF_COUNT,
    DOF_NAMES,
    FRAMES,
    GRASPS,
    LOWER,
    UPPER,
    HandShape,
    bone_frames,
    clamp,
    forward,
    grasp,
    wrist_towards,
)
from handloom.simulate.polygonise import spread, surface_nets, vertex_normals
from handloom.simulate.surface import hand_surface, skin
from handloom.skeleton import BONES, FINGERTIPS, LEFT, RIGHT, bone_lengths
from made_up_hands import moving_hand

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
SIDES = (LEFT, RIGHT)


def random_poses(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    places = rigid(rotation_from_vector(rng.normal(0, 1.5, (count, 3))), rng.normal(0, 0.5, (count, 3)))
    return places, clamp(rng.uniform(LOWER, UPPER, (count, DOF_COUNT)))


def angles_of(**degrees: float) -> np.ndarray:
    angles = np.zeros(DOF_COUNT)
    for name, value in degrees.items():
        angles[DOF_NAMES.index(name)] = np.radians(value)
    return angles


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].astype(float).transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def assert_closed(vertices: np.ndarray, faces: np.ndarray, euler: int | None = None) -> None:
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)  # neighbours agree on the outside
    edges, uses = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert (uses == 2).all()
    if euler is not None:
        assert len(np.unique(faces)) == len(vertices)
        assert len(vertices) - len(edges) + len(faces) == euler


# Kinematics


@pytest.mark.parametrize("side", SIDES)
def test_bones_keep_the_lengths_of_the_shape(side):
    shape = HandShape.sample(np.random.default_rng(1), side)
    joints = forward(shape, *random_poses(2, 50))
    np.testing.assert_allclose(bone_lengths(joints), np.broadcast_to(shape.lengths_m, (50, 20)), atol=1e-12)


def test_the_left_hand_is_the_mirror_image_of_the_right():
    left, right = (HandShape.sample(np.random.default_rng(3), side) for side in SIDES)
    places, angles = random_poses(4, 20)
    mirrored = forward(left, MIRROR @ places @ MIRROR, angles)
    np.testing.assert_allclose(mirrored, forward(right, places, angles) * (-1, 1, 1), atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_frames_sit_at_the_joints_and_point_along_the_bones(side):
    shape = HandShape.sample(np.random.default_rng(5), side)
    places, angles = random_poses(6, 10)
    joints, frames = forward(shape, places, angles), bone_frames(shape, places, angles)
    np.testing.assert_allclose(np.linalg.det(frames[..., :3, :3]), 1)
    for finger in range(5):
        for k in range(3):
            frame, start = frames[:, 1 + 3 * finger + k], 1 + 4 * finger + k
            bone = joints[:, start + 1] - joints[:, start]
            np.testing.assert_allclose(frame[:, :3, 3], joints[:, start], atol=1e-12)
            np.testing.assert_allclose(bone / np.linalg.norm(bone, axis=-1, keepdims=True), frame[:, :3, 1], atol=1e-9)


@pytest.mark.parametrize("side", SIDES)
def test_flexion_bends_to_the_palm_and_moves_one_finger_only(side):
    shape = HandShape.average(side)
    still = forward(shape, np.eye(4), np.zeros(DOF_COUNT))
    for finger, name in enumerate(("index", "middle", "ring", "little"), 1):
        bent = forward(shape, np.eye(4), angles_of(**{f"{name}_pip_flexion": 60}))
        moved = np.flatnonzero(np.linalg.norm(bent - still, axis=-1) > 1e-9)
        assert moved.tolist() == [3 + 4 * finger, 4 + 4 * finger]
        assert bent[4 + 4 * finger, 2] < still[4 + 4 * finger, 2] - 0.02
        a, b, c = np.diff(bent[1 + 4 * finger : 5 + 4 * finger], axis=0)
        bends = [np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))) for u, v in ((a, b), (b, c))]
        np.testing.assert_allclose(bends, [60, 60 * DIP_OF_PIP])


def test_spreading_opens_the_gaps_and_cupping_lowers_the_little_finger():
    shape = HandShape.average(RIGHT)
    together, apart = forward(shape, np.eye(4), np.zeros(DOF_COUNT)), forward(shape, np.eye(4), grasp("open"))
    tips = list(FINGERTIPS)
    gaps = [np.linalg.norm(np.diff(joints[tips], axis=0), axis=-1) for joints in (together, apart)]
    assert (gaps[1] > gaps[0] + 0.005).all()
    drop = together[[5, 9, 13, 17], 2] - forward(shape, np.eye(4), angles_of(palm_cupping=20))[[5, 9, 13, 17], 2]
    assert drop[0] == drop[1] == 0
    assert 0.008 < drop[2] < drop[3] < 0.03


@pytest.mark.parametrize("side", SIDES)
def test_wrist_towards_points_the_forearm_at_the_elbow_and_leaves_the_joints(side):
    shape = HandShape.average(side)
    places, angles = random_poses(7, 30)
    elbow = places[:, :3, 3] + np.random.default_rng(8).normal(0, 0.2, (30, 3))
    before = forward(shape, places, angles)
    angles[:, -2:] = wrist_towards(side, places, elbow)
    forearm = bone_frames(shape, places, angles)[:, FRAMES.index("forearm")]
    offset = elbow - forearm[:, :3, 3]
    np.testing.assert_allclose(-forearm[:, :3, 1], offset / np.linalg.norm(offset, axis=-1, keepdims=True), atol=1e-9)
    np.testing.assert_array_equal(forward(shape, places, angles), before)


def test_clamp_limits_each_angle_and_a_bent_finger_spreads_less():
    assert (clamp(np.full(DOF_COUNT, 9.0)) <= UPPER).all()
    assert (clamp(np.full(DOF_COUNT, -9.0)) >= LOWER).all()
    spread_out = angles_of(little_mcp_abduction=35)
    np.testing.assert_array_equal(clamp(spread_out), spread_out)
    bent = clamp(angles_of(little_mcp_flexion=90, little_mcp_abduction=35))
    np.testing.assert_allclose(bent[DOF_NAMES.index("little_mcp_abduction")], np.radians(7))


@pytest.mark.parametrize("name", GRASPS)
def test_grasps_are_possible_and_interpolate(name):
    apertures = np.linspace(0, 1, 5)
    angles = grasp(name, apertures)
    np.testing.assert_allclose(clamp(angles), angles, atol=np.radians(0.5))
    np.testing.assert_allclose(angles[2], (grasp(name) + grasp(name, 1.0)) / 2)


def test_a_pinch_closes_and_opens():
    shape = HandShape.average(RIGHT)
    joints = forward(shape, np.eye(4), grasp("pinch", np.linspace(0, 1, 9)))
    gap = np.linalg.norm(joints[:, 4] - joints[:, 8], axis=-1)
    assert gap[0] < shape.radii_m[4] + shape.radii_m[8] + 0.004
    assert (np.diff(gap) > 0.002).all()
    assert gap[-1] > 0.06


def test_grasps_refuse_what_they_do_not_know():
    with pytest.raises(InputError, match="unknown grasp 'grab'; known: flat, open"):
        grasp("grab")
    with pytest.raises(InputError, match=r"aperture must lie in 0 ... 1, found 0.5 ... 1.5"):
        grasp("power", np.array([0.5, 1.5]))


# Shapes


def test_sampled_shapes_are_adults_and_the_same_for_both_sides():
    shapes = [HandShape.sample(np.random.default_rng(seed), RIGHT) for seed in range(300)]
    lengths = np.array([shape.lengths_m for shape in shapes])
    assert 0.085 < lengths[:, 8].mean() < 0.095
    spread = lengths.std(0) / lengths.mean(0)
    assert (spread > 0.045).all()
    assert (spread < 0.09).all()
    assert np.corrcoef(lengths.T).min() > 0.3  # large hands are large all over
    left = HandShape.sample(np.random.default_rng(7), LEFT)
    assert left.side == LEFT
    np.testing.assert_array_equal(left.lengths_m, shapes[7].lengths_m)
    np.testing.assert_array_equal(left.radii_m, shapes[7].radii_m)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 2}, r"side is 0 \(left\) or 1 \(right\), found 2"),
        (
            {"lengths_m": np.r_[np.full(4, 0.03), 0.0, np.full(15, 0.03)]},
            "lengths_m must be positive, found 0.0 at index 4",
        ),
        ({"radii_m": np.r_[np.full(20, 0.01), np.nan]}, "radii_m must be positive, found nan at index 20"),
        ({"base_directions": np.full((5, 3), 0.9)}, "base_directions must be unit vectors"),
    ],
)
def test_impossible_shapes_are_refused(change, message):
    average = HandShape.average(RIGHT)
    values = {name: getattr(average, name) for name in ("side", "lengths_m", "base_directions", "radii_m")}
    with pytest.raises(InputError, match=message):
        HandShape(**{**values, **change})


# Polygonising


def test_a_sphere_becomes_a_closed_even_sphere():
    def sphere(points):
        return np.linalg.norm(points - 0.01, axis=-1) - 0.3

    corner = np.full(3, 0.4)
    vertices, faces = surface_nets(sphere, -corner, corner, 0.05)
    vertices = spread(sphere, vertices, faces, 5)
    assert_closed(vertices, faces, euler=2)
    np.testing.assert_allclose(np.linalg.norm(vertices - 0.01, axis=-1), 0.3, atol=1e-6)
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.03)
    np.testing.assert_allclose(vertex_normals(vertices, faces), (vertices - 0.01) / 0.3, atol=0.05)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_any_field_gives_a_closed_mesh(seed):
    rng = np.random.default_rng(seed)
    values = np.full((8, 8, 8), 1.0)
    values[1:-1, 1:-1, 1:-1] = rng.standard_normal((6, 6, 6))

    def field(points):
        return values[tuple(np.round(points).astype(int).T)]

    vertices, faces = surface_nets(field, np.zeros(3), np.full(3, 7.0), 1.0)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert volume(vertices, faces) > 0


# Surface


@pytest.fixture(scope="module", params=[(LEFT, 0), (RIGHT, 1), (RIGHT, 2)])
def hand(request):
    side, seed = request.param
    shape = HandShape.sample(np.random.default_rng(seed), side)
    return shape, hand_surface(shape)


def test_the_skin_is_closed_and_faces_outwards(hand):
    _, surface = hand
    assert 2000 <= len(surface.vertices_m) <= 4000
    assert_closed(surface.vertices_m, surface.faces, euler=2)
    assert 0.5e-3 < volume(surface.vertices_m, surface.faces) < 1.6e-3
    corners = surface.vertices_m[surface.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    assert (normal * vertex_normals(surface.vertices_m, surface.faces)[surface.faces].mean(1)).sum(-1).min() > 0.5


def test_the_skin_lies_on_the_flesh_around_the_joints(hand):
    shape, surface = hand
    joints = forward(shape, np.eye(4), REST_ANGLES)
    mirror = (-1, 1, 1) if shape.side == LEFT else (1, 1, 1)
    assert np.abs(flesh(shape).distance(surface.vertices_m * mirror)).max() < 5e-4
    depth = np.linalg.norm(surface.vertices_m[:, None] - joints, axis=-1).min(0)
    assert (depth > 0.3 * shape.radii_m).all()
    assert (depth < 1.6 * shape.radii_m).all()
    assert 0.002 < surface.vertices_m[:, 1].max() - joints[12, 1] < 0.006  # the middle finger's tip


def test_the_average_hand_is_85_mm_broad_at_the_knuckles():
    shape = HandShape.average(RIGHT)
    surface = hand_surface(shape)
    flat = skin(surface, bone_frames(shape, np.eye(4), grasp("flat")))
    palm = surface.weights[:, [0, 4, 7, 10, 13, 16, 17]].sum(1) > 0.6
    assert np.ptp(flat[palm & (np.abs(flat[:, 1] - 0.08) < 0.008), 0]) == pytest.approx(0.085, abs=0.003)


def test_weights_are_smooth_shares(hand):
    _, surface = hand
    assert (surface.weights >= 0).all()
    np.testing.assert_allclose(surface.weights.sum(1), 1)
    ends = np.concatenate([surface.faces[:, [0, 1]], surface.faces[:, [1, 2]]])
    step = np.abs(surface.weights[ends[:, 0]] - surface.weights[ends[:, 1]]).max(1)
    assert step.max() < 0.5


def test_skin_at_rest_is_the_surface_and_moves_with_the_world(hand):
    shape, surface = hand
    places, angles = random_poses(11, 6)
    rest = skin(surface, bone_frames(shape, np.eye(4), REST_ANGLES))
    np.testing.assert_allclose(rest, surface.vertices_m, atol=1e-6)
    here = skin(surface, bone_frames(shape, np.eye(4), angles))
    there = skin(surface, bone_frames(shape, places, angles))
    np.testing.assert_allclose(there, apply_rigid(places, here.astype(float)), atol=3e-6)
    # Whatever the batch, the same numbers.
    np.testing.assert_array_equal(there[3], skin(surface, bone_frames(shape, places[3], angles[3])))


@pytest.mark.parametrize("name", GRASPS)
def test_bent_skin_keeps_its_volume_and_stays_around_the_bones(hand, name):
    shape, surface = hand
    angles = grasp(name)
    vertices = skin(surface, bone_frames(shape, np.eye(4), angles)).astype(float)
    assert volume(vertices, surface.faces) == pytest.approx(volume(surface.vertices_m, surface.faces), rel=0.05)
    edges = np.linalg.norm(np.diff(vertices[surface.faces[:, :2]], axis=1)[:, 0], axis=-1)
    rest = np.linalg.norm(np.diff(surface.vertices_m[surface.faces[:, :2]], axis=1)[:, 0], axis=-1)
    assert np.percentile(edges / rest, 99.5) < 2.5
    joints = forward(shape, np.eye(4), angles)
    nearest = np.linalg.norm(vertices[surface.weights[:, 3] > 0.99] - joints[4], axis=-1)
    assert nearest.max() < shape.lengths_m[3] + shape.radii_m[3]


def test_the_left_surface_is_the_mirror_image():
    left, right = (hand_surface(HandShape.sample(np.random.default_rng(5), side)) for side in SIDES)
    np.testing.assert_allclose(left.vertices_m, right.vertices_m * (-1, 1, 1), atol=1e-12)
    np.testing.assert_array_equal(left.faces, right.faces[:, ::-1])
    shape = HandShape.sample(np.random.default_rng(5), LEFT)
    fist = skin(left, bone_frames(shape, np.eye(4), grasp("fist")))
    shape = HandShape.sample(np.random.default_rng(5), RIGHT)
    np.testing.assert_allclose(
        fist, skin(right, bone_frames(shape, np.eye(4), grasp("fist"))) * np.float32([-1, 1, 1]), atol=1e-6
    )


# Colours


def test_palms_and_nails_of_dark_skin_are_lighter_than_its_back(hand):
    _, surface = hand
    colours = skin_colours(surface, skin_tone(0.8), np.random.default_rng(0))
    assert colours.min() >= 0
    assert colours.max() <= 1
    to_part = surface.part_from_hand[surface.weights.argmax(1)]
    facing = np.einsum("vi,vi->v", to_part[:, 2, :3], vertex_normals(surface.vertices_m, surface.faces))
    palm = surface.weights[:, [0, 16, 17]].sum(1) > 0.9
    back = colours[palm & (facing > 0.8)].mean(0)
    assert (colours[palm & (facing < -0.8)].mean(0) > back + 0.1).all()
    brightest = colours[surface.weights[:, 6] > 0.9].max(0)
    assert (brightest > back + 0.2).all()
    again = skin_colours(surface, skin_tone(0.8), np.random.default_rng(0))
    np.testing.assert_array_equal(colours, again)


def test_skin_tones_run_from_light_to_dark():
    shades = np.array([skin_tone(darkness) for darkness in np.linspace(0, 1, 20)])
    assert (np.diff(shades.mean(1)) < 0).all()
    with pytest.raises(InputError, match=r"darkness must lie in 0 ... 1, found 1.2"):
        skin_tone(1.2)


# Fitting


@pytest.mark.parametrize(("side", "seed", "frames"), [(LEFT, 0, 1), (RIGHT, 1, 40), (LEFT, 2, 200), (RIGHT, 3, 6)])
def test_fit_recovers_our_own_hands(side, seed, frames):
    shape = HandShape.sample(np.random.default_rng(seed), side)
    joints = forward(shape, *random_poses(seed, frames))
    found = fit(joints, side)
    assert found.error_m.mean() < 1e-4
    assert found.error_m.max() < 5e-4
    np.testing.assert_allclose(found.shape.lengths_m, shape.lengths_m, atol=1e-4)
    assert found.shape.side == side
    again = forward(found.shape, found.pose.world_from_hand, found.pose.angles)
    np.testing.assert_allclose(np.linalg.norm(again - joints, axis=-1), found.error_m, atol=1e-9)


def test_fit_averages_noise_out_and_bridges_missing_joints():
    rng = np.random.default_rng(5)
    shape = HandShape.sample(rng, RIGHT)
    share = 0.5 + 0.5 * np.sin(np.linspace(0, 6, 80))
    joints = forward(shape, random_poses(6, 1)[0][0], grasp("power", share))
    seen = joints + rng.normal(0, 0.003, joints.shape)
    seen[rng.random(seen.shape[:2]) < 0.15] = np.nan
    seen[50] = np.nan
    found = fit(seen, RIGHT)
    hand = forward(found.shape, found.pose.world_from_hand, found.pose.angles)
    assert np.isnan(hand[50]).all()
    assert np.isnan(found.error_m[50]).all()
    rows = np.arange(80) != 50
    assert np.isfinite(hand[rows]).all()
    error = np.linalg.norm(hand - joints, axis=-1)[rows]
    noise = np.linalg.norm(seen - joints, axis=-1)[rows]
    assert error.mean() < 0.85 * np.nanmean(noise)


def test_a_stray_fingertip_hardly_moves_the_rest():
    shape = HandShape.sample(np.random.default_rng(9), LEFT)
    joints = forward(shape, np.eye(4), grasp("relaxed", np.zeros(20)))
    seen = joints.copy()
    seen[7, 8, 0] += 0.1
    found = fit(seen, LEFT)
    error = np.delete(
        np.linalg.norm(forward(found.shape, found.pose.world_from_hand, found.pose.angles) - joints, axis=-1), 8, 1
    )
    assert error[7].max() < 0.012
    assert np.delete(error, 7, 0).max() < 3e-4


def test_fit_stays_within_the_limits_of_a_hand():
    found = fit(forward(HandShape.average(RIGHT), np.eye(4), np.tile(UPPER + 0.4, (3, 1))), RIGHT)
    excess = np.abs(found.pose.angles - clamp(found.pose.angles))
    assert excess.max() < 0.4


def test_fit_follows_a_track_that_is_no_hand_of_ours():
    found = fit(moving_hand(30), LEFT)
    assert found.error_m.mean() < 0.004
    np.testing.assert_allclose(np.linalg.det(found.pose.world_from_hand[:, :3, :3]), 1)


def test_fit_names_what_is_wrong_with_a_track():
    joints = np.full((4, 21, 3), np.nan)
    with pytest.raises(InputError, match="in none of 4 frames are three joints of the palm known"):
        fit(joints, RIGHT)
    with pytest.raises(InputError, match=r"found bones 1e.03 times as long as an adult's; convert the track's unit"):
        fit(1000 * moving_hand(4), RIGHT)
    with pytest.raises(InputError, match=r"has shape \(frames, 21, 3\), found \(4, 20, 3\)"):
        fit(np.zeros((4, 20, 3)), RIGHT)


def test_bones_are_listed_finger_by_finger():
    # The shape's arrays are reshaped to (finger, bone); this is what that relies on.
    assert [child for _, child in BONES] == list(range(1, 21))
