"""The sensor's exact effects, and faults that depend on nothing but seed and frame number."""

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.hands import HandTrack
from handloom.simulate.sensor import Sensor, kept_frames, late, missing, monochrome, noisy, swapped
from handloom.simulate.shading import CODE, LINEAR
from make_track import make_track

IDEAL = Sensor(vignetting=0, full_well=1e15, read_noise=0, blur_px=0)


def flat(code: int, channels: int = 3, size: tuple[int, int] = (90, 120)) -> np.ndarray:
    return np.full((*size, channels), code, np.uint8)


def arrays(track: HandTrack) -> list[np.ndarray]:
    return [track.times_s, track.joints_m, track.valid, track.confidence, track.keypoints_px]


def same(a: HandTrack, b: HandTrack) -> bool:
    return all(np.array_equal(x, y, equal_nan=x.dtype != bool) for x, y in zip(arrays(a), arrays(b)))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_ideal_sensor_changes_nothing(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, channels)).astype(np.uint8)
    image[0, :, 0] = np.arange(50)  # the dark codes, where rounding is hardest
    captured = IDEAL.capture(image[None], 0, 0)
    assert np.abs(captured.astype(int) - image).max() <= 1
    assert (captured == image).mean() > 0.97


def test_codes_and_light_are_srgb() -> None:
    assert LINEAR[[0, 255]].tolist() == [0, 1]
    assert LINEAR[128] == pytest.approx(0.21586, abs=1e-5)  # IEC 61966-2-1
    assert LINEAR[10] == pytest.approx(10 / 255 / 12.92, rel=1e-5)
    assert (np.diff(CODE.astype(int)) >= 0).all()


def test_exposure_and_white_balance_are_factors_on_light() -> None:
    sensor = Sensor(0.5, (1.0, 0.5, 2.0), vignetting=0, full_well=1e15, read_noise=0, blur_px=0)
    captured = sensor.capture(flat(180)[None], 0, 0)[0, 0]
    light = LINEAR[180] * 0.5 * np.array([1.0, 0.5, 2.0])
    np.testing.assert_allclose(LINEAR[captured], light, rtol=0.012)
    bright = Sensor(8.0, vignetting=0, blur_px=0).capture(flat(180)[None], 0, 0)
    assert (bright == 255).all()  # full is full


def test_vignetting_takes_its_share_in_the_corners_only() -> None:
    sensor = Sensor(vignetting=0.4, full_well=1e15, read_noise=0, blur_px=0)
    light = LINEAR[sensor.capture(flat(200, size=(91, 121))[None], 0, 0)[..., 0]]
    assert light[45, 60] == pytest.approx(LINEAR[200], rel=0.01)
    for corner in (light[0, 0], light[0, -1], light[-1, 0], light[-1, -1]):
        assert corner == pytest.approx(0.6 * LINEAR[200], rel=0.02)


def test_noise_has_the_variance_of_electrons() -> None:
    sensor = Sensor(vignetting=0, full_well=1000.0, read_noise=20.0, blur_px=0)
    for code in (90, 160, 220):
        level = float(LINEAR[code])
        image = sensor.capture(flat(code, 3, (300, 400))[None], 5, 7)
        light = LINEAR[image].astype(np.float64)
        expected = np.sqrt(level / 1000 + (20 / 1000) ** 2)
        assert light.std() == pytest.approx(expected, rel=0.03)
        assert light.mean() == pytest.approx(level, abs=4 * expected / np.sqrt(light.size) + 0.002)
        normal = (light - light.mean()) / light.std()
        assert np.abs((normal[:, 1:] * normal[:, :-1]).mean()) < 0.01  # no pattern from pixel to pixel
        assert np.abs((normal[..., 0] * normal[..., 1]).mean()) < 0.01


def test_noise_depends_on_seed_and_frame_alone() -> None:
    sensor, image = Sensor(vignetting=0), flat(120)[None]
    first = sensor.capture(image, 3, 11)
    sensor.capture(image, 3, 12)
    assert first.tobytes() == sensor.capture(image, 3, 11).tobytes()
    others = [sensor.capture(image, seed, frame) for seed, frame in ((3, 12), (4, 11), (11, 3), (0, 0))]
    for other in others:
        a, b = LINEAR[first].ravel() - LINEAR[first].mean(), LINEAR[other].ravel() - LINEAR[other].mean()
        assert abs((a * b).mean() / (a.std() * b.std())) < 0.02


def test_moments_are_averaged_as_light() -> None:
    captured = IDEAL.capture(np.stack([flat(0), flat(255)]), 0, 0)
    assert np.isin(captured, (187, 188)).all()  # half the light, not half the code


