"""What every answer says to browsers, and what no answer says to anybody.

The headers are those of the OWASP REST security cheat sheet; HSTS is missing, since TLS ends in
front of this service.
"""

import base64
import hashlib
import re
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DOCS_PAGE = Path(__file__).with_name("docs.html")
DOCS_PATH = "/"
_FILES = "/static_content/"
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
        self._page = [*ALWAYS, (b"content-security-policy", _page_policy().encode())]
        self._other = [*ALWAYS, (b"content-security-policy", _NOTHING.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the start of an answer with these headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = self._page if scope["path"] == DOCS_PATH else self._other
        is_file = scope["path"].startswith(_FILES)

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [one for one in message.get("headers", ()) if one[0] not in _TAKEN_OFF]
                message = {**message, "headers": kept + added}
                if not is_file and all(name != _CACHING[0] for name, _ in kept):
                    message["headers"].append(_CACHING)
            await send(message)

        await self._app(scope, receive, safe)


def _page_policy() -> str:
    """What the page of the API needs: its own script, Swagger UI's files, styles and pictures."""
    scripts = re.findall(r"<script>(.*?)</script>", DOCS_PAGE.read_text(), re.DOTALL)
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"{_NOTHING}; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'"
    )
