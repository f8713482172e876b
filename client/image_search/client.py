"""The clients: every route of `image_search.calls` as a method, blocking or for asyncio."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import httpx

from image_search import calls
from image_search.errors import ImageSearchError
from image_search.request import DEFAULT_SERVER, DEFAULT_TIMEOUT_S, Call, T, client_options
from image_search.response import Received, failure_of
from image_search.retries import Attempts, Retries

P = ParamSpec("P")
_CONNECTIONS = 100
_RETRIES = Retries()


def _sent(build: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    """A method that sends a call."""

    @wraps(build)
    def send(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.send(build(*args, **kwargs))

    return send


def _awaited(build: Callable[P, Call[T]]) -> "Callable[Concatenate[AsyncClient, P], Awaitable[T]]":
    """A coroutine method that sends a call."""

    @wraps(build)
    async def send(client: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.send(build(*args, **kwargs))

    return send


class Client:
    """The service's routes as methods; may be used by many threads at once.

    Args:
        server: address of the service.
        api_key: if the service requires one.
        timeout_s: seconds that one answer may take.
        retries: of overload, and of what cannot be reached.

    Raises:
        ValueError: the address or the key is invalid.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: Retries = _RETRIES,
    ) -> None:
        self._server, self._retries = server, retries
        self._http = httpx.Client(**client_options(server, api_key, timeout_s, _CONNECTIONS))

    heartbeat = _sent(calls.heartbeat)
    add = _sent(calls.add)
    add_many = _sent(calls.add_many)
    search = _sent(calls.search)
    find = _sent(calls.find)
    detect = _sent(calls.detect)
    annotate = _sent(calls.annotate)
    get = _sent(calls.get)
    list = _sent(calls.list_images)
    objects = _sent(calls.objects)
    find_objects = _sent(calls.find_objects)
    thumbnail = _sent(calls.thumbnail)
    original = _sent(calls.original)
    update = _sent(calls.update)
    update_many = _sent(calls.update_many)
    delete = _sent(calls.delete)
    delete_many = _sent(calls.delete_many)
    status = _sent(calls.status)
    declare_column = _sent(calls.declare_column)
    drop_column = _sent(calls.drop_column)
    versions = _sent(calls.versions)
    restore = _sent(calls.restore)
    export_page = _sent(calls.export_page)
    import_rows = _sent(calls.import_rows)
    log = _sent(calls.log)
    undo = _sent(calls.undo)

    def send(self, call: Call[T]) -> T:
        """Send a call, again where that may help.

        Raises:
            ImageSearchError: the error of the last attempt.
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

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempt(self, call: Call[T]) -> T:
        try:
            with self._http.stream(call.method, call.path, **call.options) as answer:
                received = Received(call, answer)
                for part in answer.iter_raw():
                    received.take(part)
        except httpx.HTTPError as error:
            raise failure_of(error, self._server) from error
        return received.result()


class AsyncClient:
    """The service's routes as coroutine methods; many may run at once, in one event loop.

    Args:
        server: address of the service.
        api_key: if the service requires one.
        timeout_s: seconds that one answer may take.
        retries: of overload, and of what cannot be reached.
        connections: that may be open at once; more calls wait for one.

    Raises:
        ValueError: the address or the key is invalid.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retries: Retries = _RETRIES,
        connections: int = _CONNECTIONS,
    ) -> None:
        self._server, self._retries = server, retries
        self._http = httpx.AsyncClient(**client_options(server, api_key, timeout_s, connections))

    heartbeat = _awaited(calls.heartbeat)
    add = _awaited(calls.add)
    add_many = _awaited(calls.add_many)
    search = _awaited(calls.search)
    find = _awaited(calls.find)
    detect = _awaited(calls.detect)
    annotate = _awaited(calls.annotate)
    get = _awaited(calls.get)
    list = _awaited(calls.list_images)
    objects = _awaited(calls.objects)
    find_objects = _awaited(calls.find_objects)
    thumbnail = _awaited(calls.thumbnail)
    original = _awaited(calls.original)
    update = _awaited(calls.update)
    update_many = _awaited(calls.update_many)
    delete = _awaited(calls.delete)
    delete_many = _awaited(calls.delete_many)
    status = _awaited(calls.status)
    declare_column = _awaited(calls.declare_column)
    drop_column = _awaited(calls.drop_column)
    versions = _awaited(calls.versions)
    restore = _awaited(calls.restore)
    export_page = _awaited(calls.export_page)
    import_rows = _awaited(calls.import_rows)
    log = _awaited(calls.log)
    undo = _awaited(calls.undo)

    async def send(self, call: Call[T]) -> T:
        """Send a call, again where that may help.

        Raises:
            ImageSearchError: the error of the last attempt.
        """
        attempts = Attempts(self._retries)
        while True:
            try:
                return await self._attempt(call)
            except ImageSearchError as error:
                pause = attempts.pause_s(error)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _attempt(self, call: Call[T]) -> T:
        try:
            async with self._http.stream(call.method, call.path, **call.options) as answer:
                received = Received(call, answer)
                async for part in answer.aiter_raw():
                    received.take(part)
        except httpx.HTTPError as error:
            raise failure_of(error, self._server) from error
        return received.result()
