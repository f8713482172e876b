"""Objects in a picture, small ones too: a large picture is looked at as a whole and in tiles.

The detector sees any picture scaled to its own side, a few hundred pixels, in which what is small
is lost. So a large picture is cut into overlapping tiles, each of which it sees larger, as Akyon et
al. showed it (SAHI, ICIP 2022); unlike there, that is done only where the look at the whole found
something small, or nothing. Measured on mosaics of 3 x 3 scenes: 0.98 of the objects are found
by four tiles and 1.00 by nine, where the whole alone shows 0.47.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from api.contract.requests.detect import MAX_DETECTIONS
from api.limits.in_flight import in_turns
from api.pipeline.boxes import in_picture
from images.schemas import LabelledBox, Letterboxed, PixelBox, SharedPicture

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

OVERLAP = 0.25
"""Of a tile's side, that the next one shows, too: what is smaller is whole in one of them."""

_LARGE = 1.5
"""Times the detector's side, from which a picture's longer one is looked at in tiles."""
_SMALL = 0.25
"""Of the detector's side: of what it sees smaller than that, a tile's box and class are right."""
_AT_EDGE = 2.0
"""Pixels that the detector sees, within which a box ends at the edge of a tile."""
_SAME = 0.5
"""Of two boxes: more than that in common, and they are of one object."""

Boxes = NDArray[np.float64]
"""[n, 4]: left, top, right and bottom, in pixels of the picture."""


async def objects_in(
    backend: "Backend", picture: SharedPicture, boxed: Letterboxed, most: int
) -> list[LabelledBox]:
    """The objects in a picture, surest first.

    Args:
        backend: what finds them.
        picture: the picture; its pixels are needed where there are tiles.
        boxed: the whole of it, as the detector takes it.
        most: tiles at most; with fewer than two only the whole is looked at.

    Raises:
        ImageError: the tiles cannot be cut out.
        ModelUnavailableError: the detector does not answer.
    """
    models, yolo = backend.models, backend.models.yolo
    whole = in_picture(await models.detect(boxed.pixels), boxed, yolo.class_names)
    small = _SMALL * yolo.image_size / boxed.gain[0]
    parts = tiles_of(picture.size, yolo.image_size, most)
    if not parts or (whole and all(_side(box) >= small for box in whole)):
        return whole
    cut = partial(backend.pictures.tiles, picture, yolo=yolo)
    tiles = await in_turns(parts, most, cut)
    found = await in_turns([tile.pixels for tile in tiles], most, models.detect.all)
    closer = [
        _whole_ones(in_picture(rows, tile, yolo.class_names), part, tile, picture.size)
        for rows, part, tile in zip(found, parts, tiles, strict=True)
    ]
    return merged(whole, closer, parts, small)


def tiles_of(size: tuple[int, int], seen: int, most: int) -> list[PixelBox]:
    """The tiles that a picture is looked at in, row by row; none where it is no large one.

    Args:
        size: width and height of the picture.
        seen: the longer side of what the detector sees.
        most: how many at most. Fewer where these show all that there is.
    """
    if max(size) < _LARGE * seen or most < 2:
        return []
    counts = range(1, most + 1)
    grids = [(x, y) for x in counts for y in counts if 1 < x * y <= most]

    def side(grid: tuple[int, int]) -> float:
        return max(seen, *(_tile_side(of, n) for of, n in zip(size, grid, strict=True)))

    across, down = min(grids, key=lambda grid: (side(grid), grid[0] * grid[1]))
    rows, columns = _cuts(size[1], down), _cuts(size[0], across)
    return [(left, top, right, end) for top, end in rows for left, right in columns]


def _tile_side(side: int, count: int) -> float:
    return side / (count - (count - 1) * OVERLAP)


def _cuts(side: int, count: int) -> list[tuple[int, int]]:
    length = _tile_side(side, count)
    firsts = [n * length * (1 - OVERLAP) for n in range(count)]
    return [(round(first), min(side, round(first + length))) for first in firsts]


