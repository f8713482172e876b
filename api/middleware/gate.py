"""Gate: what is decided before a route runs, by key (401, 403), type (415) and load (429).

`/livez` and `/readyz` always pass, so that an orchestrator sees a busy or locked service as alive,
and so do the files of the web pages; `/heartbeat`, `/metrics` and the pages themselves pass when
the service is full.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.caller import CALLER, Caller
from api.access.caller import Scope as KeyScope
from api.access.keys import KeyRing
from api.access.refused import log_refused
from api.access.scopes import Scopes
from api.contract.operations.declared import SCOPES
from api.errors import (
    EncodedBodyError,
    ForbiddenError,
    ForeignFormError,
    MediaTypeError,
    OverloadedError,
    RequestError,
    UnauthorizedError,
)
from api.limits.in_flight import InFlight
from api.middleware.refusals import (
    FORBIDDEN,
    LOGIN_PAGES,
    NOTHING_HERE,
    OVERLOADED,
    UNAUTHORIZED,
    Refusal,
    refusal_of,
)
from api.middleware.request_body import BodyReader, replay
from api.requests.multipart import FORM_TYPE
from api.requests.reader import (
    MEDIA_TYPE,
    WITH_BODY,
    accepted_types,
    is_foreign_form,
    is_upload,
    media_type,
)
from api.routes.page import OPEN_FILES, PAGES, is_asked_by_browser

EXCHANGE = "image_search.exchange"
"""Key of the scope under which the outermost middleware puts its `Exchange`."""

OPEN_PATHS = frozenset({"/livez", "/readyz"})
LIGHT_PATHS = frozenset({"/heartbeat", "/metrics", *PAGES})
# They cost more than a refusal: the one merges the files of all workers, the other calls both
# models. A flood of them is one such work after the other.
SHARED_PATHS = frozenset({"/metrics", "/readyz"})

_READ = ("GET", "HEAD")
# A file is passed on as it is, JSON becomes objects (`api.limits.in_flight`).
_UPLOAD_WEIGHT = 0.25


class Gate:
    """Middleware that checks the key, reads the body, then counts the request as in flight.

    Args:
        app: the application behind the gate.
        keys: that let in; where it is not locked, everybody may do everything.
        max_in_flight: requests worked on at once.
        bodies: reads the bodies.
        uploads: reads those with a picture in them; None where there are none.
        origins: of the web pages that may send forms, besides this service's own.
    """

    def __init__(  # noqa: PLR0913 - each is another thing that it checks
        self,
        app: ASGIApp,
        keys: KeyRing,
        max_in_flight: int,
        bodies: BodyReader,
        *,
        uploads: BodyReader | None = None,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._shared = SingleFlight(app)
        self._keys, self._scopes = keys, Scopes(SCOPES)
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
        if path in OPEN_PATHS or (path in OPEN_FILES and method in _READ):
            await self._pass(scope, receive, send)
            return
        await self._keys.refresh()
        caller = self._caller(scope)
        if caller is None:
            if is_asked_by_browser(scope):
                await LOGIN_PAGES[path](scope, receive, send)
                return
            log_refused(UnauthorizedError.status, None, _address(scope))
            await UNAUTHORIZED(scope, receive, send)
            return
        if (refusal := self._refusal(scope, caller)) is not None:
            await refusal(scope, receive, send)
            return
        token = CALLER.set(caller)
        try:
            await (self._pass if path in LIGHT_PATHS else self._work)(scope, receive, send)
        finally:
            CALLER.reset(token)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_shared = scope["path"] in SHARED_PATHS and scope["method"] in _READ
        await (self._shared if is_shared else self._app)(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller | None:
        """Who sends a request; None where it needs a key and has none that is known."""
        address = _address(scope)
        if not self._keys.locked:
            return Caller(None, KeyScope.ADMIN, address)
        key = self._keys.find(Headers(scope=scope).getlist("authorization"))
        return None if key is None else Caller(key.name, key.scope, address)

    def _refusal(self, scope: Scope, caller: Caller) -> Refusal | None:
        """What its headers alone are refused for."""
        needed = self._scopes.needed(scope["method"], scope["path"])
        if caller.scope < (needed or KeyScope.ADMIN):
            log_refused(ForbiddenError.status, caller.key, caller.address)
            return NOTHING_HERE if needed is None else FORBIDDEN[needed]
        if scope["method"] in WITH_BODY:
            kind = scope[MEDIA_TYPE] = media_type(scope)
            accepted = accepted_types(scope["method"], scope["path"])
            if kind not in accepted and not is_upload(scope["path"], kind):
                return refusal_of(MediaTypeError(accepted))
            headers = Headers(scope=scope)
            # Without a type, too, a page sends a body to any host without asking.
            is_simple = kind == FORM_TYPE or "content-type" not in headers
            if is_simple and is_foreign_form(scope, self._origins):
                return refusal_of(ForeignFormError())
            if headers.get("content-encoding", "identity").lower() != "identity":
                return refusal_of(EncodedBodyError())
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
                await refusal_of(error)(scope, receive, send)
                return
        if self._in_flight.is_full():  # it was not when the body began to come
            await OVERLOADED(scope, receive, send)
            return
        size, own_receive = int(len(body) * weight), replay(body)
        del body  # up to 21 MB, and the answer may be under way for long
        with self._in_flight.entered(size) as leave:
            scope[EXCHANGE].begin(receive, leave)
            await self._app(scope, own_receive, send)


def _address(scope: Scope) -> str | None:
    return (scope.get("client") or (None,))[0]


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
