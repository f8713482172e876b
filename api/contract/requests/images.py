"""Requests about images of the index: list, look at, change and delete them."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from api.contract.requests.fields import (
    EXAMPLE_ID,
    LARGEST_OFFSET,
    MAX_CURSOR_CHARS,
    MAX_ID_CHARS,
    URL_LENGTH,
    Metadata,
    optional,
)
from api.contract.requests.parts import NUMBERS
from api.requests.reader import JsonInput
from images.fetch.urls import MAX_URL_CHARS
from store.schemas import MAX_LIMIT

MAX_DELETE_IDS = 1000


class ListRequest(JsonInput):
    """Which part of all images, newest first."""

    limit: int = Field(default=10, ge=1, le=MAX_LIMIT, description="Most images to return")
    offset: int = Field(
        default=0, ge=0, le=LARGEST_OFFSET, description="Images to skip, for paging"
    )
    url: Annotated[str | None, optional("string", **URL_LENGTH)] = Field(
        default=None,
        min_length=1,
        max_length=MAX_URL_CHARS,
        description="Only the images with this url",
    )
    cursor: Annotated[str | None, optional("string", maxLength=MAX_CURSOR_CHARS)] = Field(
        default=None,
        min_length=1,
        max_length=MAX_CURSOR_CHARS,
        description="`next` of another page: go on behind it",
    )


class ImageRequest(JsonInput):
    """One image."""

    path_fields: ClassVar[frozenset[str]] = frozenset({"id"})

    id: str = Field(description="Id of the image", examples=[EXAMPLE_ID])


_MOST_DRAWN = 100


class ThumbnailRequest(ImageRequest):
    """The thumbnail of one image, and which of its objects to draw in."""

    objects: Annotated[
        str | None, optional("string", pattern="^[0-9]{1,3}(,[0-9]{1,3})*$", maxLength=400)
    ] = Field(
        default=None,
        description="Objects to draw in, by their `n`, with commas between them",
        examples=["0,2"],
    )

    @field_validator("objects")
    @classmethod
    def _are_numbers(cls, given: str | None) -> str | None:
        if given is not None and not NUMBERS.fullmatch(given):
            raise ValueError(f"must be up to {_MOST_DRAWN} numbers with commas between them: 0,2")
        return given

    @property
    def numbers(self) -> list[int]:
        """Of the objects to draw in."""
        return [int(number) for number in (self.objects or "").split(",") if number]


class PatchRequest(ImageRequest):
    """Changes to an image's metadata, as JSON Merge Patch (RFC 7396) has them."""

    metadata: Metadata = Field(
        description="An object sets the keys that it names, and removes those that it names null. "
        "A text replaces all of the metadata, and null removes it",
        examples=[{"price": 7.5, "tags": None}],
    )


_NOT_ALL = "A filter, as for a search; one that keeps every image is refused"
_BroadFilter = Annotated[dict[str, Any] | None, optional("object", additionalProperties=True)]


class DeleteManyRequest(JsonInput):
    """Images to delete: by their ids or urls, all that match a filter, or all."""

    ids: Annotated[
        list[Annotated[str, Field(max_length=MAX_ID_CHARS)]] | None,
        optional(
            "array",
            items={"type": "string", "maxLength": MAX_ID_CHARS},
            minItems=1,
            maxItems=MAX_DELETE_IDS,
        ),
    ] = Field(default=None, min_length=1, max_length=MAX_DELETE_IDS, description="Ids of images")
    urls: Annotated[
        list[Annotated[str, Field(max_length=MAX_URL_CHARS)]] | None,
        optional(
            "array",
            items={"type": "string", **URL_LENGTH},
            minItems=1,
            maxItems=MAX_DELETE_IDS,
        ),
    ] = Field(
        default=None,
        min_length=1,
        max_length=MAX_DELETE_IDS,
        description="Urls of images: all images of each",
    )
    metadata: _BroadFilter = Field(default=None, description=_NOT_ALL)
    all: bool = Field(default=False, description="`true` for every image")

    @model_validator(mode="after")
    def _one_way(self) -> "DeleteManyRequest":
        given = [one for one in (self.ids, self.urls, self.metadata) if one is not None]
        if len(given) + self.all != 1:
            raise ValueError('give one of ids, urls, metadata (a filter) and "all": true')
        if self.metadata == {}:
            raise ValueError(
                'an empty filter would delete every image: name what to delete, or give "all": true'
            )
        return self


class UpdateManyRequest(JsonInput):
    """Changes to the metadata of all images that match a filter, or of all."""

    metadata: _BroadFilter = Field(default=None, description=_NOT_ALL)
    all: bool = Field(default=False, description="`true` for every image")
    set: Metadata = Field(
        description="The changes, as `PATCH /images/{id}` takes them",
        examples=[{"sale": True, "price": None}],
    )

    @model_validator(mode="after")
    def _one_way(self) -> "UpdateManyRequest":
        if (self.metadata is not None) + self.all != 1:
            raise ValueError('give one of metadata (a filter) and "all": true')
        if self.metadata == {}:
            raise ValueError(
                'an empty filter would change every image: name what to change, or give "all": true'
            )
        return self
