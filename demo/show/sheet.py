"""A contact sheet: one row a search, its results as pictures with their scores."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from demo.show.tour import Found

_TILE = 168
_GAP = 14
_TITLE = 40
_LABEL = 26
_PAPER, _INK, _FAINT = (250, 250, 248), (32, 33, 36), (110, 113, 118)


def contact_sheet(found: Sequence[Found], pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Lay the results out.

    Args:
        found: the searches, one row each.
        pictures: by URL; the query picture's, where there is one, opens its row.

    Returns:
        An RGB picture, wide enough for the longest row.
    """
    rows = [_tiles(one) for one in found]
    width = _GAP + max(len(row) for row in rows) * (_TILE + _GAP)
    height = _GAP + len(rows) * (_TITLE + _TILE + _LABEL + _GAP)
    sheet = Image.new("RGB", (width, height), _PAPER)
    for number, (one, row) in enumerate(zip(found, rows, strict=True)):
        top = _GAP + number * (_TITLE + _TILE + _LABEL + _GAP)
        _draw_row(sheet, top, one.title, row, pictures)
    return sheet


def _tiles(found: Found) -> list[tuple[str, str]]:
    """URL and label of every tile of a row."""
    query = [(found.request["url"], "query")] if "url" in found.request else []
    return query + [(hit["url"], _label(hit["score"])) for hit in found.results]


def _label(score: float | None) -> str:
    return "match" if score is None else f"{score:.3f}"


def _draw_row(
    sheet: Image.Image,
    top: int,
    title: str,
    tiles: Sequence[tuple[str, str]],
    pictures: Mapping[str, Image.Image],
) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, top + 6), title, _INK, ImageFont.load_default(22))
    for column, (url, label) in enumerate(tiles):
        left = _GAP + column * (_TILE + _GAP)
        tile = ImageOps.pad(pictures[url], (_TILE, _TILE), color=_PAPER)
        sheet.paste(tile, (left, top + _TITLE))
        if label == "query":
            box = (left - 4, top + _TITLE - 4, left + _TILE + 3, top + _TITLE + _TILE + 3)
            draw.rectangle(box, outline=_INK, width=3)
        draw.text((left, top + _TITLE + _TILE + 5), label, _FAINT, ImageFont.load_default(15))
