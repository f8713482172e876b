"""Answers about the table as a whole: its state, its versions, its change log."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from api.contract.responses.fields import Answer, Integer, Number, Text, Time
from store.changes.change import Action


class Model(Answer):
    """What makes the vectors."""

    name: str = Field(examples=["ViT-B-32"])
    pretrained: str = Field(description="A published tag, or `sha256:` and that of the weights")


class Upkeep(Answer):
    """The last round of upkeep, whichever worker did it."""

    finished_at: Time
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
    vector_index: Text = Field(description="Its kind; null while every search is exact")
    indexed_rows: int
    unindexed_rows: int
    size_bytes: Integer = Field(
        description="Of the table on disk, without pictures; null on an object store"
    )
    version: int
    estimated_recall: Number = Field(
        description="recall@10 against exact search, on a sample; null before it was measured"
    )
    upkeep: Annotated[
        Upkeep | None, Field(json_schema_extra={"description": "null before the first round"})
    ]
    objects: Annotated[
        IndexedObjects | None,
        Field(json_schema_extra={"description": "Absent where the service indexes none"}),
    ] = None


class Version(Answer):
    """A version of the table."""

    version: int
    created_at: Time
    rows: Integer = Field(description="Images in it; null where that is not written down")


class VersionsAnswer(Answer):
    """The versions that can be restored, newest first."""

    versions: list[Version]


class RestoreAnswer(Answer):
    """What the table is again; that is a new version, so this can be undone too."""

    message: str = Field(examples=["success"])
    restored: Version


class Change(Answer):
    """A change of the table: what one request did with one commit."""

    at: Time
    key: Text = Field(description="Name of the API key; null where there was none")
    address: Text = Field(description="Of the client")
    request_id: Text
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
    version: Integer = Field(
        description="That it made; null while it is made, and where its process ended meanwhile"
    )
    ids: list[str] = Field(description="Of the images, 1000 at the most")


class LogAnswer(Answer):
    """The changes, newest first."""

    changes: list[Change]
    more: bool = Field(description="Whether there are earlier ones")


class LeftAsItIs(Answer):
    """What was not undone."""

    id: Text = Field(description="Of an image; null where it is not about one")
    reason: str


class UndoAnswer(Answer):
    """What became of undoing."""

    message: str = Field(examples=["success"])
    dry_run: bool
    removed: int = Field(description="Images that the key had added, and that are deleted again")
    restored: int = Field(description="Images that are again as they were before the key's changes")
    left: list[LeftAsItIs] = Field(description="What was not undone, 1000 at the most")
    left_total: int
