"""Fields that several requests have: a URL, an id, metadata, a time; and their bounds."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from images.fetch.urls import MAX_URL_CHARS
from store.schemas import MAX_METADATA_CHARS

METADATA_SCHEMA = {
    "oneOf": [
        {"type": "string", "maxLength": MAX_METADATA_CHARS, "description": "free text"},
        {"type": "object", "additionalProperties": True, "description": "typed columns"},
        {"type": "null"},
    ]
}
Metadata = Annotated[str | dict[str, Any] | None, WithJsonSchema(METADATA_SCHEMA)]
MAX_ID_CHARS = 256
MAX_CURSOR_CHARS = 16_384
MAX_TIME_CHARS = 64
# The length of a url is checked where it is fetched, in the words for any url that cannot be.
URL_LENGTH: dict[str, Any] = {"maxLength": MAX_URL_CHARS}
LARGEST_OFFSET = 10_000_000
NAME = {"type": "string"}
EXAMPLE_URL = "https://example.com/shoe.jpg"
EXAMPLE_ID = "0a137b375cc3881a70e186ce2172c8d1"


def optional(kind: str, **more: Any) -> WithJsonSchema:
    """The schema of an optional field; of pydantic's own union BentoML keeps only one part."""
    return WithJsonSchema({"type": [kind, "null"], **more})


OptionalId = Annotated[
    str | None,
    Field(min_length=1, max_length=MAX_ID_CHARS),
    optional("string", maxLength=MAX_ID_CHARS),
]
Url = Annotated[
    str,
    Field(
        description="http or https address of the picture",
        examples=[EXAMPLE_URL],
        json_schema_extra=URL_LENGTH,
    ),
]

Moment = Annotated[
    str | None,
    Field(max_length=MAX_TIME_CHARS),
    optional("string", format="date-time", maxLength=MAX_TIME_CHARS),
]
