"""What takes whole rows out of an index and puts them into another: requests and answers."""

from typing import Annotated, Any

from pydantic import Field, SkipValidation, WithJsonSchema

from api.contract.requests.fields import Metadata, optional
from api.contract.responses.fields import Answer
from api.contract.responses.images import StoredAnswer
from api.contract.responses.table import Model
from api.requests.reader import JsonInput
from images.fetch.urls import MAX_URL_CHARS
from store.schemas import MAX_LIMIT, MAX_OWN_ID_CHARS, MOST_OBJECTS

MAX_IMPORT_ROWS = 1000
MAX_THUMBNAIL_BYTES = 1 << 20
MAX_THUMBNAIL_SIDE = 1024
"""The largest that a service can be set to make."""

_MAX_CURSOR_CHARS = 64
_MAX_TIME_CHARS = 64
_MAX_VECTOR_CHARS = 1 << 17
_DIGEST_CHARS = 64
_MAX_THUMBNAIL_CHARS = (MAX_THUMBNAIL_BYTES + 2) // 3 * 4
_A_VECTOR = "base64 of its float32 numbers, little-endian"
_PIXELS = "Digest of the picture's pixels, by which duplicates are told; 64 hexadecimal digits"
_ORIGINAL = "SHA-256 of the picture's own file, where that is stored; the file itself is not here"
_THUMBNAIL = "base64 of its thumbnail, a JPEG file"
_OBJECTS = "Its objects with their vectors; absent where nobody has looked for them"
_DETECTOR = "What found the objects, and how they were cut out"
_EDGES = "Left, top, right and bottom, as shares of the picture's width and height"
_MAX_VECTORS_CHARS = MOST_OBJECTS * _MAX_VECTOR_CHARS
_MAX_CLASS_CHARS = 1024


def _schema_of(model: type[JsonInput]) -> WithJsonSchema:
    return WithJsonSchema(model.model_json_schema())


Digest = Annotated[
    str | None,
    Field(max_length=_DIGEST_CHARS),
    optional("string", minLength=_DIGEST_CHARS, maxLength=_DIGEST_CHARS),
]


class ExportRequest(JsonInput):
    """Which page of the index."""

    limit: int = Field(default=MAX_LIMIT, ge=1, le=MAX_LIMIT, description="Most images to return")
    cursor: Annotated[str | None, optional("string", maxLength=_MAX_CURSOR_CHARS)] = Field(
        default=None,
        max_length=_MAX_CURSOR_CHARS,
        description="`next` of the page before; without, the index as it is now, from its first"
        " image on",
    )


class WholeObject(JsonInput):
    """An object of an image, without its vector."""

    class_name: str = Field(max_length=_MAX_CLASS_CHARS)
    confidence: float = Field(ge=0, le=1)
    xyxy: list[float] = Field(min_length=4, max_length=4, description=_EDGES)


class WholeObjects(JsonInput):
    """The objects of an image, in their order."""

    width: int = Field(description="Of the upright picture, in pixels")
    height: int
    left_out: int = Field(description="Objects that were found and not indexed")
    objects: list[Annotated[Any, WithJsonSchema(WholeObject.model_json_schema())]] = Field(
        max_length=MOST_OBJECTS
    )
    vectors: str = Field(
        max_length=_MAX_VECTORS_CHARS, description="Of all of them one after the other, as `vector`"
    )


class ObjectDetector(JsonInput):
    """What found the objects, as the export says."""

    name: str = Field(max_length=_MAX_VECTOR_CHARS, examples=["yolo11n.pt"])
    recipe: str = Field(max_length=_MAX_VECTOR_CHARS, description="How they are cut out")


class ImportRow(JsonInput):
    """An image as an export has it."""

    id: str = Field(
        max_length=MAX_OWN_ID_CHARS, description="What it is called", examples=["shop-A:1"]
    )
    url: str = Field(
        description="Its own, or `upload:` and the digest of its file",
        json_schema_extra={"maxLength": MAX_URL_CHARS},
    )
    created_at: str = Field(
        max_length=_MAX_TIME_CHARS,
        description="RFC 3339 time with a zone: when it was added",
        json_schema_extra={"format": "date-time"},
    )
    vector: str = Field(max_length=_MAX_VECTOR_CHARS, description=_A_VECTOR)
    metadata: Metadata = Field(default=None, description="As for an add")
    pixels: Digest = Field(default=None, description=_PIXELS)
    original: Digest = Field(default=None, description=f"{_ORIGINAL}. Taken where the file is")
    thumbnail: Annotated[str | None, optional("string", maxLength=_MAX_THUMBNAIL_CHARS)] = Field(
        default=None, max_length=_MAX_THUMBNAIL_CHARS, description=_THUMBNAIL
    )
    objects: Annotated[Any, _schema_of(WholeObjects)] = Field(default=None, description=_OBJECTS)


class ImportModel(JsonInput):
    """What made the vectors, as the export says."""

    name: str = Field(max_length=_MAX_VECTOR_CHARS)
    pretrained: str = Field(max_length=_MAX_VECTOR_CHARS)


class ImportRequest(JsonInput):
    """Rows of an export of the same model; a bad one fails alone."""

    model: Annotated[Any, WithJsonSchema(ImportModel.model_json_schema())] = Field(
        description="What made the vectors, as the export says"
    )
    dim: int = Field(ge=1, description="Length of the vectors")
    detector: Annotated[Any, _schema_of(ObjectDetector)] = Field(
        default=None, description=f"{_DETECTOR}, as the export says; needed where rows have objects"
    )
    rows: list[Annotated[Any, WithJsonSchema(ImportRow.model_json_schema())]] = Field(
        min_length=1,
        max_length=MAX_IMPORT_ROWS,
        description="The images; of an id that stands here twice, the last one stays",
    )
    skip_duplicates: bool = Field(
        default=False, description="Leave out new images whose pixels another image has"
    )


_Base64 = Annotated[str | None, optional("string")]


class ExportedRow(StoredAnswer):
    """All that the index has of an image, but its own file."""

    vector: str = Field(description=_A_VECTOR)
    pixels: _Base64 = Field(description=_PIXELS)
    original: _Base64 = Field(description=_ORIGINAL)
    thumbnail: _Base64 = Field(description=_THUMBNAIL)
    objects: Annotated[SkipValidation[Any], _schema_of(WholeObjects)] = Field(
        default=None, description=_OBJECTS
    )


class ExportAnswer(Answer):
    """Some images of the index as it was at one version."""

    rows: list[ExportedRow]
    total: int = Field(description="Images of this version, on all pages")
    version: int
    model: Model
    dim: int = Field(description="Length of the vectors")
    columns: dict[str, str] = Field(description="Metadata keys and their types")
    detector: Annotated[SkipValidation[Any], _schema_of(ObjectDetector)] = Field(
        default=None, description=f"{_DETECTOR}; absent where the index has none"
    )
    next: str = Field(default="", description="`cursor` of the next page; absent on the last")


class ImportResult(Answer):
    """What became of a row; `message` and `code` where it was refused."""

    id: Annotated[str | None, optional("string")]
    created: bool = Field(default=True, description="false where it replaced a row, or was skipped")
    skipped: bool = Field(default=True, description="Nothing was written: its pixels are there")
    message: str = Field(default="", description="What was wrong; absent where nothing was")
    code: str = ""


class ImportAnswer(Answer):
    """One result for each row, in their order."""

    results: list[ImportResult]
