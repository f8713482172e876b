"""Gate: what is decided before a route runs, by key (401), content type (415) and load (429).

`/livez` and `/readyz` always pass, so that an orchestrator sees a busy or locked service as alive,
and so do the files of the web pages; `/heartbeat`, `/metrics` and the pages themselves pass when
the service is full.
"""

import asyncio
import hashlib
import hmac
import logging

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import (
    ApiError,
    EncodedBodyError,
    ForeignFormError,
    MediaTypeError,
    OverloadedError,
    RequestError,
    problem_of,
)
from api.limits.in_flight import InFlight
from api.middleware.request_body import BodyReader, answer_unread, replay
from api.requests.multipart import FORM_TYPE
from api.requests.reader import (
    MEDIA_TYPE,
    WITH_BODY,
    accepted_types,
    is_foreign_form,
    is_upload,
    media_type,
)
from api.routes.page import OPEN_FILES, PAGES, is_asked_by_browser, page
from api.telemetry.metrics import REFUSALS

logger = logging.getLogger("bentoml.image_search")

EXCHANGE = "image_search.exchange"
"""Key of the scope under which the outermost middleware puts its `Exchange`."""

OPEN_PATHS = frozenset({"/livez", "/readyz"})
LIGHT_PATHS = frozenset({"/heartbeat", "/metrics", *PAGES})
# They cost more than a refusal: the one merges the files of all workers, the other calls both
# models. A flood of them is one such work after the other.
SHARED_PATHS = frozenset({"/metrics", "/readyz"})

_READ = ("GET", "HEAD")
_GUESSABLE_CHARS = 16
# A file is passed on as it is, JSON becomes objects (`api.limits.in_flight`).
_UPLOAD_WEIGHT = 0.25


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
LOGIN_PAGES = {path: Refusal("unauthorized", page(path, 401, _BEARER)) for path in PAGES}
"""A browser gets the page all the same, and the page asks for the key."""


def _refusal_of(error: ApiError) -> Refusal:
    problem = problem_of(error)
    answer = JSONResponse(problem.document(), problem.status, problem.headers)
    return Refusal(problem.code, answer)


OVERLOADED = _refusal_of(OverloadedError())


class Gate:
    """Middleware that checks the key, reads the body, then counts the request as in flight.

    Args:
        app: the application behind the gate.
        api_keys: accepted bearer tokens; none means that everybody may ask.
        max_in_flight: requests worked on at once.
        bodies: reads the bodies.
        uploads: reads those with a picture in them; None where there are none.
        origins: of the web pages that may send forms, besides this service's own.
    """

    def __init__(  # noqa: PLR0913 - each is another thing that it checks
        self,
        app: ASGIApp,
        api_keys: frozenset[str],
        max_in_flight: int,
        bodies: BodyReader,
        *,
        uploads: BodyReader | None = None,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._shared = SingleFlight(app)
        self._key_digests = [_digest(key.encode()) for key in api_keys]
        if any(len(key) < _GUESSABLE_CHARS for key in api_keys):
            logger.warning("an API key is shorter than %d characters: guessable", _GUESSABLE_CHARS)
        self._in_flight = InFlight(max_in_flight)
        self._bodies = bodies
        self._uploads = uploads or bodies
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        if path not in OPEN_PATHS and not (path in OPEN_FILES and method in _READ):
            if (refusal := self._refusal(scope)) is not None:
                await refusal(scope, receive, send)
                return
            if path not in LIGHT_PATHS:
                await self._work(scope, receive, send)
                return
        app = self._shared if path in SHARED_PATHS and method in _READ else self._app
        await app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        """What its headers alone are refused for."""
        if self._key_digests and not self._has_key(scope):
            return LOGIN_PAGES[scope["path"]] if is_asked_by_browser(scope) else UNAUTHORIZED
        if scope["method"] in WITH_BODY:
            kind = scope[MEDIA_TYPE] = media_type(scope)
            accepted = accepted_types(scope["method"], scope["path"])
            if kind not in accepted and not is_upload(scope["path"], kind):
                return _refusal_of(MediaTypeError(accepted))
            if kind == FORM_TYPE and is_foreign_form(scope, self._origins):
                return _refusal_of(ForeignFormError())
            if Headers(scope=scope).get("content-encoding", "identity").lower() != "identity":
                return _refusal_of(EncodedBodyError())
        if scope["path"] not in LIGHT_PATHS and self._in_flight.is_full():
            return OVERLOADED
        return None

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then pass the request on as one in flight."""
        body, weight = b"", 1.0
        if scope["method"] in WITH_BODY:
            reader = self._bodies
            if is_upload(scope["path"], scope[MEDIA_TYPE]):
                reader, weight = self._uploads, _UPLOAD_WEIGHT
            try:
                body = await reader.read(scope, receive)
            except OverloadedError:
                await OVERLOADED(scope, receive, send)
                return
            except RequestError as error:
                await _refusal_of(error)(scope, receive, send)
                return
        if self._in_flight.is_full():  # it was not when the body began to come
            await OVERLOADED(scope, receive, send)
            return
        size, own_receive = int(len(body) * weight), replay(body)
        del body  # up to 21 MB, and the answer may be under way for long
        with self._in_flight.entered(size) as leave:
            scope[EXCHANGE].begin(receive, leave)
            await self._app(scope, own_receive, send)

    def _has_key(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("authorization")
        scheme, _, key = given[0].partition(" ") if given else ("", "", "")
        digest = _digest(key.strip().encode("latin-1"))
        # All are compared, and digests of one length: the time tells nothing about a key.
        matches = [hmac.compare_digest(digest, known) for known in self._key_digests]
        # Of two headers another server could have read the other one.
        return len(given) == 1 and scheme.lower() == "bearer" and any(matches)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class SingleFlight:
    """Middleware: of equal requests at the same time, one goes on and all get its answer.

    They are GET and HEAD, which gets the answer to GET without its body.

    Args:
        app: answers, the same to everybody; it needs no more of a request than its path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_progress: dict[str, asyncio.Task[list[Message]]] = {}

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer with what is made for another request already, or begin."""
        path, is_head = scope["path"], scope["method"] == "HEAD"
        if path not in self._in_progress:
            task = asyncio.create_task(self._answer({**scope, "method": "GET"}))
            task.add_done_callback(lambda _: self._in_progress.pop(path))
            self._in_progress[path] = task
        for message in await asyncio.shield(self._in_progress[path]):
            # A copy: on its way out headers are added to it.
            own: Message = {"headers": list(message["headers"])} if "headers" in message else {}
            if is_head and "body" in message:
                own = {"body": b""}
            await send({**message, **own})

    async def _answer(self, scope: Scope) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, _no_body, collect)
        return messages


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
