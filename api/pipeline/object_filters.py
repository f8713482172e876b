"""What a filter says of objects, checked where the detector is known."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from api.errors import NoObjectsError
from api.pipeline.boxes import check_classes
from store.schemas import OBJECTS_KEY

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

_MOST_DEPTH = 20
"""Of a filter's parts; deeper ones are refused by the store."""


def check_object_filter(backend: "Backend", filter: Mapping[str, Any] | None) -> None:
    """Refuse a filter on objects that nobody looks for.

    Args:
        backend: what knows the detector.
        filter: on the metadata, in which there may be such conditions; need not be valid.

    Raises:
        NoObjectsError: the service indexes no objects.
        UnknownClassError: the detector does not know a class that is named.
    """
    for node in _on_objects(filter, 0):
        if not backend.settings.api.objects:
            raise NoObjectsError
        check_classes(classes_named(node), backend.models.yolo.class_names)


def classes_named(node: Any) -> list[str]:
    """The classes that a filter on objects names, whatever else may be wrong with it."""
    operand = node.get("class_name") if isinstance(node, Mapping) else None
    if isinstance(operand, Mapping):
        operand = [*operand.values()]
    flat = operand if isinstance(operand, list) else [operand]
    flat = [each for one in flat for each in (one if isinstance(one, list) else [one])]
    return [each for each in flat if isinstance(each, str)]


def _on_objects(node: Any, depth: int) -> Iterator[Any]:
    """What is said of objects in a filter."""
    if depth > _MOST_DEPTH:
        return
    if isinstance(node, Mapping):
        if OBJECTS_KEY in node:
            yield node[OBJECTS_KEY]
        for key in ("$and", "$or", "$not"):
            yield from _on_objects(node.get(key), depth + 1)
    elif isinstance(node, list):
        for each in node:
            yield from _on_objects(each, depth + 1)
