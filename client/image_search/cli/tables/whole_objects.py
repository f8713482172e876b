"""The objects of images as exported indexes have them: JSON beside their vectors."""

import json

from image_search import WholeObject, WholeObjects


def told_objects(of: WholeObjects) -> str:
    """The objects of an image as JSON, without their vectors."""
    told = {**vars(of), "objects": [vars(each) for each in of.objects]}
    del told["vectors"]
    return json.dumps(told, ensure_ascii=False)


def read_objects(told: str | None, vectors: bytes | None) -> WholeObjects | None:
    """The objects of an image, read from that and their vectors.

    Raises:
        ValueError: they are not as they are written.
    """
    if told is None:
        return None
    try:
        of = json.loads(told)
        boxes = tuple(WholeObject(**{**one, "xyxy": tuple(one["xyxy"])}) for one in of["objects"])
        return WholeObjects(**{**of, "objects": boxes, "vectors": vectors or b""})
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(told) from error
