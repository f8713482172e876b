from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.fetch.destinations import AllowList, forbidden_reason
from images.settings import FetchSettings

NOTHING = AllowList()

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:c0a8:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "fe80::5efe:8.8.8.8",
    "2606:4700::5efe:127.0.0.1",
    "2606:4700::200:5efe:10.0.0.1",
    "4000::1",
    "1::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2606:4700::5efe:8.8.8.8",
    "2001:4860:4860::8888",
    "3ffe::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_a_private_or_special_address_is_forbidden(text: str) -> None:
    assert forbidden_reason(ip_address(text), NOTHING)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_not(text: str) -> None:
    assert forbidden_reason(ip_address(text), NOTHING) is None


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_let_through_that_python_calls_private(address: IPv4Address) -> None:
    if forbidden_reason(address, NOTHING) is None:
        assert address.is_global
        assert not address.is_multicast


@settings(deadline=None)
@given(st.ip_addresses(v=6) | st.ip_addresses(v=6, network="2000::/3"))
def test_no_ipv6_address_is_let_through_that_python_calls_private(address: IPv6Address) -> None:
    if forbidden_reason(address, NOTHING) is None:
        dialled = address.ipv4_mapped or address  # older Pythons call every mapped one private
        assert dialled.is_global
        assert not dialled.is_multicast


FORMS: dict[str, Callable[[IPv4Address], IPv4Address | IPv6Address]] = {
    "mapped": lambda inner: ip_address(f"::ffff:{inner}"),
    "compatible": lambda inner: IPv6Address(int(inner)),
    "translated": lambda inner: ip_address(f"::ffff:0:{inner}"),
    "nat64": lambda inner: ip_address(f"64:ff9b::{inner}"),
    "local nat64": lambda inner: ip_address(f"64:ff9b:1::{inner}"),
    "6to4": lambda inner: IPv6Address((0x2002 << 112) | (int(inner) << 80) | 1),
    "teredo client": lambda inner: IPv6Address((0x20010000 << 96) | (int(inner) ^ 0xFFFFFFFF)),
    "teredo server": lambda inner: IPv6Address((0x20010000 << 96) | (int(inner) << 64)),
    "isatap": lambda inner: ip_address(f"2606:4700::5efe:{inner}"),
    "isatap, global": lambda inner: ip_address(f"2606:4700::200:5efe:{inner}"),
}


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(inner=st.ip_addresses(v=4))
def test_a_forbidden_ipv4_address_is_forbidden_in_every_disguise(
    form: str, inner: IPv4Address
) -> None:
    if forbidden_reason(inner, NOTHING):
        assert forbidden_reason(FORMS[form](inner), NOTHING)


@settings(deadline=None)
@given(st.ip_addresses(), st.ip_addresses())
def test_an_allowed_address_allows_no_other(
    allowed: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address
) -> None:
    allow = AllowList.from_entries([ip_network(allowed)])
    if isinstance(allowed, IPv4Address) or allowed.ipv4_mapped is None:
        assert forbidden_reason(allowed, allow) is None
    if other != allowed:
        assert forbidden_reason(other, allow) == forbidden_reason(other, NOTHING)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::10.1.2.3", True),
        ("11.1.2.3", True),
        ("127.0.0.1", False),
        ("64:ff9b:1::10.1.2.3", False),
        ("2002:a01:203::", False),
        ("::10.1.2.3", False),
        ("fd00::1", True),
        ("fe80::1", False),
    ],
)
def test_an_allowed_network_is_allowed_and_nothing_wider(text: str, allowed: bool) -> None:
    allow = AllowList.from_entries([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    assert (forbidden_reason(ip_address(text), allow) is None) == allowed


def test_a_name_is_allowed_exactly() -> None:
    allow = AllowList.from_entries(["cdn.internal"])
    assert allow.has_name("cdn.internal")
    assert allow.has_name("CDN.Internal.")
    for other in ("internal", "a.cdn.internal", "cdn.internal.example.com", "xcdn.internal", ""):
        assert not allow.has_name(other)


@pytest.mark.parametrize(
    ("network", "allowed", "forbidden"),
    [
        ("0.0.0.0/0", ["10.0.0.1", "::ffff:10.0.0.1"], ["fd00::1", "::10.0.0.1", "2002:a00:1::"]),
        ("::/0", ["fd00::1", "::1"], ["10.0.0.1", "::ffff:10.0.0.1"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:10.1.2.3"], ["127.0.0.1", "::10.1.2.3"]),
        ("::ffff:127.0.0.1", ["127.0.0.1", "::ffff:7f00:1"], ["127.0.0.2", "::1"]),
        ("64:ff9b::/96", ["64:ff9b::10.0.0.1"], ["10.0.0.1"]),
        ("169.254.169.254", ["169.254.169.254"], ["169.254.169.253", "169.254.170.2"]),
    ],
)
def test_a_network_of_the_setting_allows_what_it_names(
    network: str, allowed: list[str], forbidden: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_ALLOW_NETWORKS", network)
    allow = AllowList.from_entries(FetchSettings().allow_networks)
    for text in allowed:
        assert forbidden_reason(ip_address(text), allow) is None, text
    for text in forbidden:
        assert forbidden_reason(ip_address(text), allow), text
