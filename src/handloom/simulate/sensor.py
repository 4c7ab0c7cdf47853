"""What real capture adds: a camera's blur, exposure and noise, and faults of recordings and labels.

All chance is a function of the seed and the number of the frame, whatever is computed beside or before it.
"""

from dataclasses import dataclass, replace
from typing import no_type_check

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8
from numba import njit

from handloom.errors import InputError
from handloom.hands import HandTrack
from handloom.simulate.shading import CODE, LINEAR

_0, _HALF, _1 = np.float32(0), np.float32(0.5), np.float32(1)
_LEVELS = np.float32(len(CODE) - 1)
_WORD, _16, _32, _48 = np.uint64(0xFFFF), np.uint64(16), np.uint64(32), np.uint64(48)
_MEAN_OF_WORDS, _PER_DEVIATION = np.float32(2 * 0xFFFF), np.float32(1 / np.sqrt(4 * (2**32 - 1) / 12))


_RANGES = {"exposure": (0, 100), "vignetting": (0, 1), "read_noise": (0, 1e6), "blur_px": (0, 50), "shutter_s": (0, 1)}


@dataclass(frozen=True)
class Sensor:
    """A camera's way from light to codes.

    Attributes:
        exposure: factor on the light.
        white_balance: factors of red, green and blue.
        vignetting: share of the light that is missing in the corners of the image.
        full_well: electrons at full scale; their shot noise is the root of their number.
        read_noise: standard deviation in electrons.
        blur_px: standard deviation of the lens's point spread.
        shutter_s: how long the shutter is open; what moves meanwhile is smeared (`shutter.smeared`).

    Raises:
        InputError: a value that no sensor has.
    """

    exposure: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vignetting: float = 0.2
    full_well: float = 6000.0
    read_noise: float = 14.0
    blur_px: float = 0.5
    shutter_s: float = 0.01

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"a sensor's {name} must lie in {low} ... {high:g}, found {value}")
        if not self.full_well > 0 or not all(0 <= factor <= 100 for factor in self.white_balance):
            raise InputError(
                f"a sensor's full_well must be positive and its white_balance in 0 ... 100, "
                f"found {self.full_well} and {self.white_balance}"
            )

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Sensor":
        """One camera among many; the ranges are our estimates of small cameras indoors."""
        red, blue = rng.uniform(0.9, 1.1, 2)
        return cls(
            exposure=float(np.exp(rng.normal(0, 0.12))),
            white_balance=(float(red), 1.0, float(blue)),
            vignetting=float(rng.uniform(0.05, 0.35)),
            full_well=float(rng.uniform(3000, 9000)),
            read_noise=float(rng.uniform(6, 24)),
            blur_px=float(rng.uniform(0.4, 0.7)),
            shutter_s=float(rng.uniform(0.004, 0.016)),
        )

    def capture(
        self, exposures: UInt8[np.ndarray, "moments H W channels"], seed: int, frame: int
    ) -> UInt8[np.ndarray, "H W channels"]:
        """One frame of sRGB (or grey) codes from renderings at one or more moments while the shutter is open.

        The moments are averaged as light, which blurs what moves.
        """
        if len(exposures) == 0:
            raise InputError("a captured frame needs a rendering of at least one moment")
        if self.blur_px > 0:
            exposures = np.stack([_blurred(moment, self.blur_px) for moment in exposures])
        gain = np.array(self.white_balance[: exposures.shape[3]], np.float32)
        gain = (np.ones(1, np.float32) if exposures.shape[3] == 1 else gain) * np.float32(self.exposure)
        image = np.empty(exposures.shape[1:], np.uint8)
        _expose(
            np.ascontiguousarray(exposures), gain, np.float32(self.vignetting), np.float32(1 / self.full_well),
            np.float32((self.read_noise / self.full_well) ** 2), np.uint64(seed), np.uint64(frame), image,
        )  # fmt: skip
        return image


