"""The answers of the routes: what these return, and what the OpenAPI page shows.

The order of the fields is that of the JSON; a field that was not set is absent there.
"""

from functools import partial
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    SkipValidation,
    WithJsonSchema,
)

from api.contract.requests import METADATA_SCHEMA, optional
from store.changes.change import Action
from store.metadata.values import format_timestamp
from store.schemas import Facet, ObjectSet

_Text = Annotated[str | None, optional("string")]
_Integer = Annotated[int | None, optional("integer")]
_Number = Annotated[float | None, optional("number")]
_Bound = Annotated[int | float | str | None, WithJsonSchema({"type": ["number", "string"]})]


_Pixels = Annotated[float, BeforeValidator(partial(round, ndigits=2))]
_Time = Annotated[str, BeforeValidator(format_timestamp)]
# As it was stored: checking a thousand large objects again would cost as much as encoding them.
_Metadata = Annotated[SkipValidation[Any], WithJsonSchema(METADATA_SCHEMA)]


class Answer(BaseModel):
    """Base of the answers; their rows are made of the store's dataclasses by attributes."""

    model_config = ConfigDict(from_attributes=True)


class NearDuplicate(Answer):
    """An indexed image that is much like the one that was added."""

    id: str
    url: str
    score: float = Field(description="Cosine similarity of the two")


_Skipped = Annotated[
    bool, Field(description="Nothing was written; `id` is the image that is there")
]
_DuplicateOf = Annotated[str, Field(description="Oldest other image that has the same pixels")]
_NearDuplicates = Annotated[
    list[NearDuplicate],
    Field(description="Other images that are much like it, nearest first"),
]
_Exif = Annotated[
    dict[str, str | float],
    Field(
        description="What the picture's EXIF added to the metadata, where that was asked for",
        examples=[{"taken_at": "2024-05-01T08:00:00Z", "camera": "NIKON D850"}],
    ),
]


_Objects = Annotated[
    int, Field(description="Its objects that were indexed, where the service looks for them")
]
_ObjectsLeftOut = Annotated[
    int, Field(description="Objects that were found and not indexed: too small, or too many")
]


class AddAnswer(Answer):
    """The image is in the index, durably. What does not apply is left out."""

    # BentoML's clients read only the fields that are declared here.
    message: str = Field(examples=["success"])
    id: str = Field(
        description="Its own, or made from the url", examples=["0a137b375cc3881a70e186ce2172c8d1"]
    )
    created: bool = Field(description="false when the image was known and its row was replaced")
    skipped: _Skipped = True
    duplicate_of: _DuplicateOf = ""
    near_duplicates: _NearDuplicates = []
    url: str = Field(default="", description="Of an uploaded image: its own, or made from its file")
    exif: _Exif = {}
    objects: _Objects = 0
    objects_left_out: _ObjectsLeftOut = 0


class BatchResult(Answer):
    """An image as `AddAnswer` has it, or why it was not added."""

    url: _Text
    id: str = ""
    created: bool = True
    skipped: _Skipped = True
    duplicate_of: _DuplicateOf = ""
    near_duplicates: _NearDuplicates = []
    exif: _Exif = {}
    objects: _Objects = 0
    objects_left_out: _ObjectsLeftOut = 0
    message: str = Field(default="", description="What went wrong; absent where nothing did")
    code: str = ""


class AddManyAnswer(Answer):
    """One result for each image, in their order."""

    results: list[BatchResult]


class IndexedObject(Answer):
    """An object of an indexed image; `n` names it there."""

    n: int
    class_name: str
    confidence: Annotated[float, BeforeValidator(partial(round, ndigits=4))]
    xyxy: tuple[_Pixels, _Pixels, _Pixels, _Pixels] = Field(
        description="Left, top, right and bottom in pixels of the upright picture"
    )


class Result(Answer):
    """One image that was found."""

    id: str
    url: str
    score: _Number = Field(
        description="Cosine similarity, 1.0 for the same picture; null when only a filter was given"
    )
    metadata: _Metadata
    group_size: int = Field(
        default=1,
        description="With `group_by`: images of the same value that the filter keeps",
    )
    object: Annotated[
        IndexedObject | None,
        Field(
            json_schema_extra={
                "description": "In a search for objects: the image's best one. Absent where the"
                " image as a whole was better"
            }
        ),
    ] = None
    objects: list[IndexedObject] = Field(
        default=[], description="The same with several terms: the best one for each"
    )


