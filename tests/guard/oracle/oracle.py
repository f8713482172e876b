"""Which addresses a service on the internet must not fetch from, and which it must be able to.

Written from IANA's registries of special-purpose addresses, not from `images.fetch.destinations`,
so that the two can be held against each other:
https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry and
https://www.iana.org/assignments/ipv6-address-space. Between the two verdicts lies what a careful
service may do either way.
"""

from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Verdict(Enum):
    """What is to be done with an address."""

    FORBIDDEN = "must not be fetched from"
    PUBLIC = "must be fetched from"
    EITHER = "may be refused or not"


def _networks(text: str) -> list[Network]:
    return [ip_network(one) for one in text.split()]


# "Globally reachable: False", multicast, and what clouds answer at although it is global.
_FORBIDDEN = _networks(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/29 "
    "192.0.0.8/32 192.0.0.170/31 192.0.2.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 "
    "203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32 192.0.0.192/32 "
    "2001::/32 2001:2::/48 2001:10::/28 2001:db8::/32 3fff::/20"
)
# Deprecated, or of one protocol: no picture is there.
_ODD = _networks(
    "192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24 "
    "2001::/23 2002::/16 2620:4f:8000::/48"
)
_UNICAST_6 = ip_network("2000::/3")  # IANA hands out nothing else
_MAPPED, _NAT64 = ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ip_network("2002::/16")
NETWORKS = (*_FORBIDDEN, *_ODD, _UNICAST_6, _MAPPED, _NAT64)


def verdict(address: Address) -> Verdict:
    """The verdict on an address, and on the one that it carries."""
    if isinstance(address, IPv4Address):
        return _listed(address)
    if address in _MAPPED or address in _NAT64:
        return _listed(_inner(address, 0))
    if address not in _UNICAST_6:
        return Verdict.FORBIDDEN
    inner = Verdict.PUBLIC
    if address in _SIX_TO_FOUR:
        inner = _listed(_inner(address, 80))
    elif int(address) >> 32 & 0xFDFFFFFF == 0x5EFE:  # ISATAP, RFC 5214
        inner = _listed(_inner(address, 0))
    if inner is not Verdict.PUBLIC:
        return inner
    return _listed(address)


def _inner(address: IPv6Address, from_bit: int) -> IPv4Address:
    return IPv4Address(int(address) >> from_bit & 0xFFFFFFFF)


def _listed(address: Address) -> Verdict:
    if any(address in network for network in _FORBIDDEN):
        return Verdict.FORBIDDEN
    return Verdict.EITHER if any(address in network for network in _ODD) else Verdict.PUBLIC
