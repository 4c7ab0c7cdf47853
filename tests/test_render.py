"""The renderer against exact answers: planes, triangles, spheres, plates and textures whose picture is known."""

import math

import cv2
import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import BrownConrady, Camera, KannalaBrandt, OVFishEye62, Pinhole, invert_rigid
from handloom.simulate.background import make_background
from handloom.simulate.mesh import FIRST_OBJECT, LEFT_HAND, RIGHT_HAND, Light, Mesh, Scene, joined
from handloom.simulate.objects import make_object
from handloom.simulate.props import PROPS
from handloom.simulate.render import Joints, Renderer
from handloom.simulate.shapes import box, pipe, plate, turned

SIZE = (96, 64)
CAMERAS: dict[str, Camera] = {
    "pinhole": Pinhole(*SIZE, 80.0, 82.0, 47.0, 31.0),
    "brown": BrownConrady(*SIZE, 80.0, 80.0, 47.5, 31.5, (0.08, -0.2, 2e-4, -4e-4, 0.1)),
    "kannala": KannalaBrandt(*SIZE, 30.0, 30.0, 47.5, 31.5, (0.05, -0.01, 0.0, 0.0)),
    "ov62": OVFishEye62(*SIZE, 29.0, 29.0, 47.0, 32.0, (0.24, -0.16, 0.05, -0.011, 4e-4, -3e-4, 1.1e-3, -5e-5)),
}
FORWARD = np.eye(4)


def triangle(corners: object, instance: int = 10, **look: object) -> Mesh:
    """One triangle, turned so that the camera at the origin sees its front."""
    points = np.array(corners, dtype=np.float32)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    order = [0, 1, 2] if normal @ points[0] < 0 else [0, 2, 1]
    return Mesh(points, np.array([order], np.int32), np.full((3, 3), 200, np.uint8), instance, **look)  # type: ignore[arg-type]


def wall(z: float, half: float = 50.0, instance: int = 10, **look: object) -> Mesh:
    """A square facing the camera."""
    corners = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.int32)
    return Mesh(corners, faces, np.full((4, 3), 180, np.uint8), instance, **look)  # type: ignore[arg-type]


def sphere(radius: float, instance: int, rings: int = 40) -> Mesh:
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings)
    return turned(radius * np.stack([np.cos(angle), np.sin(angle)], -1), (210, 120, 90), None, instance, 0.3, 2 * rings)


