"""Backgrounds of scenes: pale, so that every colour of a shape stands out."""

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float64]
Rng = np.random.Generator


def _pale(rng: Rng) -> NDArray[np.float64]:
    rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.02, 0.16), rng.uniform(0.86, 1.0))
    return np.array(rgb) * 255


def _mix(amount: NDArray[np.float64], rng: Rng) -> Pixels:
    """Blends two pale colours; `amount` is float64 [height, width] within [0, 1]."""
    share = amount[..., None]
    return _pale(rng) * (1 - share) + _pale(rng) * share


def _grid(width: int, height: int, rng: Rng) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates turned by a random angle, in units of the shorter side."""
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    angle = rng.uniform(0, np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _plain(width: int, height: int, rng: Rng) -> Pixels:
    return np.broadcast_to(_pale(rng), (height, width, 3)).copy()


def _gradient(width: int, height: int, rng: Rng) -> Pixels:
    along, _ = _grid(width, height, rng)
    return _mix((along - along.min()) / np.ptp(along), rng)


def _noise(width: int, height: int, rng: Rng) -> Pixels:
    grain = rng.normal(0, rng.uniform(4, 10), (height, width, 1))
    return _plain(width, height, rng) + grain


def _stripes(width: int, height: int, rng: Rng) -> Pixels:
    along, _ = _grid(width, height, rng)
    return _mix(_soft_wave(along, rng.uniform(5, 10), width, height), rng)


def _checks(width: int, height: int, rng: Rng) -> Pixels:
    along, across = _grid(width, height, rng)
    per_side = rng.uniform(4, 8)
    a = 2 * _soft_wave(along, per_side, width, height) - 1
    b = 2 * _soft_wave(across, per_side, width, height) - 1
    return _mix((1 + a * b) / 2, rng)


def _blobs(width: int, height: int, rng: Rng) -> Pixels:
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    return _mix(np.asarray(smooth) / 255, rng)


def _soft_wave(
    along: NDArray[np.float64], per_side: float, width: int, height: int
) -> NDArray[np.float64]:
    """A square wave within [0, 1] whose edges are about a pixel wide."""
    sharpness = min(width, height) / (np.pi * per_side)
    return np.clip(0.5 + sharpness * np.sin(2 * np.pi * along * per_side / 2), 0, 1)


_PAINTERS: dict[str, Callable[[int, int, Rng], Pixels]] = {
    "plain": _plain,
    "gradient": _gradient,
    "noise": _noise,
    "stripes": _stripes,
    "checks": _checks,
    "blobs": _blobs,
}

BACKGROUNDS = tuple(_PAINTERS)


def paint_background(style: str, width: int, height: int, rng: Rng) -> Image.Image:
    """Paints an RGB background of one of the `BACKGROUNDS`."""
    pixels = _PAINTERS[style](width, height, rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")
