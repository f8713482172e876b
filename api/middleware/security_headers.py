"""What every answer says to browsers, and what no answer says to anybody.

The headers are those of the OWASP REST security cheat sheet; HSTS is missing, since TLS ends in
front of this service.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.routes.page import POLICIES, SWAGGER_PATH

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Unless a route says otherwise.
_CACHING = (b"cache-control", b"no-store")
# BentoML names itself and its service (1.4.39, `_bentoml_impl.server.app._add_response_headers`).
_TAKEN_OFF = frozenset({b"server", b"x-bentoml-request-id", b"x-bentoml-trace-id"})


class SafeHeaders:
    """Middleware: add these headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._pages = {path: _with(policy) for path, policy in POLICIES.items()}
        self._other = _with(_NOTHING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the start of an answer with these headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = self._pages.get(scope["path"], self._other)
        is_file = scope["path"].startswith(SWAGGER_PATH)

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [one for one in message.get("headers", ()) if one[0] not in _TAKEN_OFF]
                message = {**message, "headers": kept + added}
                if not is_file and all(name != _CACHING[0] for name, _ in kept):
                    message["headers"].append(_CACHING)
            await send(message)

        await self._app(scope, receive, safe)


def _with(policy: str) -> list[tuple[bytes, bytes]]:
    return [*ALWAYS, (b"content-security-policy", policy.encode())]