def at(x: float, y: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


def rays_of(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    return camera.unproject(np.stack([columns, rows], -1))


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_a_plane_has_its_depth_at_every_pixel(camera: Camera) -> None:
    picture = Renderer(Scene((wall(0.7),)), camera).render(FORWARD)
    rays, valid = rays_of(camera)
    # The square ends at 50 m: rays nearer to the plane's own direction miss it.
    reach = np.abs(rays[..., :2]).max(-1) * 0.7 / np.where(rays[..., 2] > 0, rays[..., 2], np.nan)
    meets = valid & (reach < 49)
    misses = ~valid | ~(reach < 51)
    assert meets.sum() > 1000
    np.testing.assert_allclose(picture.depth_m[meets], 0.7, rtol=2e-5)
    assert (picture.depth_m[misses] == 0).all()
    assert (picture.instances[meets] == 10).all()


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("scale", [0.05, 0.6, 2.0])
def test_a_triangle_covers_what_the_camera_model_projects(camera: Camera, scale: float) -> None:
    corners = np.array([[-0.9, -0.5, 1.0], [0.8, -0.4, 1.4], [0.1, 0.7, 0.8]]) * (scale, scale, 1)
    picture = Renderer(Scene((triangle(corners),)), camera).render(FORWARD)
    drawn = picture.instances == 10
    share = np.linspace(0, 1, 300, endpoint=False)[:, None]
    edges = np.concatenate([(1 - share) * corners[k] + share * corners[(k + 1) % 3] for k in range(3)])
    outline, valid = camera.project(edges)
    assert valid.all()
    contour = outline.astype(np.float32)[:, None]
    distance = np.array(
        [[cv2.pointPolygonTest(contour, (x, y), True) for x in range(SIZE[0])] for y in range(SIZE[1])]
    )  # in pixels, positive inside
    assert drawn[distance > 0.02].all()
    assert not drawn[distance < -0.02].any()
    assert drawn.any()


def test_depth_of_a_slanted_triangle_is_exact_in_a_fisheye() -> None:
    camera = CAMERAS["kannala"]
    corners = np.array([[-0.9, -0.5, 0.3], [0.8, -0.4, 1.4], [0.1, 0.7, 0.2]])
    picture = Renderer(Scene((triangle(corners),)), camera).render(FORWARD)
    rays, _ = rays_of(camera)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    expected = rays[..., 2] * (normal @ corners[0]) / (rays @ normal)
    drawn = picture.instances == 10
    assert drawn.sum() > 200
    np.testing.assert_allclose(picture.depth_m[drawn], expected[drawn], rtol=2e-5)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_surface_hides_the_other(order: tuple[int, int]) -> None:
    meshes = (wall(1.0, 0.3, 11), wall(2.0, 50, 12))
    picture = Renderer(Scene(tuple(meshes[k] for k in order)), CAMERAS["pinhole"]).render(FORWARD)
    assert picture.instances[31, 47] == 11
    assert picture.instances[2, 2] == 12
    assert picture.depth_m[31, 47] == pytest.approx(1.0, rel=1e-5)
    assert (picture.instances == 11).sum() == pytest.approx(0.6**2 * 80 * 82, rel=0.05)


def test_surfaces_that_cross_are_cut_where_they_meet() -> None:
    tilted = triangle([[-3, -3, 0.5], [-3, 3, 0.5], [6, 0, 2.3]], 12)  # z = 1.1 + 0.2 x
    picture = Renderer(Scene((wall(1.1, instance=11), tilted)), CAMERAS["pinhole"]).render(FORWARD)
    row = picture.instances[31]
    assert (row[:47] == 12).all()
    assert (row[48:] == 11).all()


def test_textures_are_interpolated_in_perspective() -> None:
    camera = CAMERAS["pinhole"]
    ramp = np.zeros((2, 256, 3), np.uint8)
    ramp[:, :, 0] = ramp[:, :, 1] = ramp[:, :, 2] = np.where(np.arange(256) < 128, 0, 255)
    # A floor whose texture changes from black to white at z = 2, half way along in space, not in the picture.
    corners = np.array([[-9, 0.5, 1], [9, 0.5, 1], [9, 0.5, 3], [-9, 0.5, 3]], np.float32)
    uv = np.array([[0, 0.5], [0, 0.5], [1, 0.5], [1, 0.5]], np.float32)
    floor = Mesh(
        corners,
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        np.full((4, 3), 255, np.uint8),
        10,
        uv,
        ramp,
        0,
    )
    light = Light((0, -1, 0), (1, 1, 1), (0, 0, 0))
    image = Renderer(Scene((floor,), (), light), camera).render(FORWARD).image[:, 47, 0]
    z = 0.5 * camera.fy / (np.arange(64) - camera.cy + 1e-9)
    seen = (z > 1.02) & (z < 2.98)
    near, far = seen & (z < 1.97), seen & (z > 2.03)
    assert (image[near] == 0).all()
    assert (image[far] > 200).all()
    assert near.sum() > 5
    assert far.sum() > 5


@pytest.mark.parametrize("shine", [0.0, 0.1])
def test_a_texture_repeats_on_either_side_of_its_first_corner(shine: float) -> None:
    texture = np.random.default_rng(5).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    corners = np.array([[-1, 1], [2, 1], [2, -1.5], [-1, -1.5]], np.float32)
    scenes = [
        Scene((wall(1.0, 1.0, uv=corners + np.float32(shift), texture=texture, shine=shine),), (), Light())
        for shift in ((0, 0), (-3, -2), (4, 1))
    ]
    here, before, beyond = (Renderer(scene, CAMERAS["pinhole"]).render(FORWARD).image.astype(int) for scene in scenes)
    assert np.ptp(here) > 50
    assert np.abs(before - here).max() <= 4  # one of 32 steps between two texels
    assert np.abs(beyond - here).max() <= 4


@pytest.mark.parametrize("name", ["pinhole", "kannala"])
def test_the_mask_of_a_sphere_is_its_silhouette(name: str) -> None:
    camera, centre, radius = CAMERAS[name], np.array([0.1, -0.05, 0.6]), 0.2
    scene = Scene((), (sphere(radius, 17),))
    picture = Renderer(scene, camera).render(FORWARD, [at(*centre)])
    rays, valid = rays_of(camera)
    distance = np.linalg.norm(centre)
    angle = np.arccos(np.clip(rays @ (centre / distance), -1, 1))
    pixel = 1 / min(camera.fx, camera.fy)
    limit = math.asin(radius / distance)
    mask = picture.instances == 17
    assert mask[valid & (angle < limit - pixel)].all()
    assert not mask[valid & (angle > limit + pixel)].any()
    # The front of the sphere, up to the size of its facets.
    along = rays @ centre
    front = along - np.sqrt(np.maximum(along**2 - distance**2 + radius**2, 0))
    core = mask & (angle < 0.8 * limit)
    np.testing.assert_allclose(picture.depth_m[core], (front * rays[..., 2])[core], atol=1e-3)


def test_joints_are_hidden_by_what_is_in_front_of_them() -> None:
    camera = CAMERAS["pinhole"]
    plate_ = wall(0.5, 0.1, FIRST_OBJECT)
    finger = sphere(0.012, LEFT_HAND, 24)
    scene = Scene((plate_,), (finger, finger, finger, sphere(0.03, LEFT_HAND, 24)))
    places = [(0.0, 0, 0.7), (0.05, 0, 0.4), (0.25, 0.0, 0.7), (0.2, 0.0, 0.56)]
    outside, behind = (9.0, 0, 1.0), (0, 0, -1.0)
    points = np.array([*places[:3], places[3], outside, behind, (math.nan, 0, 1)])
    joints = Joints(points, np.full(7, LEFT_HAND), np.array([0.012] * 3 + [0.03] + [0.012] * 3))
    picture = Renderer(scene, camera).render(FORWARD, [at(*place) for place in places], joints)
    # Behind the plate; before it; behind another part of its own hand; inside that part; not in the picture (3 x).
    assert picture.visible.tolist() == [False, True, False, True, False, False, False]
    assert picture.inside.tolist() == [True, True, True, True, False, False, False]
    alone = Renderer(Scene((), (finger,)), camera).render(
        FORWARD, [at(*places[0])], Joints(points[:1], np.array([LEFT_HAND]), np.array([0.012]))
    )
    assert alone.visible.tolist() == [True]


def test_a_joint_inside_another_hand_is_hidden_however_thin_it_is() -> None:
    camera, place = CAMERAS["kannala"], (0.05, 0.02, 0.5)
    scene = Scene((), (sphere(0.01, LEFT_HAND, 24),))
    for own, expected in ((LEFT_HAND, True), (RIGHT_HAND, False)):
        joints = Joints(np.array([place]), np.array([own]), np.array([0.01]))
        assert Renderer(scene, camera).render(FORWARD, [at(*place)], joints).visible.tolist() == [expected]


def test_visibility_agrees_with_the_masks() -> None:
    """Joints on the surface of one sphere, half of them behind another: seen where the mask shows their body."""
    camera, rng = CAMERAS["pinhole"].resized(960, 640), np.random.default_rng(3)
    scene = Scene((), (sphere(0.2, LEFT_HAND), sphere(0.12, FIRST_OBJECT)))
    direction = rng.normal(size=(400, 3))
    direction[:, 2] = -np.abs(direction[:, 2]) - 0.3
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    points = 0.199 * direction + np.array([0, 0, 0.8])
    towards = -(direction * points).sum(-1) / np.linalg.norm(points, axis=-1)
    points = points[towards > 0.3]
    joints = Joints(points, np.full(len(points), LEFT_HAND), np.full(len(points), 0.005))
    picture = Renderer(scene, camera).render(FORWARD, [at(0, 0, 0.8), at(0.1, 0, 0.5)], joints)
    pixels = np.round(camera.project(points)[0]).astype(int)
    shown = picture.instances[pixels[:, 1], pixels[:, 0]] == LEFT_HAND
    assert (shown == picture.visible).mean() > 0.98  # rounding to pixels at the silhouette
    assert 50 < picture.visible.sum() < len(points) - 50


@pytest.fixture(scope="module")
def room() -> Scene:
    background, light = make_background(5)
    return Scene(background, (make_object(PROPS["milk"], 10), sphere(0.05, LEFT_HAND)), light)


LOOKING_DOWN = np.array([[1, 0, 0, 0], [0, -0.7, 0.7, -0.45], [0, -0.7, -0.7, 0.5], [0, 0, 0, 1.0]])
LOOKING_DOWN[:3, :3] /= np.linalg.norm(LOOKING_DOWN[:3, :3], axis=0)


def test_the_same_bytes_every_time(room: Scene) -> None:
    placements = [at(0, 0.05, 0.09), at(0.1, 0, 0.1)]
    first = Renderer(room, CAMERAS["pinhole"])
    a = first.render(LOOKING_DOWN, placements)
    first.render(LOOKING_DOWN @ at(0.1, 0, 0), [None, at(0, 0, 0.2)])  # nothing is left over from other frames
    for b in (
        first.render(LOOKING_DOWN, placements),
        Renderer(room, CAMERAS["pinhole"]).render(LOOKING_DOWN, placements),
    ):
        for name in ("image", "depth_m", "instances"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert set(np.unique(a.instances)) == {0, 1, 10}
    assert (a.depth_m > 0).all()  # a room has no holes
    assert a.image.std() > 20


def test_a_mirrored_scene_gives_the_mirrored_picture(room: Scene) -> None:
    camera = Pinhole(*SIZE, 60.0, 60.0, (SIZE[0] - 1) / 2, 31.5)
    mirror = np.diag([-1.0, 1, 1, 1])

    def mirrored(mesh: Mesh) -> Mesh:
        return Mesh(
            mesh.vertices * np.float32([-1, 1, 1]), mesh.faces[:, ::-1].copy(), mesh.colours, mesh.instance, mesh.uv,
            mesh.texture, mesh.shine,
        )  # fmt: skip

    light = Light((-room.light.towards[0], *room.light.towards[1:]), room.light.lamp, room.light.ambient)
    other = Scene(tuple(map(mirrored, room.background)), tuple(map(mirrored, room.moving)), light)
    placements = [at(0.02, 0.05, 0.09), at(0.1, 0, 0.1)]
    a = Renderer(room, camera).render(LOOKING_DOWN, placements)
    b = Renderer(other, camera).render(mirror @ LOOKING_DOWN @ mirror, [mirror @ p @ mirror for p in placements])
    assert (a.instances[:, ::-1] == b.instances).mean() > 0.999
    np.testing.assert_allclose(np.median(np.abs(a.depth_m[:, ::-1] - b.depth_m)), 0, atol=1e-6)
    difference = np.abs(a.image[:, ::-1].astype(int) - b.image)
    assert (difference <= 2).mean() > 0.99


@pytest.mark.parametrize("name", CAMERAS)
def test_vertices_that_are_not_finite_or_behind_the_camera_do_no_harm(name: str) -> None:
    ball = sphere(0.2, 20, 16)
    scene = Scene((wall(1.0),), (ball,))
    renderer = Renderer(scene, CAMERAS[name])
    vertices = ball.vertices.astype(np.float64) + np.array([0, 0, 0.6])
    vertices[::7] = np.nan
    vertices[3::7] = np.inf
    holes = renderer.render(FORWARD, [vertices])
    clean = renderer.render(FORWARD, [None])
    assert np.isfinite(holes.depth_m).all()
    same = holes.instances == clean.instances
    assert (holes.depth_m[same] == clean.depth_m[same]).all()
    for far in (at(0, 0, -0.6), at(0, 0, -30)):
        behind = renderer.render(FORWARD, [far])
        if name in ("pinhole", "brown"):
            assert behind.instances.tobytes() == clean.instances.tobytes()


def test_a_surface_that_reaches_behind_the_camera_is_cut_at_the_camera() -> None:
    camera = CAMERAS["pinhole"]
    # A floor from 5 m behind to 5 m in front, 0.3 m below.
    floor = triangle([[-20, 0.3, -5], [20, 0.3, -5], [0, 0.3, 5]])
    floor = Mesh(floor.vertices, np.array([[0, 1, 2]], np.int32), floor.colours, 10)
    if np.cross(*(floor.vertices[1:] - floor.vertices[0]))[1] > 0:
        floor = Mesh(floor.vertices, floor.faces[:, ::-1].copy(), floor.colours, 10)
    picture = Renderer(Scene((floor,)), camera).render(FORWARD)
    v = np.arange(64)
    z = 0.3 * camera.fy / (v - camera.cy + 1e-12)
    column = picture.depth_m[:, 47]
    shown = (z > 0) & (z < 4.9)
    np.testing.assert_allclose(column[shown], z[shown], rtol=1e-4)
    assert (column[:31] == 0).all()


def test_shadow_falls_where_the_lamp_is_hidden() -> None:
    ground = Mesh(
        np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        np.full((4, 3), 200, np.uint8), 0,
    )  # fmt: skip
    scene = Scene((ground,), (sphere(0.05, 10),), Light((1, 0, 1)))
    down = np.diag([1.0, -1, -1, 1])
    down[2, 3] = 1.0
    camera = Pinhole(101, 101, 100.0, 100.0, 50.0, 50.0)
    renderer = Renderer(scene, camera, monochrome=True)
    image = renderer.render(down, [at(0, 0, 0.2)]).image[..., 0].astype(int)
    bare = renderer.render(down, [None]).image[..., 0].astype(int)
    assert image.shape == (101, 101)
    darker = bare - image > 30
    darker &= renderer.render(down, [at(0, 0, 0.2)]).instances == 0
    rows, columns = np.nonzero(darker)
    assert columns.mean() == pytest.approx(50 - 20, abs=1.0)  # 0.2 m up, lamp at 45 degrees: 0.2 m to -x
    assert rows.mean() == pytest.approx(50, abs=0.7)


@pytest.mark.parametrize("name", sorted(PROPS))
def test_things_are_closed_and_to_scale(name: str) -> None:
    prop = PROPS[name]
    for thing in (prop, *(part for part in (prop.lid, prop.content) if part is not None)):
        mesh = make_object(thing, FIRST_OBJECT)
        assert mesh.instance == FIRST_OBJECT
        extent = np.ptp(mesh.vertices, axis=0)
        rim = (0.001, 0.035 if name == "mug" else 0.001, 0.001)  # handle
        assert (extent <= np.array(thing.size_m) + rim).all(), extent
        assert (extent >= 0.7 * np.array(thing.size_m)).all(), extent
        assert_closed(mesh)
    again = make_object(prop, FIRST_OBJECT)
    assert again.vertices.tobytes() == make_object(prop, FIRST_OBJECT).vertices.tobytes()


@pytest.mark.parametrize(
    "mesh",
    [
        box((0.1, 0.2, 0.3), (9, 9, 9)),
        box((0.1, 0.2, 0.3), (9, 9, 9), 0.02),
        pipe(np.array([[0, 0, 0], [0, 0.1, 0], [0, 0.2, 0.1]]), 0.01, (9, 9, 9)),
        plate(np.array([[1, 0], [0, 1], [-1, 0], [0, -1]]) * 0.1, 0.01, (9, 9, 9)),
        sphere(0.1, 3),
    ],
    ids=["box", "rounded box", "pipe", "plate", "sphere"],
)
def test_shapes_are_closed_and_turned_outwards(mesh: Mesh) -> None:
    assert_closed(mesh)
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2).astype(np.float64)
    assert (np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6) > 0


def assert_closed(mesh: Mesh) -> None:
    """Every edge is used as often in one direction as in the other, once vertices at one place are one."""
    keys = np.round(mesh.vertices / 2e-5).astype(np.int64)
    _, vertex = np.unique(keys, axis=0, return_inverse=True)
    faces = vertex.reshape(-1)[mesh.faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(1)]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = len(keys)
    forward, backward = np.sort(edges @ (count, 1)), np.sort(edges @ (1, count))
    assert (forward == backward).all()


def test_backgrounds_differ_by_seed_and_leave_the_work_space_free() -> None:
    camera = CAMERAS["pinhole"]
    pictures = []
    for seed in (1, 2, 1):
        background, light = make_background(seed)
        pictures.append(Renderer(Scene(background, (), light), camera).render(LOOKING_DOWN).image.astype(int))
        for mesh in background[1:]:
            inside = (np.abs(mesh.vertices[:, :2] - (0, 0.02)) < 0.2).all(-1) & (np.abs(mesh.vertices[:, 2]) < 0.4)
            assert not inside.any()
    assert (pictures[0] == pictures[2]).all()
    assert np.abs(pictures[0] - pictures[1]).mean() > 10


def test_what_does_not_fit_is_refused() -> None:
    mesh = wall(1.0)
    renderer = Renderer(Scene((), (mesh,)), CAMERAS["pinhole"])
    with pytest.raises(InputError, match="1 moving meshes need as many placements, found 2"):
        renderer.render(FORWARD, [None, None])
    with pytest.raises(InputError, match=r"placement 0 must be a \(4, 4\) pose or vertices \(4, 3\), found \(5, 3\)"):
        renderer.render(FORWARD, [np.zeros((5, 3))])
    with pytest.raises(InputError, match="pose of a camera to render from must be finite"):
        renderer.render(np.full((4, 4), np.nan), [None])
    with pytest.raises(InputError, match=r"faces of a mesh with 4 vertices must hold 0 ... 3, found 0 ... 4"):
        Mesh(mesh.vertices, np.array([[0, 1, 4]], np.int32), mesh.colours)
    with pytest.raises(InputError, match="vertex 2 of a mesh is not finite"):
        Mesh(np.where(np.arange(4)[:, None] == 2, np.nan, mesh.vertices).astype(np.float32), mesh.faces, mesh.colours)
    with pytest.raises(InputError, match="a texture and uv, or neither"):
        Mesh(mesh.vertices, mesh.faces, mesh.colours, uv=np.zeros((4, 2), np.float32))
    with pytest.raises(InputError, match="found 256"):
        Mesh(mesh.vertices, mesh.faces, mesh.colours, 256)
    with pytest.raises(InputError, match="direction that is not zero"):
        Light((0, 0, 0))
    with pytest.raises(InputError, match="without textures"):
        joined([], 3)


def test_poses_of_the_camera_move_the_picture() -> None:
    """A ball that moves with the camera stays where it is in the picture."""
    scene = Scene((), (sphere(0.1, 10),))
    renderer = Renderer(scene, CAMERAS["brown"])
    still = renderer.render(FORWARD, [at(0.05, 0, 0.5)])
    moved = renderer.render(LOOKING_DOWN, [LOOKING_DOWN @ at(0.05, 0, 0.5)])
    assert (still.instances == moved.instances).mean() > 0.999
    world_from_camera = invert_rigid(LOOKING_DOWN)
    assert (renderer.render(world_from_camera, [at(0.05, 0, 0.5)]).instances != still.instances).any()
