"""What is decided before a route runs: who may ask (401), in what form (415), is there room (429)?

Part of the front (`api.middleware.stack`). `/livez` and `/readyz` always pass, so that a
supervisor sees a
busy or locked service as alive, and so do the files of the web pages; `/heartbeat`, `/metrics` and
the pages themselves pass when the service is full.
"""

import hashlib
import hmac
import logging

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import (
    EncodedBodyError,
    ForeignFormError,
    MediaTypeError,
    OverloadedError,
    RequestError,
    problem_of,
)
from api.limits.in_flight import InFlight
from api.middleware.attended import attend
from api.middleware.request_body import Bodies, ClientGoneError, answer_unread
from api.requests.content_types import (
    WITH_BODY,
    accepted_types,
    is_accepted,
    is_foreign_form,
    is_upload,
)
from api.routes.page import PAGES, is_asked_by_browser, is_open_file, page
from api.telemetry.metrics import ABANDONED, REFUSALS, REQUESTS_IN_FLIGHT

logger = logging.getLogger("bentoml.image_search")
OPEN_PATHS = frozenset({"/livez", "/readyz"})
LIGHT_PATHS = frozenset({"/heartbeat", "/metrics", *PAGES})
RETRY_AFTER_S = 1
_GUESSED_CHARS = 16
# A file is passed on as it is, JSON becomes objects (`api.limits.in_flight.MAX_BODY_BYTES`).
_UPLOAD_WEIGHS = 0.25


class Refusal:
    """An answer that is counted, to a request whose body is not read.

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


_BEARER = {"WWW-Authenticate": "Bearer"}
# Made once: a full service refuses many times as many requests as it answers.
UNAUTHORIZED = Refusal(
    "unauthorized",
    JSONResponse(
        {"message": "a valid API key is needed: Authorization: Bearer KEY", "code": "unauthorized"},
        status_code=401,
        headers=_BEARER,
    ),
)
ASKING_PAGES = {path: Refusal("unauthorized", page(path, 401, _BEARER)) for path in PAGES}
"""A browser gets the page all the same, and the page asks for the key."""
OVERLOADED = Refusal(
    OverloadedError.code,
    JSONResponse(
        problem_of(OverloadedError()).document(),
        status_code=OverloadedError.status,
        headers={"Retry-After": str(RETRY_AFTER_S)},
    ),
)


class Gate:
    """Checks the key, reads the body, then counts the requests in flight.

    Args:
        app: the application behind the gate.
        api_keys: accepted bearer tokens; none means that everybody may ask.
        max_in_flight: requests worked on at once.
        bodies: reads the bodies.
        uploads: reads those with a picture in them; None where there are none.
        origins: of the web pages that may send forms, besides this service's own.
    """

    def __init__(  # noqa: PLR0913 - each is another thing that it asks
        self,
        app: ASGIApp,
        api_keys: frozenset[str],
        max_in_flight: int,
        bodies: Bodies,
        *,
        uploads: Bodies | None = None,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._key_digests = [_digest(key.encode()) for key in api_keys]
        if any(len(key) < _GUESSED_CHARS for key in api_keys):
            logger.warning("an API key is shorter than %d characters: guessable", _GUESSED_CHARS)
        self._in_flight = InFlight(max_in_flight)
        self._bodies = bodies
        self._uploads = uploads or bodies
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it here."""
        if scope["type"] == "websocket":  # no route is one
            await send({"type": "websocket.close", "code": 1008})
        elif _is_open(scope):
            await self._app(scope, receive, send)
        elif (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
        elif scope["path"] in LIGHT_PATHS:
            await self._app(scope, receive, send)
        else:
            try:
                await self._work(scope, receive, send)
            except ClientGoneError:
                ABANDONED.inc()

    def _refusal(self, scope: Scope) -> Refusal | None:
        """What its headers alone are refused for."""
        if not self._may_ask(scope):
            return ASKING_PAGES[scope["path"]] if is_asked_by_browser(scope) else UNAUTHORIZED
        if scope["method"] in WITH_BODY:
            if not is_accepted(scope):
                types = accepted_types(scope["method"], scope["path"])
                return _refusal_of(MediaTypeError(types))
            if is_foreign_form(scope, self._origins):
                return _refusal_of(ForeignFormError())
            if Headers(scope=scope).get("content-encoding", "identity").lower() != "identity":
                return _refusal_of(EncodedBodyError())
        if scope["path"] not in LIGHT_PATHS and self._in_flight.is_full():
            return OVERLOADED
        return None

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, weighs = b"", 1.0
        if scope["method"] in WITH_BODY:
            bodies = self._bodies
            if is_upload(scope):
                bodies, weighs = self._uploads, _UPLOAD_WEIGHS
            try:
                body = await bodies.read(scope, receive)
            except OverloadedError:
                await OVERLOADED(scope, receive, send)
                return
            except RequestError as error:
                await _refusal_of(error)(scope, receive, send)
                return
        if self._in_flight.is_full():  # they were not when the body began to come
            await OVERLOADED(scope, receive, send)
            return
        with (
            self._in_flight.entered(int(len(body) * weighs)),
            REQUESTS_IN_FLIGHT.track_inprogress(),
        ):
            await attend(self._app, body, scope, receive, send)

    def _may_ask(self, scope: Scope) -> bool:
        if not self._key_digests:
            return True
        given = Headers(scope=scope).getlist("authorization")
        scheme, _, key = given[0].partition(" ") if given else ("", "", "")
        digest = _digest(key.strip().encode("latin-1"))
        # All are compared, and digests of one length: the time tells nothing about a key.
        matches = [hmac.compare_digest(digest, known) for known in self._key_digests]
        # Of two headers another server could have read the other one.
        return len(given) == 1 and scheme.lower() == "bearer" and any(matches)


def _is_open(scope: Scope) -> bool:
    return scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS or is_open_file(scope)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _refusal_of(error: RequestError) -> Refusal:
    problem = problem_of(error)
    return Refusal(problem.code, JSONResponse(problem.document(), problem.status))
