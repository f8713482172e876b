"""The route that detects objects: the annotated picture, or the objects alone."""

import base64
from typing import TYPE_CHECKING

from starlette.responses import Response

from api.contract.requests import DetectRequest
from api.contract.responses import Answer, Detection, DetectionsAnswer
from api.errors import RequestError
from api.limits.responses import json_response

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
    source = request.source(request.url)
    async with backend.detected(source, confidence, keep=is_drawn or request.picture) as found:
        picture, boxes = found
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
