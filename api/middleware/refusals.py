"""Refusals: prepared answers to requests that get no further than the middlewares."""

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.access.caller import Scope as KeyScope
from api.errors import (
    ApiError,
    ForbiddenError,
    MisdirectedError,
    NotFoundError,
    OverloadedError,
    UnauthorizedError,
    problem_of,
)
from api.middleware.request_body import answer_unread
from api.routes.page import PAGES, page
from api.telemetry.metrics import REFUSALS

_BEARER = {"WWW-Authenticate": "Bearer"}


class Refusal:
    """A prepared answer to a request whose body is not read; counted by its code.

    Args:
        code: what it is counted as.
        answer: the answer, which can go out any number of times.
    """

    def __init__(self, code: str, answer: Response) -> None:
        self._count = REFUSALS.labels(code)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count and answer."""
        self._count.inc()
        await answer_unread(self._answer, scope, receive, send)


def refusal_of(error: ApiError, headers: dict[str, str] | None = None) -> Refusal:
    """The refusal that an error means."""
    problem = problem_of(error)
    answer = JSONResponse(problem.document(), problem.status, headers or problem.headers)
    return Refusal(problem.code, answer)


# Made once: a full service refuses many times as many requests as it answers.
UNAUTHORIZED = refusal_of(UnauthorizedError(), _BEARER)
LOGIN_PAGES = {path: Refusal(UnauthorizedError.code, page(path, 401, _BEARER)) for path in PAGES}
"""A browser gets the page all the same, and the page asks for the key."""
FORBIDDEN = {scope: refusal_of(ForbiddenError(scope.name.lower())) for scope in KeyScope}
NOTHING_HERE = refusal_of(NotFoundError("there is nothing at this path"))
MISDIRECTED = refusal_of(MisdirectedError())
OVERLOADED = refusal_of(OverloadedError())
