"""A real S3 server for all tests of this folder, found by the environment as a service finds it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.store.remote.server import BUCKET, S3Server, running


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with running() as started:
        yield started


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with the environment that leads to it."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.requests()
    return server


@pytest.fixture
def uri(s3: S3Server) -> str:
    """Where nothing is yet."""
    return f"s3://{BUCKET}/{uuid4().hex}"
