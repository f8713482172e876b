"""Answers of adding images, one or many."""

from typing import Annotated

from pydantic import Field

from api.contract.responses.fields import Answer, Text


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
    near_duplicates: _NearDuplicates = Field(default=[])
    url: str = Field(default="", description="Of an uploaded image: its own, or made from its file")
    exif: _Exif = Field(default={})
    objects: _Objects = 0
    objects_left_out: _ObjectsLeftOut = 0


class BatchResult(Answer):
    """An image as `AddAnswer` has it, or why it was not added."""

    url: Text
    id: str = ""
    created: bool = True
    skipped: _Skipped = True
    duplicate_of: _DuplicateOf = ""
    near_duplicates: _NearDuplicates = Field(default=[])
    exif: _Exif = Field(default={})
    objects: _Objects = 0
    objects_left_out: _ObjectsLeftOut = 0
    message: str = Field(default="", description="What went wrong; absent where nothing did")
    code: str = ""


class AddManyAnswer(Answer):
    """One result for each image, in their order."""

    results: list[BatchResult]
