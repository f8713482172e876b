import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from images.fetch.fetcher import Fetcher
from images.fetch.resolve import system_resolver
from images.settings import FetchSettings
from tests.images.fetch.servers import ALLOWED, Canary

MakeFetcher = Callable[..., Fetcher]


@pytest.fixture
def make_fetcher(monkeypatch: pytest.MonkeyPatch) -> MakeFetcher:
    """Build fetchers that may reach 127.0.0.1 only; settings are given as the environment is."""

    def make(resolve: Callable[[str], Sequence[str]] = system_resolver, **settings: Any) -> Fetcher:
        for name, value in {"allow_networks": f"{ALLOWED}/32", **settings}.items():
            monkeypatch.setenv(f"IMAGE_SEARCH_{name.upper()}", str(value))
        return Fetcher(FetchSettings(), resolve=resolve)

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