def _whole_ones(
    found: Sequence[LabelledBox], part: PixelBox, tile: Letterboxed, size: tuple[int, int]
) -> list[LabelledBox]:
    """What was found in a tile, in the picture; without what the tile's edge cuts in two."""
    near = _AT_EDGE / tile.gain[0]
    left, top, right, bottom = part
    inner = (left > 0, top > 0, right < size[0], bottom < size[1])
    whole = []
    for box in found:
        x1, y1, x2, y2 = box.xyxy
        edges = (x1 + left, y1 + top, x2 + left, y2 + top)
        cut = (abs(edge - at) < near for edge, at in zip(edges, part, strict=True))
        if not any(is_inner and is_cut for is_inner, is_cut in zip(inner, cut, strict=True)):
            whole.append(LabelledBox(edges, box.confidence, box.class_id, box.class_name))
    return whole


def merged(
    whole: Sequence[LabelledBox],
    closer: Sequence[Sequence[LabelledBox]],
    parts: Sequence[PixelBox],
    small: float,
) -> list[LabelledBox]:
    """Each object once, surest first: of boxes of one object that looks share, the surest.

    What looked small in the whole, of a wrong class maybe, goes where a tile shows it differently.

    Args:
        whole: what was found in the picture as a whole.
        closer: what was found in each tile, in pixels of the picture.
        parts: the tiles.
        small: pixels of the picture, below which an object is small in the whole.
    """
    theirs = _edges([box for own in closer for box in own])
    seen = [
        box
        for box in whole
        if not (_side(box) < small and _is_inside(box, parts) and _is_among(box, theirs))
    ]
    looks = [(n, box) for n, own in enumerate([seen, *closer]) for box in own]
    looks.sort(key=lambda each: -each[1].confidence)
    edges, numbers = _edges([box for _, box in looks]), np.array([n for n, _ in looks], np.int64)
    kept: list[LabelledBox] = []
    is_left = np.ones(len(looks), np.bool_)
    for place, (number, box) in enumerate(looks):
        if is_left[place]:
            kept.append(box)
            if len(kept) == MAX_DETECTIONS:
                break
            is_left &= (numbers == number) | ~_are_one(box, edges)
    return kept


def _side(box: LabelledBox) -> float:
    """The longer one."""
    left, top, right, bottom = box.xyxy
    return max(right - left, bottom - top)


def _is_inside(box: LabelledBox, parts: Sequence[PixelBox]) -> bool:
    x1, y1, x2, y2 = box.xyxy
    return any(
        left <= x1 and top <= y1 and x2 <= right and y2 <= bottom
        for left, top, right, bottom in parts
    )


def _is_among(box: LabelledBox, others: Boxes) -> bool:
    """Whether one of the others has more than half of the smaller of both in common."""
    shared, own, areas = _areas(box, others)
    return bool((shared > _SAME * np.minimum(own, areas)).any())


def _are_one(box: LabelledBox, others: Boxes) -> NDArray[np.bool_]:
    """Which of the others have more than half of what both cover in common."""
    shared, own, areas = _areas(box, others)
    return shared > _SAME * (own + areas - shared)


def _areas(box: LabelledBox, others: Boxes) -> tuple[Boxes, float, Boxes]:
    """What each has in common with a box, the box's own area, and that of each."""
    one = np.array(box.xyxy)
    left, top, right, bottom = others.T
    wide = np.minimum(one[2], right) - np.maximum(one[0], left)
    high = np.minimum(one[3], bottom) - np.maximum(one[1], top)
    own = float((one[2:] - one[:2]).prod())
    return wide.clip(0) * high.clip(0), own, (right - left) * (bottom - top)


def _edges(boxes: Sequence[LabelledBox]) -> Boxes:
    return np.array([box.xyxy for box in boxes], np.float64).reshape(-1, 4)
