"""Destination rules: which addresses and ports may be connected to. Pure: no network.

The tables are our own because `ipaddress.is_global` is not enough: it calls IPv4-compatible,
NAT64, site-local and multicast addresses global, and its answers differ between patch releases
of Python. Sources: IANA's special-purpose address registries, RFC 4380, 5214, 6052, 7526, 8215.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

from images.settings import AllowedEntry

Address = IPv4Address | IPv6Address

_FORBIDDEN_V4 = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a provider's customers",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("168.63.129.16/32"): "a cloud's platform services",
    IPv4Network("169.254.0.0/16"): "link-local, cloud metadata",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "protocol assignments, cloud metadata",
    IPv4Network("192.0.2.0/24"): "documentation",
    IPv4Network("192.88.99.0/24"): "6to4 relay",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "benchmarks",
    IPv4Network("198.51.100.0/24"): "documentation",
    IPv4Network("203.0.113.0/24"): "documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved, broadcast",
}
# Within 2000::/3, which is all that is routed on the internet. Loopback, unspecified, unique
# local, link-local, site-local, multicast, IPv4-compatible and local NAT64 lie outside of it.
_GLOBAL_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = {
    IPv6Network("2001::/23"): "protocol assignments, Teredo",
    IPv6Network("2001:db8::/32"): "documentation",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("3fff::/20"): "documentation",
}
# How a network without IPv4 reaches the IPv4 internet (RFC 6052), so not forbidden as such.
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP_IDENTIFIERS = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True)
class AllowList:
    """What the deployer allows although it would be forbidden.

    A name allows exactly that host, whatever it resolves to; a network allows the addresses in it
    under any name.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def from_entries(cls, entries: Iterable[AllowedEntry]) -> Self:
        """Sort the entries of the setting into networks and names."""
        entries = tuple(entries)
        return cls(
            networks=tuple(entry for entry in entries if not isinstance(entry, str)),
            names=frozenset(entry for entry in entries if isinstance(entry, str)),
        )

    def has_name(self, host: str) -> bool:
        """Is this host, as the URL names it, allowed by name?"""
        return host.lower().rstrip(".") in self.names

    def has_address(self, address: Address) -> bool:
        """Is this very address in a network of the list?"""
        return any(address in network for network in self.networks)


def forbidden_reason(address: Address, allow: AllowList) -> str | None:
    """Say why nothing may be fetched from here, or None where it may.

    An IPv6 address that carries an IPv4 one is judged by both.
    """
    address = _as_dialled(address)
    return None if allow.has_address(address) else _address_reason(address, allow)


def _as_dialled(address: Address) -> Address:
    """The kernel sends ::ffff:a.b.c.d to a.b.c.d: for it the two are one address."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _address_reason(address: Address, allow: AllowList) -> str | None:
    if isinstance(address, IPv4Address):
        return _listed(address, _FORBIDDEN_V4)
    inner = _carried_ipv4(address)
    if inner is not None and not allow.has_address(inner):
        reason = _listed(inner, _FORBIDDEN_V4)
        if reason:
            return f"{address} carries {reason}"
    if address in _NAT64:
        return None
    if address not in _GLOBAL_V6:
        return f"{address} is not a global unicast address"
    return _listed(address, _FORBIDDEN_V6)


def _listed(address: Address, table: dict[IPv4Network, str] | dict[IPv6Network, str]) -> str | None:
    for network, use in table.items():
        if address in network:
            return f"{address} is in {network} ({use})"
    return None


def _carried_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address at the far end of a translation or tunnel, if this is one.

    6to4, Teredo, IPv4-compatible and local NAT64 addresses are forbidden whatever they carry, so
    only the two forms that may lie in permitted ranges are read here. A NAT64 prefix that a
    network chose for itself cannot be told from any other address.
    """
    if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP_IDENTIFIERS:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


_WEB_PORTS = (80, 443)
# Services that listen above 1023, do not serve pictures, and could be read or disturbed by a
# plain HTTP request. Ports that ordinary web servers use as well (3000, 5000, 8888) are not among
# them. The list is no wall, which the judged addresses are: it keeps a download from knocking at
# a database's door. Those that browsers refuse as well (fetch.spec.whatwg.org, "bad port") are in.
_SERVICE_PORTS = frozenset(
    {
        *(1080, 3128),  # proxies: SOCKS, Squid
        *(1433, 1434, 1521, 3050, 3306, 5432, 5433, 6432, 33060),  # SQL databases, poolers
        *(5984, 6984, 7473, 7474, 7687, 8123, 8529, 9042, 9160),  # other databases
        *(27017, 27018, 27019, 28015),  # MongoDB, RethinkDB
        *(6379, 6380, 16379, 26379, 11210, 11211),  # Redis, Memcached
        *(8983, 9200, 9300),  # Solr, Elasticsearch
        *(8086, 9093, 9100),  # InfluxDB, Alertmanager, node_exporter and printers
        *(1883, 4222, 4369, 5671, 5672, 8883, 9092, 15672, 25672, 61613, 61616),  # queues
        *(2181, 2379, 2380, 2888, 3888),  # ZooKeeper, etcd
        *(4646, 4647, 8200, 8201),  # Nomad, Vault
        *(8300, 8301, 8302, 8500, 8501, 8502, 8600),  # Consul
        *(2375, 2376, 2377),  # Docker, Swarm
        *(6443, 16443, 10248, 10249, 10250, 10255, 10256, 10257, 10259),  # Kubernetes
        *(1099, 5005, 9229),  # Java's remote calls, debuggers
        *(2049, 3260, 3389, 5900, 5901, 5985, 5986),  # files, desktops, WinRM
        *(6000, 6001, 6063),  # X11
        *(1719, 1720, 1723, 5060, 5061, 6566, 10080),  # telephony, tunnels, scanners, backups
        *(3690, 9418, 4505, 4506, 8140, 10050, 10051),  # Subversion, Git, Salt, Puppet, Zabbix
        *(6665, 6666, 6667, 6668, 6669, 6697),  # IRC
    }
)


@dataclass(frozen=True)
class Ports:
    """The ports that may be connected to; `images.settings.parse_ports` reads them from a text.

    Args:
        web: 80, 443 and those above 1023 but for well-known services.
        ranges: others.
    """

    web: bool
    ranges: tuple[range, ...] = ()

    def forbidden_reason(self, port: int) -> str | None:
        """Say why nothing may be fetched from this port, or None where it may."""
        if self.web and (port in _WEB_PORTS or (port >= 1024 and port not in _SERVICE_PORTS)):
            return None
        if any(port in those for those in self.ranges):
            return None
        return f"port {port} is not one that serves pictures"
