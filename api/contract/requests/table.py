"""Requests about the table as a whole: its columns, its versions, its change log."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from api.contract.requests.fields import MAX_ID_CHARS, MAX_TIME_CHARS, Moment, OptionalId, optional
from api.requests.reader import JsonInput
from store.changes.change import Action
from store.schemas import MAX_LIMIT

LARGEST_VERSION = 2**63 - 1


class NoRequest(JsonInput):
    """Nothing to say."""


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


class RestoreRequest(JsonInput):
    """The version of the table to go back to: by its number, or the last kept one at a moment."""

    version: Annotated[int | None, optional("integer", minimum=1)] = Field(
        default=None, ge=1, le=LARGEST_VERSION, description="Number of a version"
    )
    before: Annotated[
        str | None, optional("string", format="date-time", maxLength=MAX_TIME_CHARS)
    ] = Field(
        default=None,
        max_length=MAX_TIME_CHARS,
        description="RFC 3339 time with a zone: the last kept version at or before it",
        examples=["2026-01-31T12:00:00Z"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> "RestoreRequest":
        if (self.version is None) == (self.before is None):
            raise ValueError("give either version or before, a time")
        return self


class LogRequest(JsonInput):
    """Which changes of the table, newest first."""

    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="Most changes to return")
    since: Moment = Field(
        default=None, description="RFC 3339 time with a zone: no changes of before it"
    )
    before: Moment = Field(
        default=None, description="Only changes of before it: for paging, `at` of the last one"
    )
    key: OptionalId = Field(default=None, description="Name of a key: only its changes")
    action: Annotated[Action | None, optional("string", enum=[*get_args(Action), None])] = Field(
        default=None, description="Only changes of this kind"
    )
    id: OptionalId = Field(default=None, description="Only changes of this image")


class UndoRequest(JsonInput):
    """The changes to undo: those of a key from a moment on."""

    key: str = Field(
        min_length=1, max_length=MAX_ID_CHARS, description="Name of the key", examples=["shop"]
    )
    since: str = Field(
        max_length=MAX_TIME_CHARS,
        description="RFC 3339 time with a zone: of the first change to undo",
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00Z"],
    )
    before: Moment = Field(
        default=None, description="Changes from this time on are not undone; now, without"
    )
    dry_run: bool = Field(default=False, description="Only tell what would be done")
