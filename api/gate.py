"""What is decided before a route runs: who may ask (401), in what type (415), is there room (429)?

An ASGI middleware of the API service. `/livez` and `/readyz` always pass, so that a supervisor
sees a busy or locked service as alive; `/heartbeat` passes when the service is full.
"""

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import NotJsonError, problem_of

OPEN_PATHS = frozenset({"/livez", "/readyz"})
LIGHT_PATHS = frozenset({"/heartbeat", "/metrics"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
JSON_TYPE = "application/json"
MERGE_PATCH_TYPE = "application/merge-patch+json"
RETRY_AFTER_S = 1


class Gate:
    """Checks the key, then counts the requests in flight.

    Args:
        app: the application behind the gate.
        api_keys: accepted bearer tokens; none means that everybody may ask.
        max_in_flight: requests worked on at once.
    """

    def __init__(self, app: ASGIApp, api_keys: frozenset[str], max_in_flight: int) -> None:
        self._app = app
        self._key_digests = [_digest(key.encode()) for key in api_keys]
        self._room = max_in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it here."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif not self._may_ask(scope):
            await _unauthorized()(scope, receive, send)
        elif scope["method"] in WITH_BODY and not may_be_json(scope):
            await _not_json(scope["method"])(scope, receive, send)
        elif scope["path"] in LIGHT_PATHS:
            await self._app(scope, receive, send)
        elif self._room <= 0:
            await _overloaded()(scope, receive, send)
        else:
            self._room -= 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._room += 1

    def _may_ask(self, scope: Scope) -> bool:
        if not self._key_digests:
            return True
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        given = _digest(key.strip().encode("latin-1"))
        # All are compared, and digests of one length: the time tells nothing about a key.
        matches = [hmac.compare_digest(given, known) for known in self._key_digests]
        return scheme.lower() == "bearer" and any(matches)


def json_types(method: str) -> list[str]:
    """The content types that a method takes; PATCH also that of RFC 7396."""
    return [JSON_TYPE, MERGE_PATCH_TYPE] if method == "PATCH" else [JSON_TYPE]


def may_be_json(scope: Scope) -> bool:
    """Whether a body is said to be JSON, or nothing is said of it.

    Other types let any web page post here without asking first (CORS), and one of BentoML's own
    would be answered in BentoML's words.
    """
    media_type = Headers(scope=scope).get("content-type", JSON_TYPE).split(";")[0].strip().lower()
    return media_type in json_types(scope["method"])


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _unauthorized() -> JSONResponse:
    return JSONResponse(
        {"message": "a valid API key is needed: Authorization: Bearer KEY", "code": "unauthorized"},
        status_code=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


def _not_json(method: str) -> JSONResponse:
    problem = problem_of(NotJsonError(json_types(method)))
    return JSONResponse(problem.document(), status_code=problem.status)


def _overloaded() -> JSONResponse:
    return JSONResponse(
        {"message": "too many requests at once; try again", "code": "overloaded"},
        status_code=429,
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
