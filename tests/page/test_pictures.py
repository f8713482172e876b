"""What the service sees of a file is what a person sees of it in Chromium.

Shown with `-s`: the differences, file by file. HEIC and TIFF, which Chromium does not show, are
compared with the pixels that they were written from.
"""

import base64
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page

from images.decode.structure import media_type
from images.settings import DecodeSettings
from tests.images.decode.decoding import decode
from tests.page.files import File, files

LIMITS = DecodeSettings().limits
FILES = files()
EXACT, LOSSY, LOSSY_MEAN = 1, 20, 1.5
"""Of 255: the largest difference of a value in files without loss; in others, the largest and the
mean of all."""


@pytest.fixture(scope="module")
def sheet(browser: Browser) -> Iterator[Page]:
    """A window for one picture after the other."""
    page = browser.new_page(device_scale_factor=1)
    yield page
    page.close()


def shown(page: Page, file: File) -> NDArray[np.uint8]:
    """A screenshot of a file on its ground."""
    data = file.whole or file.data
    source = f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"
    page.set_content(
        f"<body style='margin:0;background:rgb{file.ground}'><img style='display:block'></body>"
    )
    width, height = page.evaluate(
        """async (source) => {
            const image = document.images[0];
            image.src = source;
            await image.decode();
            return [image.naturalWidth, image.naturalHeight];
        }""",
        source,
    )
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    return np.asarray(Image.open(BytesIO(shot)).convert("RGB"))


def test_there_are_enough() -> None:
    assert len({file.title for file in FILES}) == len(FILES) >= 60


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.title)
def test_a_file_shows_what_people_see(file: File, sheet: Page) -> None:
    seen = np.asarray(decode(file.data, LIMITS)).astype(int)
    expected = shown(sheet, file) if file.source is None else np.asarray(file.source)
    assert seen.shape == expected.shape
    difference = abs(seen - expected)
    told = f"{file.title}: at most {difference.max()}, on average {difference.mean():.2f}"
    print(told)  # noqa: T201 - for `-s`
    assert difference.max() <= (EXACT if file.is_exact else LOSSY)
    assert difference.mean() <= LOSSY_MEAN
