import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from images.fetch.dial import system_resolver
from images.fetch.fetcher import Fetcher
from images.settings import FetchSettings
from tests.images.fetch.servers import ALLOWED, Canary


class BlockingFetcher(Fetcher):
    """Makes all hops of a download in the caller's thread."""

    def fetch(self, url: str) -> bytes:
        """Download what a URL leads to."""
        download = self.begin(url)
        while (body := download.hop()) is None:
            pass
        return body


MakeFetcher = Callable[..., BlockingFetcher]


@pytest.fixture
def make_fetcher(monkeypatch: pytest.MonkeyPatch) -> MakeFetcher:
    """Build fetchers that may reach 127.0.0.1 only; settings are given as the environment is."""

    def make(
        resolve: Callable[[str], Sequence[str]] = system_resolver, **settings: Any
    ) -> BlockingFetcher:
        for name, value in {"allow_networks": f"{ALLOWED}/32", **settings}.items():
            monkeypatch.setenv(f"IMAGE_SEARCH_{name.upper()}", str(value))
        return BlockingFetcher(FetchSettings(), resolve=resolve)

    return make


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A server that must not be touched; proven here to notice when it is."""
    canary = Canary()
    with socket.create_connection(canary.host.split(":")):  # type: ignore[arg-type]  # a str port works
        assert canary.touched()
    yield canary
    touched = canary.touched()
    canary.close()
    assert not touched