def test_the_lens_spreads_a_point_and_keeps_its_light() -> None:
    image = flat(0, 1)
    image[45, 60] = 255
    captured = Sensor(vignetting=0, full_well=1e15, read_noise=0, blur_px=0.6).capture(image[None], 0, 0)[..., 0]
    assert captured[45, 60] < 255
    assert captured[45, 61] == captured[44, 60] > 0
    assert captured[45, 70] == 0


def test_monochrome_is_luminance() -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, [0, 1, 2], [0, 1, 2]] = 255
    image[0, 3] = 77
    grey = monochrome(image)[0, :, 0]
    np.testing.assert_allclose(LINEAR[grey[:3]], [0.2126, 0.7152, 0.0722], atol=0.004)
    assert grey[3] == 77


def test_sampled_sensors_differ_and_are_reproducible() -> None:
    one, again, other = (Sensor.sample(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_dropped_frames_come_in_bursts_of_the_asked_share() -> None:
    kept = kept_frames(30_000, 0.2, seed=1, burst=3)
    assert len(kept) == pytest.approx(24_000, rel=0.02)
    lost = np.setdiff1d(np.arange(30_000), kept)
    assert (np.bincount(lost // 3)[np.unique(lost // 3)] == 3).all()
    assert np.array_equal(kept_frames(600, 0.2, 1), kept[kept < 600])  # whatever the length
    assert len(kept_frames(30, 0.0, 1)) == 30
    assert len(kept_frames(30, 1.0, 1)) == 0
    assert not np.array_equal(kept_frames(600, 0.2, 2), kept[kept < 600])


def test_a_late_clock_shifts_times_only() -> None:
    track = make_track(20)
    shifted = late(track, 0.25)
    np.testing.assert_allclose(shifted.times_s - track.times_s, 0.25)
    assert np.array_equal(shifted.joints_m, track.joints_m, equal_nan=True)


def test_label_noise_has_its_deviation_and_leaves_missing_joints_missing() -> None:
    track = make_track(400)
    changed = noisy(track, 0.005, seed=2)
    error = (changed.joints_m - track.joints_m)[track.valid]
    assert error.std() == pytest.approx(0.005, rel=0.02)
    assert abs(error.mean()) < 1e-4
    assert np.isnan(changed.joints_m[~track.valid]).all()
    assert same(noisy(track, 0.0, 2), track)


def test_hands_go_missing_one_by_one() -> None:
    track = make_track(12_000, gaps=False)
    lost = ~missing(track, 0.3, seed=4, burst=10).present
    assert lost.mean(0) == pytest.approx([0.3, 0.3], abs=0.05)
    assert (lost[:, 0] != lost[:, 1]).any()
    assert (lost.reshape(-1, 10, 2).sum(1) % 10 == 0).all()


def test_swapped_hands_exchange_all_that_belongs_to_them() -> None:
    track = make_track(1000)
    changed = swapped(track, 0.25, seed=9, burst=10)
    exchanged = np.array([not np.array_equal(a, b, equal_nan=True) for a, b in zip(changed.joints_m, track.joints_m)])
    assert exchanged.mean() == pytest.approx(0.25, abs=0.1)
    for name in ("joints_m", "valid", "confidence", "keypoints_px"):
        now, before = getattr(changed, name)[exchanged], getattr(track, name)[exchanged]
        assert np.array_equal(now, before[:, ::-1], equal_nan=now.dtype != bool)
    assert same(swapped(changed, 0.25, seed=9, burst=10), track)  # twice is nothing


@pytest.mark.parametrize("cut", [0, 37, 90])
def test_faults_of_a_part_are_those_of_the_whole(cut: int) -> None:
    track = make_track(120)
    part = track[cut:120]
    assert same(noisy(part, 0.004, 1, cut), noisy(track, 0.004, 1)[cut:120])
    assert same(missing(part, 0.5, 1, cut), missing(track, 0.5, 1)[cut:120])
    assert same(swapped(part, 0.5, 1, cut), swapped(track, 0.5, 1)[cut:120])


def test_what_no_sensor_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"exposure must lie in 0 ... 100, found -1"):
        Sensor(exposure=-1)
    with pytest.raises(InputError, match=r"vignetting must lie in 0 ... 1, found nan"):
        Sensor(vignetting=float("nan"))
    with pytest.raises(InputError, match="full_well must be positive"):
        Sensor(full_well=0)
    with pytest.raises(InputError, match="at least one moment"):
        Sensor().capture(np.zeros((0, 4, 4, 3), np.uint8), 0, 0)
    with pytest.raises(InputError, match=r"share in 0 ... 1 and bursts of 1 frame or more, found 1.5 and 3"):
        kept_frames(10, 1.5, 0)
    with pytest.raises(InputError, match=r"must not be negative, found -0.1"):
        noisy(make_track(3), -0.1, 0)
