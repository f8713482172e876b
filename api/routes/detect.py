"""The route that detects objects: the annotated picture, or the objects alone."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from starlette.responses import Response

from api.contract.requests import DetectRequest
from api.contract.responses import Answer, Detection, DetectionsAnswer
from api.errors import RequestError
from api.routes.handler import json_response
from images.schemas import LabelledBox, Letterboxed
from runners.schemas import DetectionRows

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

# In base64, in the text and in the answer: four thirds of the picture each.
_COPIES = 4


async def run_object_detection(backend: "Backend", request: DetectRequest) -> Answer | Response:
    """Find the objects in a picture.

    Raises:
        RequestError: the confidence is lower than the detector's own threshold.
        ImageError: the picture cannot be had.
        ModelUnavailableError: the detector does not answer.
    """
    least = backend.settings.models.yolo_min_confidence
    confidence = least if request.confidence is None else request.confidence
    if confidence < least:
        raise RequestError(f"confidence must be at least {least:g}, this server's minimum")
    is_drawn = request.format != "json"
    source, yolo = request.source(request.url), backend.models.yolo
    keep = is_drawn or request.picture
    async with backend.pictures.for_yolo(source, yolo, keep=keep) as (picture, boxed):
        rows = await backend.models.detect(boxed.pixels)
        boxes = [
            box
            for box in _in_picture(rows, boxed, yolo.class_names)
            if box.confidence >= confidence
        ]
        if is_drawn:
            jpeg = await backend.pictures.annotated(picture, boxes)
            return Response(jpeg, media_type="image/jpg")
        width, height = picture.size
        detections = [Detection.model_validate(box) for box in boxes]
        answer = DetectionsAnswer(width=width, height=height, detections=detections)
        if not request.picture:
            return answer
        jpeg = await backend.pictures.annotated(picture, [])

    async def with_picture() -> Response:
        answer.picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        return await json_response(answer)

    return await backend.large_answers.of_bytes(_COPIES * len(jpeg), with_picture)


def _in_picture(
    rows: DetectionRows, boxed: Letterboxed, class_names: Sequence[str]
) -> list[LabelledBox]:
    """What the detector found, surest first, in the picture's own pixels."""
    rows = np.array(rows, np.float32)
    rows[:, :4] = boxed.to_original(rows[:, :4])
    return [
        LabelledBox((x1, y1, x2, y2), confidence, int(class_id), class_names[int(class_id)])
        for x1, y1, x2, y2, confidence, class_id in rows.tolist()
    ]
