"""Sleeves: closed tubes from the shoulders of the trunk over the ends of the forearms, which leave the wrists free."""

import numpy as np
import pytest

from handloom.geometry import apply_rigid
from handloom.simulate.hand import bone_frames
from handloom.simulate.mesh import BACKGROUND
from handloom.simulate.scene import build_set
from handloom.simulate.simulation import Options, Simulation
from handloom.simulate.sleeve import FOREARM, SHOULDER_M
from handloom.skeleton import LEFT, WRIST


@pytest.fixture(scope="module", params=["h2o", "fpha"])
def built(request):
    seconds = None if request.param == "fpha" else 3.0
    simulation = Simulation(request.param, Options(subjects=1, repetitions=1, seconds=seconds, size=(48, 28)))
    return build_set(simulation.take(simulation.names[0]))


def arms(built, stride=6):
    """Hand, its skin and its sleeve in the world, and the forearm's frame, in every `stride`-th frame."""
    motion, person = built.take.motion, built.take.person
    for frame in range(0, len(motion), stride):
        placed = built.placements(frame)
        for k, hand in enumerate(built.shown):
            shape = (person.left, person.right)[hand]
            parts = bone_frames(shape, motion.world_from_hand[frame, hand], motion.angles[frame, hand])
            yield frame, k, placed[k], placed[len(built.shown) + k], parts[FOREARM]


def winding(points, vertices, faces):
    """How often a closed surface surrounds each point: 1 inside, 0 outside (Van Oosterom & Strackee 1983)."""
    a, b, c = np.moveaxis(vertices[faces][None] - points[:, None, None], 2, 0)
    la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
    volume = (a * np.cross(b, c)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return 2 * np.arctan2(volume, below).sum(-1) / (4 * np.pi)


def test_a_sleeve_is_closed_and_belongs_to_the_trunk(built):
    trunk, sleeves = built.scene.background[-1], built.scene.moving[len(built.shown) :][: len(built.shown)]
    for mesh in sleeves:
        edges = np.concatenate([mesh.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        directed = {(int(a), int(b)) for a, b in edges}
        assert len(directed) == len(edges)
        assert directed == {(b, a) for a, b in directed}
        assert mesh.instance == BACKGROUND == trunk.instance
        assert mesh.texture is trunk.texture
    assert len(sleeves) == len(built.shown)


def test_ends_lie_in_the_trunk_and_over_the_forearm_in_every_frame(built):
    for _, k, _, sleeve, forearm in arms(built, stride=1):
        shoulder = SHOULDER_M * ((-1, 1, 1) if built.shown[k] == LEFT else (1, 1, 1))
        assert np.linalg.norm(sleeve[-1] - shoulder) == pytest.approx(0.064, abs=1e-6)
        stub = -float(apply_rigid(built.surfaces[k].part_from_hand[FOREARM], built.surfaces[k].vertices_m)[:, 1].min())
        cuff = forearm[:3, :3].T @ (sleeve[-2] - forearm[:3, 3])
        np.testing.assert_allclose(cuff, (0, -0.5 * stub, 0), atol=1e-6)


def test_the_end_of_the_forearm_is_inside_and_the_hand_outside(built):
    for _, k, skin, sleeve, forearm in arms(built, stride=24):
        faces = built.scene.moving[len(built.shown) + k].faces
        stub = -((skin - forearm[:3, 3]) @ forearm[:3, 1])
        length = stub.max()
        skin, stub = skin[::6], stub[::6]
        assert (winding(skin[stub > 0.55 * length], sleeve, faces) > 0.5).all()
        assert (winding(skin[stub < 0.4 * length], sleeve, faces) < 0.5).all()


def test_wrists_stay_free(built):
    for frame, k, _, sleeve, _ in arms(built):
        wrist = built.take.joints_m[frame, built.shown[k], WRIST]
        assert np.linalg.norm(sleeve - wrist, axis=-1).min() > 0.09
