"""The service's judgement of addresses against one that is written from IANA's registries."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from images.fetch.destinations import AllowList, forbidden_reason
from tests.guard.oracle.oracle import NETWORKS, Address, Verdict, verdict

NOTHING = AllowList()

# Every way to write an IPv4 address into an IPv6 one, with the RFC that defines it.
EMBEDDINGS: dict[str, Callable[[int], int]] = {
    "mapped, 4291": lambda inner: 0xFFFF << 32 | inner,
    "compatible, 4291": lambda inner: inner,
    "translated, 2765": lambda inner: 0xFFFF << 48 | inner,
    "well-known NAT64, 6052": lambda inner: 0x64FF9B << 96 | inner,
    "local NAT64 of 96 bits, 8215": lambda inner: 0x64FF9B0001 << 80 | inner,
    "local NAT64 of 48 bits, 8215": lambda inner: (
        0x64FF9B0001 << 80 | inner >> 16 << 64 | (inner & 0xFFFF) << 40
    ),
    "6to4, 3056": lambda inner: 0x2002 << 112 | inner << 80 | 1,
    "Teredo's client, 4380": lambda inner: 0x20010000 << 96 | inner ^ 0xFFFFFFFF,
    "Teredo's server, 4380": lambda inner: 0x20010000 << 96 | inner << 64,
    "ISATAP, 5214": lambda inner: 0x26064700 << 96 | 0x5EFE << 32 | inner,
    "ISATAP of a global one, 5214": lambda inner: 0x26064700 << 96 | 0x2005EFE << 32 | inner,
    "ISATAP, link-local": lambda inner: 0xFE80 << 112 | 0x5EFE << 32 | inner,
}


def at_the_edges() -> st.SearchStrategy[Address]:
    """The first and last addresses of each network that a registry has, and their neighbours."""
    edges = [
        network[end] + step
        for network in NETWORKS
        for end, step in ((0, 0), (-1, 0), (0, -1), (-1, 1))
        if 0 <= int(network[end]) + step < 1 << network.max_prefixlen
    ]
    return st.sampled_from(edges)


def agree(address: Address) -> None:
    reason, expected = forbidden_reason(address, NOTHING), verdict(address)
    if expected is not Verdict.EITHER:
        assert (reason is None) == (expected is Verdict.PUBLIC), (address, reason, expected)


@settings(deadline=None, max_examples=400)
@given(st.ip_addresses(v=4) | at_the_edges())
def test_any_ipv4_address_and_every_edge(address: Address) -> None:
    agree(address)


@settings(deadline=None, max_examples=400)
@given(st.ip_addresses(v=6) | st.ip_addresses(v=6, network="2000::/3"))
@example(ip_address("2002:808:808::1"))
def test_any_ipv6_address(address: IPv6Address) -> None:
    agree(address)


@pytest.mark.parametrize("form", EMBEDDINGS)
@settings(deadline=None, max_examples=50)
@given(inner=st.ip_addresses(v=4) | st.sampled_from(NETWORKS).map(lambda network: network[0]))
def test_any_embedding_of_any_ipv4_address(form: str, inner: Address) -> None:
    if isinstance(inner, IPv4Address):
        outer = IPv6Address(EMBEDDINGS[form](int(inner)))
        agree(outer)
        if verdict(inner) is Verdict.FORBIDDEN:
            assert forbidden_reason(outer, NOTHING) is not None


@settings(deadline=None, max_examples=200)
@given(
    inside=st.ip_addresses(v=4, network="10.20.0.0/16"),
    other=st.ip_addresses() | at_the_edges(),
)
def test_an_allowed_network_allows_itself_alone(inside: IPv4Address, other: Address) -> None:
    network = ip_network("10.20.0.0/16")
    allow = AllowList.from_entries([network])
    assert forbidden_reason(inside, allow) is None
    carried = [EMBEDDINGS[form](int(inside)) for form in ("mapped, 4291", "well-known NAT64, 6052")]
    if other not in network and int(other) not in carried:
        assert forbidden_reason(other, allow) == forbidden_reason(other, NOTHING)
