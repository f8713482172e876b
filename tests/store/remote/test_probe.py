"""An object store is looked at before the weights are loaded; what is wrong is one line."""

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from store.errors import StoreOpenError
from store.settings import StoreSettings
from store.table.open import check_table
from store.table.remote.bucket import bucket_at
from tests.store.remote.server import BUCKET, S3Server
from tests.store.support import run

MISSING = "there is no bucket 'nowhere' at http://127.0.0.1"
CREDENTIALS = "refuses the credentials for the bucket 'pictures': AWS_ACCESS_KEY_ID"


def refusal(uri: str) -> str:
    with pytest.raises(StoreOpenError) as refused:
        run(check_table(StoreSettings(store_uri=uri)))
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_store_that_can_what_it_must_is_taken_and_left_as_it_was(uri: str) -> None:
    assert run(check_table(StoreSettings(store_uri=uri))) is None
    assert [each for page in bucket_at(uri).list() for each in page] == []


def test_a_store_without_conditional_writes_is_refused(s3: S3Server, uri: str) -> None:
    s3.ignore_conditions(ignored=True)
    try:
        assert "If-None-Match" in refusal(uri)
    finally:
        s3.ignore_conditions(ignored=False)
    assert run(check_table(StoreSettings(store_uri=uri))) is None


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket_is_named() -> None:
    assert MISSING in refusal("s3://nowhere/index")


@contextmanager
def asking_for_credentials(server: S3Server) -> Iterator[None]:
    def known_requests(number: str) -> None:
        address = f"{server.endpoint}/moto-api/reset-auth"
        asked = urllib.request.Request(address, number.encode(), {"Content-Type": "text/plain"})
        urllib.request.urlopen(asked, timeout=60).close()

    known_requests("0")
    try:
        yield
    finally:
        known_requests("inf")


def test_wrong_credentials_are_told_from_none(
    s3: S3Server, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking_for_credentials(s3):
        assert CREDENTIALS in refusal(uri)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "needs credentials: set AWS_ACCESS_KEY_ID" in refusal(uri)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # Where a machine in the cloud finds credentials; here nobody answers.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    assert "needs credentials: set AWS_ACCESS_KEY_ID" in refusal(uri)


def test_a_wrong_endpoint_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    monkeypatch.setenv("AWS_ENDPOINT", endpoint)
    assert f"no object store answers at {endpoint}: AWS_ENDPOINT" in refusal(uri)


def test_an_endpoint_without_encryption_must_be_allowed(
    s3: S3Server, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert f"{s3.endpoint} is not encrypted" in refusal(uri)


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_bucket_is_the_one_of_the_tests(s3: S3Server) -> None:
    bucket_at(f"s3://{BUCKET}/seen").put("file", b"content")
    assert s3.requests()["PUT"] == 1
