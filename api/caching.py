"""Answers that a client has already, by their entity tags."""

from starlette.requests import Request
from starlette.responses import Response

_KEPT = ("cache-control", "etag", "vary")


def unless_known(request: Request, response: Response) -> Response:
    """An answer, or 304 in its place where the client has it (RFC 9110, 13.1.2 and 15.4.5)."""
    tag = response.headers.get("etag")
    known = request.headers.get("if-none-match", "")
    if tag is None or tag not in {each.strip().removeprefix("W/") for each in known.split(",")}:
        return response
    kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
    return Response(status_code=304, headers=kept)
