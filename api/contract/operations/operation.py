"""An operation: one method of one path, as it is declared; and what examples have in common."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from api.access.caller import Scope
from api.requests.reader import JsonInput

ID = "0a137b375cc3881a70e186ce2172c8d1"
URL = "https://example.com/shoe.jpg"
METADATA = {"shop": "A", "price": 9.5}
WHEN = "2026-01-31T12:00:00.123456Z"
STORED = {"id": ID, "url": URL, "metadata": METADATA, "created_at": WHEN}


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        scope: what a key must be allowed for it.
        request: what it takes.
        answer: its success as JSON; None where that is a picture.
        success: its success in words.
        example: an answer.
        error: the message of a typical error.
        examples: requests by name.
        description: in words, where BentoML does not take them from the method.
        types: of the picture that it answers.
    """

    method: str
    path: str
    scope: Scope
    request: type[JsonInput]
    answer: type[BaseModel] | None
    success: str
    example: dict[str, Any] = field(default_factory=dict)
    error: str = "unknown field 'x'; known fields: none"
    examples: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    types: tuple[str, ...] = ()


def get(  # noqa: PLR0913, PLR0917 - what an operation has
    path: str,
    scope: Scope,
    request: type[JsonInput],
    answer: type[BaseModel] | None,
    success: str,
    description: str,
    **more: Any,
) -> Operation:
    """An operation that reads."""
    return Operation("get", path, scope, request, answer, success, description=description, **more)
