"""Detection: from the request to the annotated picture, or to the objects alone."""

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from api.contract.requests import DetectRequest
from api.errors import RequestError
from images.schemas import LabelledBox

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker


# In base64, in the text and in the answer: four thirds of the picture each.
_COPIES = 4


async def detect(backend: "Backend", request: DetectRequest, floor: float) -> Response:
    """Find the objects in a picture.

    Args:
        backend: the rooms.
        request: with the picture, or its url.
        floor: the confidence from which the detector tells of objects at all.

    Raises:
        RequestError: a lower confidence was asked for.
        ImageError: the picture cannot be had.
        ModelUnavailableError: the detector does not answer.
    """
    wanted = floor if request.confidence is None else request.confidence
    if wanted < floor:
        raise RequestError(f"confidence must be at least {floor:g}, this server's minimum")
    drawn = request.format != "json"
    source = request.source(request.url)
    async with backend.detected(source, wanted, keep=drawn or request.picture) as (picture, boxes):
        if drawn:
            jpeg = await backend.pictures.annotated(picture, boxes)
            return Response(jpeg, media_type="image/jpg")
        width, height = picture.size
        found = {"detections": [_detection(box) for box in boxes]}
        plain = {"width": width, "height": height, **found}
        if not request.picture:
            return JSONResponse(plain)
        jpeg = await backend.pictures.annotated(picture, [])

    async def with_picture() -> Response:
        data = base64.b64encode(jpeg).decode()
        return JSONResponse({**plain, "picture": f"data:image/jpeg;base64,{data}"})

    return await backend.large_answers.held(_COPIES * len(jpeg), with_picture)


def _detection(box: LabelledBox) -> dict[str, Any]:
    """A detection as it goes out: to a hundredth of a pixel, and of a percent."""
    rounded = {
        "xyxy": [round(side, 2) for side in box.xyxy],
        "confidence": round(box.confidence, 4),
    }
    return {**asdict(box), **rounded}
