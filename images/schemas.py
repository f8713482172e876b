"""What crosses this room's border besides bytes, pictures and arrays."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelledBox:
    """A found object, as it is drawn.

    Attributes:
        xyxy: Left, top, right and bottom in pixels of the original picture.
        confidence: 0 to 1.
        class_id: Number of the class; the same number always gets the same colour.
        class_name: What stands in the label.
    """

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    class_name: str
