"""Client addresses: only trusted proxies tell them, from their end, and only as addresses."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from api.access.addresses import ClientAddresses
from api.settings import ApiSettings, Settings, SettingsError

PROXIES = "10.0.0.0/8,192.168.1.1,fd00::/8"
CLIENT = "203.0.113.7"


def seen(
    *forwarded: str, peer: str = "10.0.0.1", trusted: str = PROXIES, **headers: str
) -> tuple[str, str]:
    """The client and the scheme that the application sees."""
    found: list[Scope] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        found.append(scope)

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is read or sent")

    named = [(b"x-forwarded-for", one.encode("latin-1")) for one in forwarded]
    others = [(name.replace("_", "-").encode(), one.encode()) for name, one in headers.items()]
    given = {"type": "http", "scheme": "http", "client": (peer, 999), "headers": named + others}
    settings = ApiSettings(trusted_proxies=trusted)
    asyncio.run(ClientAddresses(app, settings.trusted_proxies)(given, nothing, nothing))
    return found[0]["client"][0], found[0]["scheme"]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ((CLIENT,), CLIENT),
        ((f"  {CLIENT}  ",), CLIENT),
        ((f"{CLIENT}:4711",), CLIENT),
        (("2001:DB8::0:7",), "2001:db8::7"),
        (("[2001:db8::7]",), "2001:db8::7"),
        (("[2001:db8::7]:443",), "2001:db8::7"),
        (("::ffff:203.0.113.7",), CLIENT),
        # What the client itself has sent stands on the left.
        ((f"198.51.100.1, {CLIENT}",), CLIENT),
        ((f"10.0.0.9, {CLIENT}",), CLIENT),
        ((f"127.0.0.1,unknown,{CLIENT}",), CLIENT),
        # Proxies behind each other, in one header or in several.
        ((f"198.51.100.1, {CLIENT}, 192.168.1.1, 10.1.1.1",), CLIENT),
        ((f"198.51.100.1, {CLIENT}", "192.168.1.1", "10.1.1.1"), CLIENT),
        ((f"{CLIENT}, ::ffff:10.1.1.1, fd00::1",), CLIENT),
        (("10.0.0.7, 10.0.0.8",), "10.0.0.7"),
        # What is no address ends it: the last one that is known counts.
        ((), "10.0.0.1"),
        (("",), "10.0.0.1"),
        ((",",), "10.0.0.1"),
        (("unknown",), "10.0.0.1"),
        (("_hidden",), "10.0.0.1"),
        ((f"{CLIENT}, unknown",), "10.0.0.1"),
        ((f"{CLIENT}, unknown, 10.2.2.2",), "10.2.2.2"),
        (("203.0.113.7\r\n2026-01-01 forged",), "10.0.0.1"),
        (("203.0.113.7 x",), "10.0.0.1"),
        (("203.0.113.007",), "10.0.0.1"),
        (("203.0.113.7:123456",), "10.0.0.1"),
        (("[203.0.113.7",), "10.0.0.1"),
        (("fe80::1%eth0",), "10.0.0.1"),
        (("3405803783",), "10.0.0.1"),
        (("0x7f.1",), "10.0.0.1"),
        (("\u0661.\u0661.\u0661.\u0661".encode().decode("latin-1"),), "10.0.0.1"),
        (("x" * 60_000,), "10.0.0.1"),
        ((f"{CLIENT}, " * 4000 + "198.51.100.2",), "198.51.100.2"),
        # No more than 32 proxies stand behind each other.
        (("10.0.0.2, " * 4000 + "10.0.0.3",), "10.0.0.2"),
    ],
    ids=lambda one: repr(one)[:50],
)
def test_a_trusted_proxy_tells_who_its_client_is(forwarded: tuple[str, ...], client: str) -> None:
    assert seen(*forwarded)[0] == client


@pytest.mark.parametrize("peer", ["203.0.113.9", "127.0.0.1", "::1", "11.0.0.1", "192.168.1.2"])
def test_nobody_else_does(peer: str) -> None:
    assert seen(CLIENT, peer=peer, x_forwarded_proto="https") == (peer, "http")
    assert seen(CLIENT, peer=peer, trusted="") == (peer, "http")


def test_a_proxy_is_known_however_its_address_is_written() -> None:
    assert seen(CLIENT, peer="::ffff:10.0.0.1")[0] == CLIENT
    assert seen(CLIENT, peer="fd00:0:0::1")[0] == CLIENT
    assert seen(CLIENT, peer="not-an-address")[0] == "not-an-address"


@pytest.mark.parametrize(
    ("said", "scheme"), [("https", "https"), ("http", "http"), ("ftp", "http"), ("HTTPS\n", "http")]
)
def test_a_trusted_proxy_tells_the_scheme(said: str, scheme: str) -> None:
    assert seen(CLIENT, x_forwarded_proto=said)[1] == scheme


def test_the_setting_says_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_TRUSTED_PROXIES", " 127.0.0.1 , ::1/128 ")
    assert len(Settings.from_environment().api.trusted_proxies) == 2
    for wrong in ("proxy.example", "10.0.0.1/8", "10.0.0.1,*"):
        monkeypatch.setenv("IMAGE_SEARCH_TRUSTED_PROXIES", wrong)
        with pytest.raises(SettingsError, match="is neither an IP address nor a network") as error:
            Settings.from_environment()
        assert "\n" not in str(error.value)
