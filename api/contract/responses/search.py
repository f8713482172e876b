"""Answers of a search: the images that were found."""

from typing import Annotated

from pydantic import Field

from api.contract.responses.columns import Column
from api.contract.responses.fields import Answer, Next, Number, StoredMetadata
from api.contract.responses.objects import IndexedObject


class Result(Answer):
    """One image that was found."""

    id: str
    url: str
    score: Number = Field(
        description="Cosine similarity, 1.0 for the same picture; null when only a filter was given"
    )
    metadata: StoredMetadata
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


class SearchAnswer(Answer):
    """What was found, best first, or in the order that was asked for."""

    results: list[Result]
    next: Next = ""
    total: int = Field(default=0, description="Images that the filter keeps, if that was asked")
    facets: list[Column] = Field(
        default=[], description="The keys that were asked for, under the filter"
    )
