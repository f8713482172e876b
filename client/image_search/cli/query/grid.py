"""`image-search search --grid`: the results as one picture, a tile each, best first."""

import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from PIL import Image, ImageDraw, ImageFont, ImageOps

from image_search import Client, Hit, NotFoundError
from image_search.cli.output import opened_anew
from image_search.cli.terminal import shown

_AT_ONCE = 8
_TILE, _GAP, _LABEL = 200, 14, 40
_LEAST_COLUMNS = 5
_TEXT_SIZE = 14
_MOST_CHARS = 60
_PAPER, _INK, _FAINT, _BLANK = (250, 250, 248), (32, 33, 36), (110, 113, 118), (234, 234, 230)


def write_grid(client: Client, hits: Sequence[Hit], path: Path, kind: str) -> None:
    """Write a picture of the results; `kind` is its format, as Pillow calls it.

    Raises:
        ImageSearchError: the service does not give the thumbnails.
        OSError: the file cannot be written.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        pictures = list(threads.map(lambda hit: _thumbnail(client, hit.id), hits))
    buffer = io.BytesIO()
    grid(hits, pictures).save(buffer, kind, quality=90)
    with opened_anew(path) as file:
        file.write(buffer.getvalue())


def grid(hits: Sequence[Hit], pictures: Sequence[Image.Image | None]) -> Image.Image:
    """Lay the results and their pictures out in rows, nearly as many as there are columns."""
    columns = min(len(hits), max(_LEAST_COLUMNS, math.isqrt(len(hits) - 1) + 1))
    rows = -(-len(hits) // columns)
    size = (_GAP + columns * (_TILE + _GAP), _GAP + rows * (_TILE + _LABEL + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    for place, (hit, picture) in enumerate(zip(hits, pictures, strict=True)):
        row, column = divmod(place, columns)
        corner = (_GAP + column * (_TILE + _GAP), _GAP + row * (_TILE + _LABEL + _GAP))
        _draw_tile(sheet, corner, picture, _lines(place + 1, hit))
    return sheet


def _thumbnail(client: Client, image_id: str) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(client.thumbnail(image_id)), formats=["JPEG"]) as picture:
            return picture.convert("RGB")
    except (NotFoundError, OSError):  # none is kept, or it was deleted meanwhile
        return None


def _draw_tile(
    sheet: Image.Image, corner: tuple[int, int], picture: Image.Image | None, lines: tuple[str, str]
) -> None:
    left, top = corner
    draw = ImageDraw.Draw(sheet)
    if picture is None:
        draw.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), fill=_BLANK)
    else:
        sheet.paste(ImageOps.pad(picture, (_TILE, _TILE), color=_PAPER), corner)
    font = ImageFont.load_default(_TEXT_SIZE)
    for number, (line, ink) in enumerate(zip(lines, (_INK, _FAINT), strict=True)):
        while draw.textlength(line, font) > _TILE:
            line = line[:-2] + "…"  # noqa: PLW2901
        draw.text((left, top + _TILE + 3 + number * (_TEXT_SIZE + 4)), line, ink, font)


def _lines(rank: int, hit: Hit) -> tuple[str, str]:
    score = "" if hit.score is None else f"  {hit.score:.3f}"
    return f"{rank}.{score}", shown(label(hit)[:_MOST_CHARS])


def label(hit: Hit) -> str:
    """Short name of an image for a person: its file's, or the last part of its url."""
    file = hit.metadata.get("file") if isinstance(hit.metadata, dict) else None
    if isinstance(file, str) and file:
        return PurePosixPath(file).name
    if hit.url.startswith("upload:"):
        return hit.id
    return PurePosixPath(urlsplit(hit.url).path).name or hit.url
