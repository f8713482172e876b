"""A request that looks for objects in a picture."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from api.contract.requests.fields import NAME, Url, optional
from api.requests.reader import JsonInput
from api.settings import MAX_TILES

MAX_CLASSES = 100
MAX_DETECTIONS = 300
"""That the detector finds in a picture at most."""


class DetectRequest(JsonInput):
    """A picture to find objects in."""

    url_missing: ClassVar[str | None] = "url not provided error"

    url: Url
    confidence: Annotated[float | None, optional("number", minimum=0, maximum=1)] = Field(
        default=None, ge=0, le=1, description="Leave out what the detector is less sure of"
    )
    format: Literal["image", "json"] = Field(
        default="image",
        description="`image`: the picture with the objects drawn in; `json`: the objects alone",
    )
    classes: Annotated[
        tuple[str, ...],
        WithJsonSchema({"type": ["array", "null"], "items": NAME, "maxItems": MAX_CLASSES}),
    ] = Field(
        default=(),
        max_length=MAX_CLASSES,
        description="Only objects of these classes, as the detector calls them",
        examples=[["star", "cross"]],
    )
    max_detections: int = Field(
        default=MAX_DETECTIONS,
        ge=1,
        le=MAX_DETECTIONS,
        description="Most objects, the surest ones; where there are more, the answer tells",
    )
    picture: bool = Field(
        default=False,
        description="With `json`: the picture as well, without anything drawn in, as a data URL",
    )

    tiles: int = Field(
        default=0,
        ge=0,
        le=MAX_TILES,
        description="Parts at most in which a large picture is looked at more closely, too, where "
        "there is something small in it, or nothing was found: 4 finds much of what is half as "
        "large, in up to five times the time; 0 looks at the whole alone",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _as_tuple(cls, given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _goes_together(self) -> "DetectRequest":
        if self.picture and self.format != "json":
            raise ValueError('picture goes with format "json"')
        return self
