"""Objects in pictures, as they are stored and counted, and the detector that finds them."""

from dataclasses import dataclass

from store.schemas.values import FloatVector


@dataclass(frozen=True)
class Detector:
    """What the objects of an index are made with: those of two detectors are never compared.

    Attributes:
        name: of the weights, or ``sha256:<hex>`` of a file.
        recipe: how objects are cut out of their picture for the embedder.
    """

    name: str
    recipe: str

    def __str__(self) -> str:
        """The detector in words, for messages."""
        return f"{self.name} ({self.recipe})"


@dataclass(frozen=True)
class ObjectBox:
    """An object in a picture; the edges `xyxy` are shares of the picture's sides, 0 to 1."""

    class_name: str
    confidence: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class ObjectSet:
    """The objects of an image, in the order in which they are numbered.

    Attributes:
        size: width and height of the upright picture, in pixels.
        boxes: of the objects.
        left_out: how many more the detector found.
        key: names the vectors of these objects; of nobody else's, and never again.
    """

    size: tuple[int, int]
    boxes: tuple[ObjectBox, ...]
    left_out: int
    key: str


@dataclass(frozen=True, eq=False)
class NewObjects:
    """The objects of an image that is to be stored.

    Attributes:
        size: as `ObjectSet` has it, and so are `boxes` and `left_out`.
        vectors: of the objects, float32 [objects, dim], unit length.
    """

    size: tuple[int, int]
    boxes: tuple[ObjectBox, ...]
    left_out: int
    vectors: FloatVector


@dataclass(frozen=True)
class ClassCount:
    """A class of objects: how many images have one, and how many objects there are of it."""

    class_name: str
    images: int
    objects: int


@dataclass(frozen=True)
class ObjectsState:
    """The objects of an index.

    Attributes:
        detector: that finds them.
        images: how many were looked into.
        classes: of the objects that were found, those that most images have first.
        earlier: how many of the images were looked into with another detector, before.
    """

    detector: Detector
    images: int
    classes: tuple[ClassCount, ...]
    earlier: int = 0

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(each.objects for each in self.classes)
