"""The requests and answers of the routes, as BentoML, its clients and the OpenAPI page see them."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, RootModel, WithJsonSchema

from api.inputs import JsonInput

METADATA_SCHEMA = {
    "oneOf": [
        {"type": "string", "description": "free text"},
        {"type": "object", "additionalProperties": True, "description": "typed columns"},
        {"type": "null"},
    ],
}
Metadata = Annotated[str | dict[str, Any] | None, WithJsonSchema(METADATA_SCHEMA)]

_EXAMPLE_URL = "https://example.com/shoe.jpg"


def _optional(kind: str) -> WithJsonSchema:
    """The schema of an optional field; of pydantic's own union BentoML keeps only one part."""
    return WithJsonSchema({"type": [kind, "null"]})


class AddRequest(JsonInput):
    """An image to index."""

    url_missing: ClassVar[str | None] = "No url provided"

    url: str = Field(description="http or https address of the picture", examples=[_EXAMPLE_URL])
    metadata: Metadata = Field(
        default=None,
        description="An object of typed columns, or a free text",
        examples=[{"shop": "A", "price": 9.5, "tags": ["red", "new"]}],
    )


class SearchRequest(JsonInput):
    """What to look for: a picture, a filter or a text, or a picture with one of the others."""

    url: Annotated[str | None, _optional("string")] = Field(
        default=None, description="Picture to search by", examples=[_EXAMPLE_URL]
    )
    metadata: Metadata = Field(
        default=None,
        description="An object filters; a string is a text to search by",
        examples=[{"shop": "A", "price": {"$lt": 10}}],
    )
    limit: int = Field(default=10, ge=1, le=1000, description="Most results to return")
    offset: int = Field(default=0, ge=0, le=10_000, description="Results to skip, for paging")
    min_score: Annotated[float | None, _optional("number")] = Field(
        default=None, ge=-1, le=1, description="Leave out what is less similar than this"
    )


class DetectRequest(JsonInput):
    """A picture to find objects in."""

    url_missing: ClassVar[str | None] = "url not provided error"

    url: str = Field(description="http or https address of the picture", examples=[_EXAMPLE_URL])
    confidence: Annotated[float | None, _optional("number")] = Field(
        default=None, ge=0, le=1, description="Leave out what the detector is less sure of"
    )
    format: Literal["image", "json"] = Field(
        default="image",
        description="`image`: the picture with the objects drawn in; `json`: the objects alone",
    )


class AddAnswer(BaseModel):
    """The image is in the index, durably."""

    message: str = Field(examples=["success"])
    id: str = Field(description="Made from the url", examples=["0a137b375cc3881a70e186ce2172c8d1"])
    created: bool = Field(description="false when the url was known and its row was replaced")


class Result(BaseModel):
    """One image that was found."""

    id: str
    url: str
    score: Annotated[float | None, _optional("number")] = Field(
        description="Cosine similarity, 1.0 for the same picture; null when only a filter was given"
    )
    metadata: Metadata


class SearchAnswer(BaseModel):
    """What was found, best first."""

    results: list[Result]


class Message(BaseModel):
    """An error: one line for people, a code for programs."""

    message: str
    code: str


class AnnotatedPicture(RootModel[bytes]):
    """A JPEG, as bytes."""
