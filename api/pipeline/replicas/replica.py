"""Replica: one model service on another host, its calls by HTTP and what is known of its health."""

import asyncio
import itertools
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import bentoml.exceptions
from opentelemetry import propagate
from pydantic import TypeAdapter

from api.telemetry.logs import REQUEST_ID
from runners.schemas import ModelInfo, Serving
from runners.serving.wire import FINGERPRINT_HEADER, MEDIA_TYPE, Batch, WireError, decode, encode

PROBE_S = 3.0
_CONNECT_S = 2.0
# The server closes a connection that idled for 5 s (uvicorn): one that may be closing is not used.
_KEEP_ALIVE_S = 4.0
_ELSEWHERE = frozenset({401, 404, 408, 429, 502, 503, 504})
"""Statuses of a host or proxy that cannot compute now, while another one may."""

_SERVING = TypeAdapter(Serving)
_OTHER_SERVICE = "it serves no model of this kind, or is of another version"

_uses = itertools.count(1)


class LostError(aiohttp.ClientConnectionError):
    """This replica did not answer: another one may be called without harm."""


class Replica:
    """One model service; lives in one event loop.

    Args:
        url: of it, without a path.
        token: that it wants.
        model: how it is to describe its model.

    Attributes:
        items: pictures or texts that it has now.
        used: a number that rises with each call of any replica.
        serving: what it last said of itself; None before that.
        described: the same with its model, as it was sent.
    """

    def __init__(self, url: str, token: str, model: type[ModelInfo]) -> None:
        self.url, self._token, self._model = url, token, model
        self.items = self.used = 0
        self.serving: Serving | None = None
        self.described: Mapping[str, Any] = {}
        self._session: aiohttp.ClientSession | None = None
        self._calls: set[asyncio.Timeout] = set()

    @property
    def capacity(self) -> int:
        """Items that it takes at once."""
        return self.serving.calls * self.serving.items if self.serving else 1

    async def describe(self) -> Mapping[str, Any]:
        """Ask what it serves.

        Raises:
            aiohttp.ClientError: It cannot be reached, or is no model service.
            TimeoutError: It does not answer.
        """
        async with asyncio.timeout(PROBE_S):
            status, _, body = await self._post("describe", "application/json", b"{}")
        if status != HTTPStatus.OK:
            raise LostError(_said(status))
        self.serving, self.described = _understood(body, self._model)
        return self.described

    async def call(self, method: str, batch: Batch, fingerprint: str) -> Any:
        """Compute a batch by the model of a fingerprint.

        Raises:
            LostError: it is gone, or has another model now.
            aiohttp.ClientError: likewise.
            BentoMLException: the model failed.
        """
        self.items += len(batch)
        self.used = next(_uses)
        try:
            status, headers, body = await self._until_lost(method, encode(batch))
        finally:
            self.items -= len(batch)
        if status in _ELSEWHERE:
            raise LostError(_said(status))
        if status != HTTPStatus.OK:
            raise bentoml.exceptions.BentoMLException(_said(status))
        if headers.get(FINGERPRINT_HEADER) != fingerprint:
            raise LostError("another model answers there now")
        try:
            return decode(body)
        except WireError as error:
            raise bentoml.exceptions.BentoMLException(str(error)) from error

    async def _until_lost(self, method: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Post, unless this replica is given up meanwhile."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._calls.add(limit)
                return await self._post(method, MEDIA_TYPE, body)
        except TimeoutError as error:
            raise LostError("it does not answer any more") from error
        finally:
            self._calls.discard(limit)

    def give_up(self) -> None:
        """End the calls that it has; they are made elsewhere."""
        for limit in [one for one in self._calls if not one.expired()]:
            limit.reschedule(asyncio.get_running_loop().time())

    async def _post(
        self, path: str, kind: str, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                headers={"Authorization": f"Bearer {self._token}"},
                auto_decompress=False,
            )
        headers = {"Content-Type": kind}
        propagate.inject(headers)  # the trace
        if ids := REQUEST_ID.get():
            headers["X-Request-ID"] = ids
        async with self._session.post(
            f"{self.url}/{path}", data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers, await answer.read()

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()


def _understood(body: bytes, model: type[ModelInfo]) -> tuple[Serving, Mapping[str, Any]]:
    """What a service says of itself, and the same as it was sent, with its model."""
    try:
        described = json.loads(body)
        serving = _SERVING.validate_python(described)
        model.from_dict(described)
    except (ValueError, TypeError) as error:
        raise LostError(_OTHER_SERVICE) from error
    if not (serving.fingerprint and serving.calls > 0 and serving.items > 0):
        raise LostError(_OTHER_SERVICE)
    return serving, described


def _said(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "it does not take the token of IMAGE_SEARCH_MODEL_TOKEN"
    return f"it answers {status}"
