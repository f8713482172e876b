"""The web page at `/` and the API's page at `/docs`: fixed files, read once.

Nothing in them is of the index, so that whoever opens a locked service in a browser gets the page,
with status 401; it asks for the key and sends it with every request of its own. Swagger UI lies in
the page's folder, too: BentoML's own copy, an older one, is not to be reached.
"""

import functools
import hashlib
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from api.routes.handler import or_not_modified

FOLDER = Path(__file__).resolve().parents[2] / "page"
FILES_PATH = "/page/"
PAGES = {"/": "index.html", "/docs": "docs.html"}
_READ = ("GET", "HEAD")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_CONTENTS = {
    str(file.relative_to(FOLDER)): file.read_bytes()
    for file in sorted(FOLDER.rglob("*"))
    if file.suffix in _TYPES
}
_NAMES = _CONTENTS.keys() - set(PAGES.values())
OPEN_FILES = frozenset(FILES_PATH + name for name in _NAMES)
"""What the two pages load; read without an API key."""

_SAFE = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
POLICIES = {
    "/": (
        f"default-src 'none'; {_SAFE}; script-src 'self'; style-src 'self'; "
        "img-src 'self' blob: data:; connect-src 'self'; require-trusted-types-for 'script'"
    ),
    # Swagger UI writes styles of its own.
    "/docs": (
        f"default-src 'none'; {_SAFE}; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'"
    ),
}
"""Content security policies of the pages: nothing comes from, or goes to, another host."""


def page(path: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The page at a path of `PAGES`."""
    name = PAGES[path]
    return Response(_CONTENTS[name], status, headers, media_type=_TYPES[".html"])


def is_asked_by_browser(scope: Scope) -> bool:
    """Whether a person's browser opens one of the pages."""
    accepted = Headers(scope=scope).get("accept", "")
    return scope["method"] in _READ and scope["path"] in PAGES and "text/html" in accepted


async def _page(request: Request) -> Response:
    return page(request.scope["path"])


async def _file(request: Request) -> Response:
    """A file, by its digest: a browser asks again each time, and an upgrade shows at once."""
    name = request.scope["path"].removeprefix(FILES_PATH)
    headers = {"Cache-Control": "no-cache", "ETag": _tag(name)}
    file = Response(_CONTENTS[name], headers=headers, media_type=_TYPES[Path(name).suffix])
    return or_not_modified(request, file)


@functools.cache
def _tag(name: str) -> str:
    return f'"{hashlib.sha256(_CONTENTS[name]).hexdigest()[:32]}"'


ROUTES = [
    *(Route(path, _page) for path in PAGES),
    *(Route(FILES_PATH + name, _file) for name in sorted(_NAMES)),
]
