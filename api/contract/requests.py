"""The requests of the routes, as BentoML, its clients and the OpenAPI page see them."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from api.requests.reader import JsonInput, trimmed, without_nulls
from api.settings import MAX_TILES
from images.fetch.urls import MAX_URL_CHARS
from store.changes.change import Action
from store.schemas import (
    ID_RULE,
    MAX_LIMIT,
    MAX_METADATA_CHARS,
    MAX_OFFSET,
    MAX_OWN_ID_CHARS,
    MAX_SORT_KEYS,
    MAX_TEXT_CHARS,
    is_id,
)

METADATA_SCHEMA = {
    "oneOf": [
        {"type": "string", "maxLength": MAX_METADATA_CHARS, "description": "free text"},
        {"type": "object", "additionalProperties": True, "description": "typed columns"},
        {"type": "null"},
    ]
}
Metadata = Annotated[str | dict[str, Any] | None, WithJsonSchema(METADATA_SCHEMA)]

MAX_BATCH_IMAGES = 256
MAX_DELETE_IDS = 1000
MAX_TERMS = 16
MAX_WEIGHT = 100
MAX_ID_CHARS = 256
MAX_FACETS = 32
MAX_CLASSES = 100
MAX_DETECTIONS = 300
"""That the detector finds in a picture at most."""
MAX_CURSOR_CHARS = 16_384
_MAX_TIME_CHARS = 64
# The length of a url is checked where it is fetched, in the words for any url that cannot be.
_URL_LENGTH: dict[str, Any] = {"maxLength": MAX_URL_CHARS}
_LARGEST_OFFSET = 10_000_000
_LARGEST_VERSION = 2**63 - 1
_NAME = {"type": "string"}
_EXAMPLE_URL = "https://example.com/shoe.jpg"
_OWN_ID = "^[A-Za-z0-9._:-]*$"
_EXAMPLE_ID = "0a137b375cc3881a70e186ce2172c8d1"


def optional(kind: str, **more: Any) -> WithJsonSchema:
    """The schema of an optional field; of pydantic's own union BentoML keeps only one part."""
    return WithJsonSchema({"type": [kind, "null"], **more})


