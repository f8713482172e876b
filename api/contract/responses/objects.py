"""Answers about objects: those of an indexed image, and those that a detection has found."""

from functools import partial
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    RootModel,
)

from api.contract.responses.fields import Answer, Integer, Pixels
from store.schemas import ObjectSet


class IndexedObject(Answer):
    """An object of an indexed image; `n` names it there."""

    n: int
    class_name: str
    confidence: Annotated[float, BeforeValidator(partial(round, ndigits=4))]
    xyxy: tuple[Pixels, Pixels, Pixels, Pixels] = Field(
        description="Left, top, right and bottom in pixels of the upright picture"
    )


class ObjectsAnswer(Answer):
    """The objects of an image, the largest and surest first."""

    objects: list[IndexedObject]
    detected: bool = Field(description="Whether the image was looked into at all")
    left_out: int = Field(description="Objects that were found and not indexed")
    width: Integer = Field(description="Of the picture, in pixels; null where not looked into")
    height: Integer
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


MORE_HEADER = "X-More-Detections"
"""Of an annotated picture, `true` where there are more objects than were drawn in."""


class Detection(Answer):
    """An object in a picture: pixels to a hundredth, confidence to a percent's hundredth."""

    xyxy: tuple[Pixels, Pixels, Pixels, Pixels]
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
