"""The client for code without asyncio."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Self

import httpx

from image_search import calls
from image_search.answers import failure_of, result_of
from image_search.call import Call, T
from image_search.errors import ImageSearchError
from image_search.retries import Attempts, Retries
from image_search.sending import DEFAULT_SERVER, DEFAULT_TIMEOUT_S, client_options, request_options

P = ParamSpec("P")
_CONNECTIONS = 100


def _sent(build: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    """A method that sends a call."""

    @wraps(build)
    def send(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.send(build(*args, **kwargs))

    return send


class Client:
    """The service's routes as methods; may be used by many threads at once.

    Args:
        server: address of the service.
        api_key: where the service wants one.
        timeout_s: seconds that one answer may take.
        retries: of overload, and of what cannot be reached.

    Raises:
        ValueError: the address or the key cannot be one.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008 - frozen
    ) -> None:
        self._server, self._retries = server, retries
        self._http = httpx.Client(**client_options(server, api_key, timeout_s, _CONNECTIONS))

    heartbeat = _sent(calls.heartbeat)
    add = _sent(calls.add)
    add_many = _sent(calls.add_many)
    search = _sent(calls.search)
    detect = _sent(calls.detect)
    annotate = _sent(calls.annotate)
    get = _sent(calls.get)
    list = _sent(calls.list_images)
    thumbnail = _sent(calls.thumbnail)
    original = _sent(calls.original)
    update = _sent(calls.update)
    delete = _sent(calls.delete)
    delete_many = _sent(calls.delete_many)
    status = _sent(calls.status)
    versions = _sent(calls.versions)
    restore = _sent(calls.restore)

    def send(self, call: Call[T]) -> T:
        """Send a call, again where that may help.

        Raises:
            ImageSearchError: what the last attempt ended with.
        """
        attempts = Attempts(self._retries)
        while True:
            try:
                return self._attempt(call)
            except ImageSearchError as error:
                pause = attempts.pause_s(error)
            time.sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempt(self, call: Call[T]) -> T:
        try:
            answer = self._http.request(call.method, call.path, **request_options(call))
        except httpx.HTTPError as error:
            raise failure_of(error, self._server) from error
        return result_of(call, answer)
