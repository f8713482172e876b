"""A part of a picture to search by: a region, or an object in it."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from api.contract.requests.fields import optional

_EDGES = 4
NUMBERS = re.compile(r"[0-9]{1,3}(?:,[0-9]{1,3}){0,99}")
Region = Annotated[
    tuple[float, float, float, float] | None,
    optional("array", items={"type": "number", "minimum": 0}, minItems=4, maxItems=4),
]
REGION_MEANS = (
    "A part of the picture instead of all of it: left, top, right and bottom in pixels of the"
    " upright picture"
)


class OfClass(BaseModel):
    """The surest object of a class in a picture."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    class_name: str = Field(description="As the detector calls it", examples=["dog"])


ObjectOf = Annotated[
    OfClass | int | None,
    WithJsonSchema(
        {
            "oneOf": [
                {"type": "integer", "minimum": 0, "description": "of an indexed image: its `n`"},
                OfClass.model_json_schema(),
                {"type": "null"},
            ]
        }
    ),
]
OBJECT_MEANS = (
    "An object of the picture instead of all of it: with `id` its number `n`, with `url` the surest"
    ' one of a class, `{"class_name": "dog"}`'
)


def as_region(given: Any) -> Any:
    """A JSON list of edges as the tuple that a strict model takes."""
    if not isinstance(given, list):
        return given
    if len(given) != _EDGES:
        raise ValueError("must be left, top, right and bottom: [x1, y1, x2, y2] in pixels")
    return tuple(given)


def check_part(
    url: str | None, id: str | None, region: Sequence[float] | None, of: OfClass | int | None
) -> None:
    """Refuse a part of a picture that is none.

    Raises:
        ValueError: a region is empty or nothing has it, or an object belongs to nothing.
    """
    if region is not None and of is not None:
        raise ValueError("region and object do not go together: give one of them")
    if region is not None and not url:
        raise ValueError("region goes with the url of a picture, or with the picture itself")
    if region is not None and not (0 <= region[0] < region[2] and 0 <= region[1] < region[3]):
        raise ValueError("region must be left, top, right and bottom: [x1, y1, x2, y2] in pixels")
    if isinstance(of, int) and (id is None or of < 0):
        raise ValueError("object as a number goes with the id of an image, and is 0 or more")
    if isinstance(of, OfClass) and not url:
        raise ValueError("object as a class goes with the url of a picture, or with the picture")
