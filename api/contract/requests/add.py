"""Requests that add images, one or many."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema, field_validator

from api.contract.requests.fields import Metadata, Url, optional
from api.requests.reader import JsonInput
from store.schemas import (
    ID_RULE,
    MAX_OWN_ID_CHARS,
    is_id,
)

MAX_BATCH_IMAGES = 256
OWN_ID = "^[A-Za-z0-9._:-]*$"
OnDuplicate = Literal["add", "skip", "skip_near"]
_ON_DUPLICATE = (
    "What to do with a new image whose picture is indexed already: `add` it all the same, "
    "`skip` it where the pixels are the same, or `skip_near` where it is similar too"
)
_EXIF = (
    "Whether to add to the metadata what the picture's EXIF tells: `taken_at`, `camera`, `gps.lat` "
    "and `gps.lon`. The metadata's own keys win"
)


class AddRequest(JsonInput):
    """An image to index."""

    url_missing: ClassVar[str | None] = "No url provided"
    instead_of_a_picture: ClassVar[tuple[str, ...]] = ()

    url: Url
    id: Annotated[
        str | None, optional("string", pattern=OWN_ID, minLength=1, maxLength=MAX_OWN_ID_CHARS)
    ] = Field(
        default=None,
        description="What the image is called, in place of an id made from its url: adding it"
        " again replaces it, whatever its url",
        examples=["shop-A:1234"],
    )
    metadata: Metadata = Field(
        default=None,
        description="An object of typed columns, or a free text",
        examples=[{"shop": "A", "price": 9.5, "tags": ["red", "new"]}],
    )
    on_duplicate: OnDuplicate = Field(default="add", description=_ON_DUPLICATE)
    exif: bool = Field(default=False, description=_EXIF)

    @field_validator("id")
    @classmethod
    def _is_id(cls, given: str | None) -> str | None:
        if given is not None and not is_id(given):
            raise ValueError(f"must be {ID_RULE}")
        return given


class AddManyRequest(JsonInput):
    """Images to index, each as for `/post_image_to_index`; a bad one fails alone."""

    images: list[Annotated[Any, WithJsonSchema(AddRequest.model_json_schema())]] = Field(
        min_length=1,
        max_length=MAX_BATCH_IMAGES,
        description="The images; of an id or a url that stands here twice, the last one stays",
    )
    on_duplicate: OnDuplicate = Field(
        default="add", description="For the images that do not say it themselves"
    )
    exif: bool = Field(
        default=False, description="Likewise: whether to add what their EXIF tells to the metadata"
    )
