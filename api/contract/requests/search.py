"""A request that searches, and the terms of its query."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from api.contract.requests.fields import (
    EXAMPLE_URL,
    MAX_CURSOR_CHARS,
    NAME,
    URL_LENGTH,
    Metadata,
    OptionalId,
    optional,
)
from api.contract.requests.parts import (
    OBJECT_MEANS,
    REGION_MEANS,
    ObjectOf,
    Region,
    as_region,
    check_part,
)
from api.requests.reader import JsonInput, trimmed, without_nulls
from store.schemas import (
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_SORT_KEYS,
    MAX_TEXT_CHARS,
)

MAX_TERMS = 16
MAX_WEIGHT = 100
MAX_FACETS = 32


class Term(BaseModel):
    """A part of a search: one of `url`, `text` and `id`, and its weight."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: Annotated[str | None, optional("string", **URL_LENGTH)] = Field(
        default=None, min_length=1, description="Address of a picture"
    )
    text: Annotated[str | None, optional("string", maxLength=MAX_TEXT_CHARS)] = Field(
        default=None, min_length=1, max_length=MAX_TEXT_CHARS, description="A description"
    )
    id: OptionalId = Field(default=None, description="An indexed image")
    region: Region = Field(default=None, description=REGION_MEANS)
    object: ObjectOf = Field(default=None, description=OBJECT_MEANS)
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
        check_part(self.url, self.id, self.region, self.object)
        return self

    @field_validator("region", mode="before")
    @classmethod
    def _region(cls, given: Any) -> Any:
        return as_region(given)


class SearchRequest(JsonInput):
    """What to look for: a picture, a filter or a text, or a picture with one of the others.

    Instead of `url`, an indexed image by its `id`, or several weighted terms as `query`; with
    these, `metadata` can only be a filter.
    """

    url: Annotated[str | None, optional("string", **URL_LENGTH)] = Field(
        default=None, description="Picture to search by", examples=[EXAMPLE_URL]
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
    id: OptionalId = Field(
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
    region: Region = Field(default=None, description=REGION_MEANS)
    object: ObjectOf = Field(default=None, description=OBJECT_MEANS)
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
            {"type": ["string", "array", "null"], "items": NAME, "maxItems": MAX_SORT_KEYS}
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
        WithJsonSchema({"type": ["array", "null"], "items": NAME, "maxItems": MAX_FACETS}),
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
        return as_region(given)

    @field_validator("sort", "facets", mode="before")
    @classmethod
    def _as_tuple(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, list):
            return tuple(given)
        if info.field_name != "sort" or given is None:
            return given
        if not isinstance(given, str):
            raise ValueError("must be a string or a list of strings")  # noqa: TRY004 - pydantic's
        return (given,)

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
        check_part(self.url, self.id, self.region, self.object)
        if self.search == "images" and self.objects is not None:
            raise ValueError('objects goes with "search": "objects" or "both"')
        return self
