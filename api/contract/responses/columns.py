"""Answers about metadata keys: their types, what the images have under them."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from api.contract.responses.fields import Answer
from store.schemas import Facet

_Bound = Annotated[int | float | str | None, WithJsonSchema({"type": ["number", "string"]})]


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
