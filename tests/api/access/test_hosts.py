"""Whose requests a service without keys answers, and where it listens."""

from typing import Any

import pytest

from api.access.hosts import TARGET_HOST, is_addressed, listening_on

NAMES = frozenset({"images.example.com", "box"})


def addressed(*hosts: str, **scope: Any) -> bool:
    headers = [(b"host", host.encode("latin-1")) for host in hosts]
    return is_addressed({"type": "http", "headers": headers, **scope}, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LocalHost:80",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:3000",
        "192.168.1.7:3000",
        "8.8.8.8",
        "[::1]",
        "[::1]:3000",
        "[2001:db8::7]:1",
        "[::ffff:127.0.0.1]",
        "images.example.com",
        "Images.Example.COM.:443",
        "box:",
    ],
)
def test_own_names_and_addresses(host: str) -> None:
    assert addressed(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":3000",
        "evil.example",
        "EVIL.EXAMPLE:3000",
        "evil.example.",
        "localhost.evil.example",
        "evil.localhost",
        "localhost..",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost/evil",
        "localhost:3000:1",
        "localhost:evil",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "::1",
        "[::1",
        "[::1%25lo]",
        "[evil.example]",
        "[127.0.0.1]",
        "127.0.0.1\n",
        "localhost\x00",
        "ximages.example.com",
        "images.example.com.evil",
        "imagesxexample.com",
        "löcalhost",
    ],
)
def test_others(host: str) -> None:
    assert not addressed(host)


def test_every_host_of_a_request_counts() -> None:
    assert addressed()  # HTTP/1.0, of which no browser makes use
    assert not addressed("localhost", "evil.example")
    assert not addressed("evil.example", "localhost")
    assert not addressed("localhost", **{TARGET_HOST: "evil.example"})
    assert not addressed("localhost", **{TARGET_HOST: "evil.example@localhost"})
    assert not addressed(**{TARGET_HOST: "evil.example"})
    assert addressed("localhost", **{TARGET_HOST: "127.0.0.1:3000"})


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("::ffff:192.0.2.1", False),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("no address", True),
    ],
)
def test_without_keys_it_listens_on_loopback(host: str, own: bool) -> None:
    assert listening_on(host, open_to_others=True) == host
    assert listening_on(host, open_to_others=False) == (host if own else "127.0.0.1")
