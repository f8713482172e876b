"""Answers about images of the index: listed, looked at, changed and deleted."""

from pydantic import Field

from api.contract.responses.fields import Answer, Next, StoredMetadata, Time


class StoredAnswer(Answer):
    """An image of the index."""

    id: str
    url: str
    metadata: StoredMetadata
    created_at: Time = Field(description="When it was last added: RFC 3339, in UTC")


class ListAnswer(Answer):
    """Some images, newest first, and how many there are in all."""

    images: list[StoredAnswer]
    total: int
    next: Next = ""


class DeleteAnswer(Answer):
    """How many images were deleted."""

    message: str = Field(examples=["success"])
    deleted: int


class UpdateAnswer(Answer):
    """How many images were changed."""

    updated: int
