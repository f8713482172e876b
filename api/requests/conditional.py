"""Conditional requests: 304 for an answer that the client has already, by its entity tag."""

from starlette.requests import Request
from starlette.responses import Response

_IN_304 = ("cache-control", "etag", "vary")


def unless_known(request: Request, response: Response) -> Response:
    """An answer with a tag, or 304 in its place if the client has it (RFC 9110, 13.1.2, 15.4.5)."""
    tag = response.headers.get("etag")
    known = {_weak(each) for each in request.headers.get("if-none-match", "").split(",")}
    if tag is None or not known & {_weak(tag), "*"}:
        return response
    headers = {name: response.headers[name] for name in _IN_304 if name in response.headers}
    return Response(status_code=304, headers=headers)


def _weak(tag: str) -> str:
    """A tag as it is compared here: whether it is a strong one makes no difference."""
    return tag.strip().removeprefix("W/")
