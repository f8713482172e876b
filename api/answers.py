"""The frame around every route: deadline, errors to answers, logging and counting."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.responses import JSONResponse, Response

from api.errors import RequestError, problem_of
from api.inputs import JsonInput

logger = logging.getLogger("bentoml.image_search")
"""Below BentoML's logger, so that its handlers, levels and trace ids apply."""


class Framed(Protocol):
    """What the frame needs of the service it stands in."""

    request_timeout_s: float

    def count_error(self, route: str, code: str) -> None:
        """Count an answer that is an error."""
        ...


def answered(
    route: Callable[[Any, Any], Awaitable[Response]],
) -> Callable[[Any, JsonInput | RequestError], Awaitable[Response]]:
    """Make a route out of a method that takes a checked request and may raise.

    Whatever is raised becomes `{"message", "code"}` by `api.errors`; what is not the client's
    fault is logged with its trace. Everything under the route ends with the deadline.
    """

    @functools.wraps(route)
    async def framed(service: Framed, request: JsonInput | RequestError) -> Response:
        try:
            async with asyncio.timeout(service.request_timeout_s):
                return await route(service, _accepted(request))
        except Exception as error:  # the one place where errors end
            return _answer(service, route.__name__, error)

    return framed


def _accepted(request: JsonInput | RequestError) -> JsonInput:
    if isinstance(request, RequestError):
        raise request
    return request


def _answer(service: Framed, route: str, error: Exception) -> Response:
    problem = problem_of(error)
    service.count_error(route, problem.code)
    detail = getattr(error, "detail", None)
    if problem.ours:
        logger.error("%s failed: %s (%s)", route, error, detail, exc_info=error)
    else:
        logger.info("%s refused: %s (%s)", route, problem.message, detail)
    return JSONResponse(problem.document(), status_code=problem.status)
