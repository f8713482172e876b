"""A picture to search by is decoded at a fraction of its size, in full only where that counts."""

import asyncio
import io
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from api.pipeline import pictures as module
from api.pipeline.pictures import Pictures
from api.requests.source import Source
from api.settings import Settings
from demo.scenes.scenes import draw_scene
from images.errors import BrokenImageError
from runners.schemas import ClipInfo

CLIP = ClipInfo("m", "p", 8, 96, "bicubic", "shortest", 0, (0, 0, 0), (1, 1, 1), 77)


def file_of(size: tuple[int, int], form: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    draw_scene(7).picture.resize(size).save(file, form, **options)
    return file.getvalue()


def run(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint8]]:
    """Pixels to search by, the same in full if that is another thing, and those of an add."""

    async def prepared() -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint8]]:
        pictures = Pictures(Settings.from_environment())
        try:
            async with pictures.for_search(Source("", data), CLIP) as (pixels, in_full):
                again = None if in_full is None else await in_full()
            return pixels, again, await pictures.for_clip(Source("", data), CLIP)
        finally:
            pictures.close()

    return asyncio.run(prepared())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0"}])
def test_a_large_jpeg(options: dict[str, Any]) -> None:
    pixels, again, exact = run(file_of((1200, 1600), **options))
    assert again is not None
    np.testing.assert_array_equal(again, exact)
    assert 0 < np.abs(pixels.astype(int) - exact).mean() < 1.5


@pytest.mark.parametrize(
    ("size", "form"), [((1600, 1200), "PNG"), ((570, 1200), "JPEG"), ((96, 96), "JPEG")]
)
def test_what_is_small_or_no_jpeg_is_decoded_in_full_at_once(
    size: tuple[int, int], form: str
) -> None:
    pixels, again, exact = run(file_of(size, form))
    assert again is None
    np.testing.assert_array_equal(pixels, exact)


def test_files_of_so_many_bytes_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no picture, what is decoded in full and what is done with count no more."""
    large, small = file_of((1200, 1600)), file_of((300, 200))
    monkeypatch.setattr(module, "_MOST_HELD_BYTES", 2 * len(large) + len(small) - 1)

    async def use() -> list[bool]:
        pictures = Pictures(Settings.from_environment())
        try:
            with pytest.raises(BrokenImageError):
                async with pictures.for_search(Source("", large[:2000]), CLIP):
                    pass
            found = []
            for _ in range(2):
                async with AsyncExitStack() as held:
                    for data in (small, large, small, large, large):
                        looking = pictures.for_search(Source("", data), CLIP)
                        _, in_full = await held.enter_async_context(looking)
                        found.append(in_full is not None)
            return found
        finally:
            pictures.close()

    assert asyncio.run(use()) == [False, True, False, True, False] * 2


def test_a_large_file_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of((1200, 1600))
    monkeypatch.setattr(module, "_MOST_HELD_BYTES", len(data) - 1)
    assert run(data)[1] is None