_OptionalId = Annotated[
    str | None,
    Field(min_length=1, max_length=MAX_ID_CHARS),
    optional("string", maxLength=MAX_ID_CHARS),
]
_Url = Annotated[
    str,
    Field(
        description="http or https address of the picture",
        examples=[_EXAMPLE_URL],
        json_schema_extra=_URL_LENGTH,
    ),
]
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

    url: _Url
    id: Annotated[
        str | None, optional("string", pattern=_OWN_ID, minLength=1, maxLength=MAX_OWN_ID_CHARS)
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


_EDGES = 4
_NUMBERS = re.compile(r"[0-9]{1,3}(?:,[0-9]{1,3}){0,99}")
_Region = Annotated[
    tuple[float, float, float, float] | None,
    optional("array", items={"type": "number", "minimum": 0}, minItems=4, maxItems=4),
]
_REGION = (
    "A part of the picture instead of all of it: left, top, right and bottom in pixels of the"
    " upright picture"
)


class OfClass(BaseModel):
    """The surest object of a class in a picture."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    class_name: str = Field(description="As the detector calls it", examples=["dog"])


_ObjectOf = Annotated[
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
_OBJECT = (
    "An object of the picture instead of all of it: with `id` its number `n`, with `url` the surest"
    ' one of a class, `{"class_name": "dog"}`'
)


def _as_region(given: Any) -> Any:
    if not isinstance(given, list):
        return given
    if len(given) != _EDGES:
        raise ValueError("must be left, top, right and bottom: [x1, y1, x2, y2] in pixels")
    return tuple(given)


def _check_part(
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


class Term(BaseModel):
    """A part of a search: one of `url`, `text` and `id`, and its weight."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: Annotated[str | None, optional("string", **_URL_LENGTH)] = Field(
        default=None, min_length=1, description="Address of a picture"
    )
    text: Annotated[str | None, optional("string", maxLength=MAX_TEXT_CHARS)] = Field(
        default=None, min_length=1, max_length=MAX_TEXT_CHARS, description="A description"
    )
    id: _OptionalId = Field(default=None, description="An indexed image")
    region: _Region = Field(default=None, description=_REGION)
    object: _ObjectOf = Field(default=None, description=_OBJECT)
    weight: float = Field(
        default=1,
        ge=-MAX_WEIGHT,
        le=MAX_WEIGHT,
        description="Positive to look near the term, negative to look away from it; not 0",
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        return trimmed(without_nulls(cls, given))

    @model_validator(mode="after")
    def _one_thing(self) -> "Term":
        if sum(given is not None for given in (self.url, self.text, self.id)) != 1:
            raise ValueError("must have exactly one of url, text and id")
        if self.weight == 0:
            raise ValueError("must have a weight other than 0")
        _check_part(self.url, self.id, self.region, self.object)
        return self

    @field_validator("region", mode="before")
    @classmethod
    def _region(cls, given: Any) -> Any:
        return _as_region(given)


class SearchRequest(JsonInput):
    """What to look for: a picture, a filter or a text, or a picture with one of the others.

    Instead of `url`, an indexed image by its `id`, or several weighted terms as `query`; with
    these, `metadata` can only be a filter.
    """

    url: Annotated[str | None, optional("string", **_URL_LENGTH)] = Field(
        default=None, description="Picture to search by", examples=[_EXAMPLE_URL]
    )
    metadata: Metadata = Field(
        default=None,
        description="An object filters; a string is a text to search by",
        examples=[{"shop": "A", "price": {"$lt": 10}}],
    )
    text: Annotated[str | None, optional("string", maxLength=MAX_TEXT_CHARS)] = Field(
        default=None,
        max_length=MAX_TEXT_CHARS,
        description="A text to search by, beside a filter as metadata",
    )
    id: _OptionalId = Field(
        default=None, description="Indexed image to search by; it comes first itself"
    )
    query: Annotated[
        list[Term] | None,
        optional("array", items=Term.model_json_schema(), minItems=1, maxItems=MAX_TERMS),
    ] = Field(
        default=None,
        min_length=1,
        max_length=MAX_TERMS,
        description="Weighted terms that are searched for together",
    )
    search: Literal["images", "objects", "both"] = Field(
        default="images",
        description="What is compared with the query: `images` as a whole; the `objects` in them,"
        " where the service indexes these; or `both`, of which the better counts",
    )
    region: _Region = Field(default=None, description=_REGION)
    object: _ObjectOf = Field(default=None, description=_OBJECT)
    objects: Annotated[dict[str, Any] | None, optional("object", additionalProperties=True)] = (
        Field(
            default=None,
            description="Only objects that this holds for: a filter on `class_name`, `confidence`"
            " and, as shares of the picture's, `area`, `x` and `y`",
            examples=[{"class_name": "dog", "confidence": {"$gte": 0.5}}],
        )
    )
    limit: int = Field(default=10, ge=1, le=MAX_LIMIT, description="Most results to return")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="Results to skip, for paging")
    min_score: Annotated[float | None, optional("number", minimum=-1, maximum=1)] = Field(
        default=None, ge=-1, le=1, description="Leave out what is less similar than this"
    )
    cutoff: Annotated[Literal["auto"] | None, optional("string", enum=["auto", None])] = Field(
        default=None,
        description="`auto` leaves out what falls off from the best results of this search",
    )
    sort: Annotated[
        tuple[str, ...],
        WithJsonSchema(
            {"type": ["string", "array", "null"], "items": _NAME, "maxItems": MAX_SORT_KEYS}
        ),
    ] = Field(
        default=(),
        description="Metadata key to sort by, `-` before it for the greatest first, or a list of"
        " such; `$created_at` too. Images without the key come last",
        examples=["-price"],
    )
    total: bool = Field(default=False, description="Tell how many images the filter keeps")
    facets: Annotated[
        tuple[str, ...],
        WithJsonSchema({"type": ["array", "null"], "items": _NAME, "maxItems": MAX_FACETS}),
    ] = Field(
        default=(),
        max_length=MAX_FACETS,
        description="Metadata keys whose values under the filter are told",
        examples=[["shop", "price"]],
    )
    group_by: Annotated[str | None, optional("string")] = Field(
        default=None,
        description="Metadata key; of each of its values the best result only, which tells its"
        " `group_size`. Images without the key are groups of their own",
        examples=["product"],
    )
    distinct: Annotated[Literal["pixels"] | None, optional("string", enum=["pixels", None])] = (
        Field(
            default=None,
            description="`pixels`: of images with the same pixels the best result only",
        )
    )
    cursor: Annotated[str | None, optional("string", maxLength=MAX_CURSOR_CHARS)] = Field(
        default=None,
        min_length=1,
        max_length=MAX_CURSOR_CHARS,
        description="`next` of another page of the same search by a filter: go on behind it",
    )

    @field_validator("metadata", "text")
    @classmethod
    def _blank_is_absent(cls, metadata: Metadata) -> Metadata:
        return None if isinstance(metadata, str) and not metadata.strip() else metadata

    @field_validator("region", mode="before")
    @classmethod
    def _region(cls, given: Any) -> Any:
        return _as_region(given)

    @field_validator("sort", "facets", mode="before")
    @classmethod
    def _as_tuple(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, str) and info.field_name == "sort":
            return (given,)
        return tuple(given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _goes_together(self) -> "SearchRequest":
        named = [name for name in ("url", "id", "query") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{named[0]} and {named[1]} do not go together: give one of them")
        if named and named[0] != "url" and isinstance(self.metadata, str):
            raise ValueError(
                f"{named[0]} and a metadata text do not go together: "
                'give metadata as a filter, or the text as a term of "query"'
            )
        if self.text and isinstance(self.metadata, str):
            raise ValueError("text and a metadata text do not go together: give one of them")
        if self.text and named and named[0] != "url":
            raise ValueError(
                f'{named[0]} and text do not go together: give the text as a term of "query"'
            )
        if not (named or self.metadata or self.text or self.cursor):
            raise ValueError(
                "no url and no metadata provided: give a url, an id, a query,"
                " or metadata (a filter or a text)"
            )
        _check_part(self.url, self.id, self.region, self.object)
        if self.search == "images" and self.objects is not None:
            raise ValueError('objects goes with "search": "objects" or "both"')
        return self


class DetectRequest(JsonInput):
    """A picture to find objects in."""

    url_missing: ClassVar[str | None] = "url not provided error"

    url: _Url
    confidence: Annotated[float | None, optional("number", minimum=0, maximum=1)] = Field(
        default=None, ge=0, le=1, description="Leave out what the detector is less sure of"
    )
    format: Literal["image", "json"] = Field(
        default="image",
        description="`image`: the picture with the objects drawn in; `json`: the objects alone",
    )
    classes: Annotated[
        tuple[str, ...],
        WithJsonSchema({"type": ["array", "null"], "items": _NAME, "maxItems": MAX_CLASSES}),
    ] = Field(
        default=(),
        max_length=MAX_CLASSES,
        description="Only objects of these classes, as the detector calls them",
        examples=[["star", "cross"]],
    )
    max_detections: int = Field(
        default=MAX_DETECTIONS,
        ge=1,
        le=MAX_DETECTIONS,
        description="Most objects, the surest ones; where there are more, the answer tells",
    )
    picture: bool = Field(
        default=False,
        description="With `json`: the picture as well, without anything drawn in, as a data URL",
    )

    tiles: int = Field(
        default=0,
        ge=0,
        le=MAX_TILES,
        description="Parts at most in which a large picture is looked at more closely, too, where "
        "there is something small in it, or nothing was found: 4 finds much of what is half as "
        "large, in up to five times the time; 0 looks at the whole alone",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _as_tuple(cls, given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _goes_together(self) -> "DetectRequest":
        if self.picture and self.format != "json":
            raise ValueError('picture goes with format "json"')
        return self


class NoRequest(JsonInput):
    """Nothing to say."""


class ListRequest(JsonInput):
    """Which part of all images, newest first."""

    limit: int = Field(default=10, ge=1, le=MAX_LIMIT, description="Most images to return")
    offset: int = Field(
        default=0, ge=0, le=_LARGEST_OFFSET, description="Images to skip, for paging"
    )
    url: Annotated[str | None, optional("string", **_URL_LENGTH)] = Field(
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

    id: str = Field(description="Id of the image", examples=[_EXAMPLE_ID])


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
        if given is not None and not _NUMBERS.fullmatch(given):
            raise ValueError(f"must be up to {_MOST_DRAWN} numbers with commas between them: 0,2")
        return given

    @property
    def numbers(self) -> list[int]:
        """Of the objects to draw in."""
        return [int(number) for number in (self.objects or "").split(",") if number]


class ColumnRequest(JsonInput):
    """One metadata key."""

    path_fields: ClassVar[frozenset[str]] = frozenset({"key"})

    key: str = Field(description="The metadata key, percent-encoded", examples=["shop"])


class DeclareRequest(ColumnRequest):
    """The type that a metadata key is to have."""

    type: Literal["string", "integer", "float", "boolean", "timestamp", "list of strings"] = Field(
        description="Of the key's values. A key of integers may become one of floats, and one of"
        " timestamps one of strings; any other change is refused"
    )


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
            items={"type": "string", **_URL_LENGTH},
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


class RestoreRequest(JsonInput):
    """The version of the table to go back to: by its number, or the last kept one at a moment."""

    version: Annotated[int | None, optional("integer", minimum=1)] = Field(
        default=None, ge=1, le=_LARGEST_VERSION, description="Number of a version"
    )
    before: Annotated[
        str | None, optional("string", format="date-time", maxLength=_MAX_TIME_CHARS)
    ] = Field(
        default=None,
        max_length=_MAX_TIME_CHARS,
        description="RFC 3339 time with a zone: the last kept version at or before it",
        examples=["2026-01-31T12:00:00Z"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> "RestoreRequest":
        if (self.version is None) == (self.before is None):
            raise ValueError("give either version or before, a time")
        return self


_Moment = Annotated[
    str | None,
    Field(max_length=_MAX_TIME_CHARS),
    optional("string", format="date-time", maxLength=_MAX_TIME_CHARS),
]


class LogRequest(JsonInput):
    """Which changes of the table, newest first."""

    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="Most changes to return")
    since: _Moment = Field(
        default=None, description="RFC 3339 time with a zone: no changes of before it"
    )
    before: _Moment = Field(
        default=None, description="Only changes of before it: for paging, `at` of the last one"
    )
    key: _OptionalId = Field(default=None, description="Name of a key: only its changes")
    action: Annotated[Action | None, optional("string", enum=[*get_args(Action), None])] = Field(
        default=None, description="Only changes of this kind"
    )
    id: _OptionalId = Field(default=None, description="Only changes of this image")


class UndoRequest(JsonInput):
    """The changes to undo: those of a key from a moment on."""

    key: str = Field(
        min_length=1, max_length=MAX_ID_CHARS, description="Name of the key", examples=["shop"]
    )
    since: str = Field(
        max_length=_MAX_TIME_CHARS,
        description="RFC 3339 time with a zone: of the first change to undo",
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00Z"],
    )
    before: _Moment = Field(
        default=None, description="Changes from this time on are not undone; now, without"
    )
    dry_run: bool = Field(default=False, description="Only tell what would be done")