class Value(Answer):
    """A value of a metadata key, and how many images have it."""

    value: Annotated[str | bool, WithJsonSchema({"type": ["string", "boolean"]})]
    count: int


class Column(Answer):
    """What the images have under a metadata key."""

    key: str
    type: str
    count: int = Field(description="Images that have the key")
    values: list[Value] = Field(
        default=[], description="Of a text, a list or a boolean: the most frequent, at most 100"
    )
    more: bool = Field(default=False, description="Whether there are values besides these")
    min: _Bound = Field(default=None, description="Of a number or a time: the least")
    max: _Bound = Field(default=None, description="Of a number or a time: the greatest")


def column_of(facet: Facet) -> Column:
    """A key's column as the store tells of it."""
    applies: dict[str, Any] = {}
    if facet.values is not None:
        values = [Value(value=value, count=count) for value, count in facet.values]
        applies = {"values": values, "more": facet.more}
    elif facet.count:
        applies = {"min": facet.min, "max": facet.max}
    return Column(key=facet.key, type=facet.type, count=facet.count, **applies)


_Next = Annotated[str, Field(description="Cursor of the page behind; absent on the last one")]


class SearchAnswer(Answer):
    """What was found, best first, or in the order that was asked for."""

    results: list[Result]
    next: _Next = ""
    total: int = Field(default=0, description="Images that the filter keeps, if that was asked")
    facets: list[Column] = Field(
        default=[], description="The keys that were asked for, under the filter"
    )


class StoredAnswer(Answer):
    """An image of the index."""

    id: str
    url: str
    metadata: _Metadata
    created_at: _Time = Field(description="When it was last added: RFC 3339, in UTC")


class ObjectsAnswer(Answer):
    """The objects of an image, the largest and surest first."""

    objects: list[IndexedObject]
    detected: bool = Field(description="Whether the image was looked into at all")
    left_out: int = Field(description="Objects that were found and not indexed")
    width: _Integer = Field(description="Of the picture, in pixels; null where not looked into")
    height: _Integer
    found_by: str = Field(
        default="", description="Detector of before that found them; absent where it is that of now"
    )


def objects_answer(of: ObjectSet) -> ObjectsAnswer:
    """The objects of an image as the store has them."""
    width, height = of.size
    objects = [object_of(of, n) for n in range(len(of.boxes))]
    return ObjectsAnswer(
        objects=objects, detected=True, left_out=of.left_out, width=width, height=height
    )


def object_of(of: ObjectSet, n: int) -> IndexedObject:
    """One of the objects of an image."""
    (width, height), box = of.size, of.boxes[n]
    left, top, right, bottom = box.xyxy
    edges = left * width, top * height, right * width, bottom * height
    return IndexedObject(n=n, class_name=box.class_name, confidence=box.confidence, xyxy=edges)


class ListAnswer(Answer):
    """Some images, newest first, and how many there are in all."""

    images: list[StoredAnswer]
    total: int
    next: _Next = ""


class DeleteAnswer(Answer):
    """How many images were deleted."""

    message: str = Field(examples=["success"])
    deleted: int


class UpdateAnswer(Answer):
    """How many images were changed."""

    updated: int


class Model(Answer):
    """What makes the vectors."""

    name: str = Field(examples=["ViT-B-32"])
    pretrained: str = Field(description="A published tag, or `sha256:` and that of the weights")


class Upkeep(Answer):
    """The last round of upkeep, whichever worker did it."""

    finished_at: _Time
    seconds: float
    result: str = Field(description="`ok`, or one line about what failed")
    did: list[str]


class IndexedObjects(Answer):
    """The objects of the index."""

    detector: str = Field(examples=["yolo11n.pt"])
    recipe: str = Field(description="How they are cut out of their picture")
    images: int = Field(description="Images that were looked into")
    objects: int
    earlier: int = Field(
        default=0,
        description="Of the images: looked into with another detector before, to be looked into"
        " again; absent where there are none",
    )


