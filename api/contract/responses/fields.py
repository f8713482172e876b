"""What several answers have: their base, an error, fields that may be null, times, cursors.

The order of the fields is that of the JSON; a field that was not set is absent there.
"""

from functools import partial
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    WithJsonSchema,
)

from api.contract.requests.fields import METADATA_SCHEMA, optional
from store.metadata.values import format_timestamp

Text = Annotated[str | None, optional("string")]
Integer = Annotated[int | None, optional("integer")]
Number = Annotated[float | None, optional("number")]

Pixels = Annotated[float, BeforeValidator(partial(round, ndigits=2))]
Time = Annotated[str, BeforeValidator(format_timestamp)]
# As it was stored: checking a thousand large objects again would cost as much as encoding them.
StoredMetadata = Annotated[SkipValidation[Any], WithJsonSchema(METADATA_SCHEMA)]


class Answer(BaseModel):
    """Base of the answers; their rows are made of the store's dataclasses by attributes."""

    model_config = ConfigDict(from_attributes=True)


Next = Annotated[str, Field(description="Cursor of the page behind; absent on the last one")]


class Message(Answer):
    """An error: one line for people, a code for programs."""

    message: str
    code: str = Field(default="", description="Absent where no url was given")