def monochrome(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 1"]:
    """Luminance of an sRGB picture (ITU-R BT.709), coded as sRGB."""
    light = LINEAR[image] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.asarray(CODE[np.round(np.clip(light, 0, 1) * _LEVELS).astype(np.int32)])[..., None]


def kept_frames(count: int, share: float, seed: int, burst: int = 3) -> Int[np.ndarray, "kept"]:
    """Numbers of the frames that are left when a share of the bursts of `burst` frames is dropped."""
    return np.flatnonzero(~_struck(np.arange(count), share, seed, burst, 1))


def late(track: HandTrack, offset_s: float) -> HandTrack:
    """The track as a clock that is `offset_s` ahead would have stamped it."""
    return replace(track, times_s=track.times_s + offset_s)


def noisy(track: HandTrack, deviation_m: float, seed: int, first_frame: int = 0) -> HandTrack:
    """The track with independent normal errors on every coordinate of every joint."""
    if not deviation_m >= 0:
        raise InputError(f"the deviation of label noise must not be negative, found {deviation_m}")
    frames = np.arange(first_frame, first_frame + len(track))
    error = np.stack(
        [np.random.default_rng((seed, 2, frame)).normal(0, deviation_m, (2, 21, 3)) for frame in frames.tolist()]
    )
    return replace(track, joints_m=(track.joints_m + error).astype(np.float32))


def missing(track: HandTrack, share: float, seed: int, first_frame: int = 0, burst: int = 10) -> HandTrack:
    """The track without a hand in a share of the bursts of frames; each hand is lost by itself."""
    frames = np.arange(first_frame, first_frame + len(track))
    lost = np.stack([_struck(frames, share, seed, burst, 3 + hand) for hand in (0, 1)], -1)
    return replace(track, valid=track.valid & ~lost[..., None])


def swapped(track: HandTrack, share: float, seed: int, first_frame: int = 0, burst: int = 10) -> HandTrack:
    """The track with left and right exchanged in a share of the bursts of frames."""
    frames = np.arange(first_frame, first_frame + len(track))
    struck = _struck(frames, share, seed, burst, 5)

    def exchanged(values: np.ndarray) -> np.ndarray:
        return np.where(struck.reshape(-1, *(1,) * (values.ndim - 1)), values[:, ::-1], values)

    return replace(
        track,
        joints_m=exchanged(track.joints_m),
        valid=exchanged(track.valid),
        confidence=exchanged(track.confidence),
        keypoints_px=exchanged(track.keypoints_px),
    )


def _struck(frames: Int[np.ndarray, "n"], share: float, seed: int, burst: int, purpose: int) -> Bool[np.ndarray, "n"]:
    if not 0 <= share <= 1 or burst < 1:
        raise InputError(f"a fault needs a share in 0 ... 1 and bursts of 1 frame or more, found {share} and {burst}")
    chance = [
        np.random.default_rng((seed, purpose, k)).random() for k in range(int(frames.max(initial=-1)) // burst + 1)
    ]
    return np.asarray(np.array([*chance, 1.0])[frames // burst] < share)


def _blurred(image: UInt8[np.ndarray, "H W channels"], deviation: float) -> UInt8[np.ndarray, "H W channels"]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), deviation)).reshape(image.shape)


@njit(cache=True, nogil=True)
@no_type_check
def _mixed(a, b):
    """A number that differs in all its bits for every pair (splitmix64, Steele et al., OOPSLA 2014)."""
    z = a * np.uint64(0x9E3779B97F4A7C15) + b * np.uint64(0xD1342543DE82EF95) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True, error_model="numpy")
@no_type_check
def _expose(exposures, gain, vignetting, shot, read, seed, frame, image):
    """Averages light, weakens it to the corners, adds noise of variance `shot` times light plus `read`, and encodes."""
    moments, height, width, channels = exposures.shape
    key = _mixed(seed, frame)
    middle_y, middle_x = np.float32(0.5 * (height - 1)), np.float32(0.5 * (width - 1))
    corner = max(middle_x * middle_x + middle_y * middle_y, _1)
    one = np.uint64(1)
    pixel = np.uint64(0)
    for y in range(np.uint64(height)):
        dy = np.float32(np.int32(y)) - middle_y
        for x in range(np.uint64(width)):
            dx = np.float32(np.int32(x)) - middle_x
            weight = (_1 - vignetting * (dx * dx + dy * dy) / corner) / np.float32(moments)
            for c in range(np.uint64(channels)):
                light = _0
                for k in range(np.uint64(moments)):
                    light += LINEAR[exposures[k, y, x, c]]
                light *= weight * gain[c]
                bits = _mixed(key, pixel)
                pixel += one
                # The sum of four uniform numbers of 16 bits is nearly normal.
                total = (bits & _WORD) + ((bits >> _16) & _WORD) + ((bits >> _32) & _WORD) + (bits >> _48)
                normal = (np.float32(np.int32(total)) - _MEAN_OF_WORDS) * _PER_DEVIATION
                light += normal * np.sqrt(light * shot + read)
                image[y, x, c] = CODE[np.uint32(min(max(light, _0), _1) * _LEVELS + _HALF)]