class IndexAnswer(Answer):
    """The table as it is now."""

    rows: int
    dim: int
    model: Model
    columns: dict[str, str] = Field(description="Metadata keys and their types")
    fragments: int = Field(description="Files of rows; upkeep joins them")
    vector_index: _Text = Field(description="Its kind; null while every search is exact")
    indexed_rows: int
    unindexed_rows: int
    size_bytes: _Integer = Field(
        description="Of the table on disk, without pictures; null on an object store"
    )
    version: int
    estimated_recall: _Number = Field(
        description="recall@10 against exact search, on a sample; null before it was measured"
    )
    upkeep: Annotated[
        Upkeep | None, Field(json_schema_extra={"description": "null before the first round"})
    ]
    objects: Annotated[
        IndexedObjects | None,
        Field(json_schema_extra={"description": "Absent where the service indexes none"}),
    ] = None


class ObjectClass(Answer):
    """A class of objects."""

    class_name: str
    images: int = Field(description="Images that have one")
    objects: int = Field(description="In all of them")


class ColumnsAnswer(Answer):
    """The metadata keys, and the classes of the objects."""

    columns: list[Column]
    classes: list[ObjectClass] = Field(
        default=[], description="Those that most images have first; absent without objects"
    )


class DeclareAnswer(Answer):
    """A metadata key that has a type."""

    message: str = Field(examples=["success"])
    key: str
    type: str
    created: bool = Field(description="False where it had the type before")


class DropAnswer(Answer):
    """A metadata key that was taken away with its values; a restore brings both back."""

    message: str = Field(examples=["success"])
    key: str
    count: int = Field(description="Images that had the key")


class Version(Answer):
    """A version of the table."""

    version: int
    created_at: _Time
    rows: _Integer = Field(description="Images in it; null where that is not written down")


class VersionsAnswer(Answer):
    """The versions that can be restored, newest first."""

    versions: list[Version]


class RestoreAnswer(Answer):
    """What the table is again; that is a new version, so this can be undone too."""

    message: str = Field(examples=["success"])
    restored: Version


class Change(Answer):
    """A change of the table: what one request did with one commit."""

    at: _Time
    key: _Text = Field(description="Name of the API key; null where there was none")
    address: _Text = Field(description="Of the client")
    request_id: _Text
    table: str = Field(examples=["images"])
    action: Action
    count: int = Field(description="Images that it changed")
    filter: Annotated[Any, WithJsonSchema({"type": ["object", "null"]})] = Field(
        default=None, description="Of `delete_matching`; null where it is too long"
    )
    restored: int = Field(default=0, description="Of `restore`: the version gone back to")
    undone: str = Field(default="", description="Of `undo`: the key")
    column: str = Field(default="", description="Of `drop_column` and `declare_column`: the key")
    type: str = Field(default="", description="Of `declare_column`: the key's type")
    imported: bool = Field(default=True, description="Whole rows of an export were put in")
    version_before: int
    version: _Integer = Field(
        description="That it made; null while it is made, and where its process ended meanwhile"
    )
    ids: list[str] = Field(description="Of the images, 1000 at the most")


class LogAnswer(Answer):
    """The changes, newest first."""

    changes: list[Change]
    more: bool = Field(description="Whether there are earlier ones")


class LeftAsItIs(Answer):
    """What was not undone."""

    id: _Text = Field(description="Of an image; null where it is not about one")
    reason: str


class UndoAnswer(Answer):
    """What became of undoing."""

    message: str = Field(examples=["success"])
    dry_run: bool
    removed: int = Field(description="Images that the key had added, and that are deleted again")
    restored: int = Field(description="Images that are again as they were before the key's changes")
    left: list[LeftAsItIs] = Field(description="What was not undone, 1000 at the most")
    left_total: int


class Message(Answer):
    """An error: one line for people, a code for programs."""

    message: str
    code: str = Field(default="", description="Absent where no url was given")


MORE_HEADER = "X-More-Detections"
"""Of an annotated picture, `true` where there are more objects than were drawn in."""


class Detection(Answer):
    """An object in a picture: pixels to a hundredth, confidence to a percent's hundredth."""

    xyxy: tuple[_Pixels, _Pixels, _Pixels, _Pixels]
    confidence: Annotated[float, BeforeValidator(partial(round, ndigits=4))]
    class_id: int
    class_name: str


class DetectionsAnswer(Answer):
    """The objects in a picture."""

    width: int
    height: int
    detections: list[Detection]
    picture: str = ""
    more: bool = Field(
        default=True,
        description="Present where there are more: than max_detections, or than the detector tells",
    )


class AnnotatedPicture(RootModel[bytes]):
    """A JPEG, as bytes."""
