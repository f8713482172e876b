"""The frame around every route: deadline, errors to answers, logging and counting."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from starlette.responses import JSONResponse, Response

from api.errors import Problem, RequestError, problem_of
from api.requests.base import JsonInput
from api.telemetry.metrics import count_problem
from images.errors import ImageError

if TYPE_CHECKING:
    from api.pipeline.backend import Backend  # heavy: only in a worker

logger = logging.getLogger("bentoml.image_search")
"""Below BentoML's logger, so that its handlers, levels and trace ids apply."""


class Framed(Protocol):
    """What the frame and the routes need of the service they stand in."""

    request_timeout_s: float
    max_image_bytes: int

    async def backend(self) -> "Backend":
        """The rooms, once they are ready."""
        ...


S = TypeVar("S", bound=Framed)


def answered(
    route: Callable[[S, Any], Awaitable[Response]],
) -> Callable[[S, JsonInput | RequestError], Awaitable[Response]]:
    """Make a route out of a function that takes a checked request and may raise.

    Whatever is raised becomes `{"message", "code"}` by `api.errors`; what is not the client's
    fault is logged with its trace. Everything under the route ends with the deadline.
    """

    @functools.wraps(route)
    async def framed(service: S, request: JsonInput | RequestError) -> Response:
        try:
            async with asyncio.timeout(service.request_timeout_s):
                return await route(service, _accepted(request))
        except Exception as error:  # the one place where errors end
            problem = reported(route.__name__, error)
            return JSONResponse(problem.document(), status_code=problem.status)

    return framed


def reported(route: str, error: Exception) -> Problem:
    """Log and count an error, and say how it goes out."""
    problem = problem_of(error)
    count_problem(route, problem)
    detail = getattr(error, "detail", None) or "-"
    fields = {"operation": route, "code": problem.code}
    if problem.ours:
        logger.error("%s failed: %s (%s)", route, error, detail, exc_info=error, extra=fields)
    else:
        # Other messages may repeat what the client sent.
        reason = problem.message if isinstance(error, ImageError) else problem.code
        logger.info("%s refused: %s (%s)", route, reason, detail, extra=fields)
    return problem


def _accepted(request: JsonInput | RequestError) -> JsonInput:
    if isinstance(request, RequestError):
        raise request
    return request
