"""The route that detects objects: the annotated picture, or the objects alone."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.responses import Response

from api.contract.requests.detect import MAX_DETECTIONS, DetectRequest
from api.contract.responses.fields import Answer
from api.contract.responses.objects import MORE_HEADER, Detection, DetectionsAnswer
from api.errors import RequestError
from api.pipeline.boxes import check_classes
from api.pipeline.tiles import objects_in
from api.routes.handler import json_response
from images.schemas import LabelledBox

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

# In base64, in the text and in the answer: four thirds of the picture each.
_COPIES = 4
_TELL_MORE = {MORE_HEADER: "true"}


async def run_object_detection(backend: "Backend", request: DetectRequest) -> Answer | Response:
    """Find the objects in a picture.

    Raises:
        RequestError: the confidence is lower than the detector's own threshold.
        UnknownClassError: the detector does not know one of the classes.
        ImageError: the picture cannot be had.
        ModelUnavailableError: the detector does not answer.
    """
    least = backend.models.least_confidence
    confidence = least if request.confidence is None else request.confidence
    if confidence < least:
        raise RequestError(f"confidence must be at least {least:g}, this server's minimum")
    is_drawn = request.format != "json"
    source, yolo = request.source(request.url), backend.models.yolo
    check_classes(request.classes, yolo.class_names)
    keep = is_drawn or request.picture or request.tiles > 1
    async with backend.pictures.for_yolo(source, yolo, keep=keep) as (picture, boxed):
        every = await objects_in(backend, picture, boxed, request.tiles)
        found = [box for box in every if box.confidence >= confidence]
        boxes, more = chosen(found, request)
        if is_drawn:
            jpeg = await backend.pictures.annotated(picture, boxes)
            return Response(jpeg, media_type="image/jpg", headers=_TELL_MORE if more else None)
        width, height = picture.size
        detections = [Detection.model_validate(box) for box in boxes]
        answer = DetectionsAnswer(width=width, height=height, detections=detections)
        if more:
            answer.more = True
        if not request.picture:
            return answer
        jpeg = await backend.pictures.annotated(picture, [])

    async def with_picture() -> Response:
        answer.picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        return await json_response(answer)

    return await backend.large_answers.of_bytes(_COPIES * len(jpeg), with_picture)


def chosen(found: Sequence[LabelledBox], request: DetectRequest) -> tuple[list[LabelledBox], bool]:
    """The boxes that a request asks for, and whether there are or may be more of them.

    The detector tells of no more than a number of objects, of all classes: where it did, there may
    be others.
    """
    of_class = [box for box in found if not request.classes or box.class_name in request.classes]
    more = len(of_class) > request.max_detections or len(found) == MAX_DETECTIONS
    return of_class[: request.max_detections], more
