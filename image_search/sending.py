"""What both clients send with: the address, the key, the limits of time."""

from typing import Any

import httpx

from image_search.call import Call

DEFAULT_SERVER = "http://127.0.0.1:3000"
DEFAULT_TIMEOUT_S = 75.0
"""Longer than the service works on a request: it is to say itself what took too long."""

_CONNECT_S = 5.0


def client_options(
    server: str, api_key: str | None, timeout_s: float, connections: int
) -> dict[str, Any]:
    """The arguments of httpx's clients.

    Raises:
        ValueError: the address or the key cannot be one.
    """
    return {
        "base_url": _checked(server),
        "headers": _headers(api_key),
        "timeout": httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
        "limits": httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=4.0
        ),
    }


def request_options(call: Call[Any]) -> dict[str, Any]:
    """The arguments of httpx's `request` besides the method and the path."""
    if call.image is not None:
        # httpx writes the form. What the file is called does not matter.
        return {"files": {"image": ("image", call.image)}, "data": call.fields}
    headers = {"Content-Type": "application/json"} if call.body is not None else {}
    return {"content": call.body, "params": call.params, "headers": headers}


def _checked(server: str) -> str:
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise ValueError(f"the server's address cannot be read: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("the server's address must be like http://127.0.0.1:3000")
    return server.rstrip("/")


def _headers(api_key: str | None) -> dict[bytes, bytes]:
    """A key may have any characters but line breaks; the service reads them as UTF-8."""
    if not api_key:
        return {}
    if not api_key.isprintable():
        raise ValueError("the API key has a line break or another control character")
    return {b"Authorization": b"Bearer " + api_key.encode()}
