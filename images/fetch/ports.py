"""May this port be connected to? Pure."""

from dataclasses import dataclass
from typing import Self

from images.settings import parse_ports

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
        *(
            2375,
            2376,
            2377,
            6443,
            16443,
            10248,
            10249,
            10250,
            10255,
            10256,
            10257,
            10259,
        ),  # Docker,
        # Swarm and Kubernetes
        *(1099, 5005, 9229),  # Java's remote calls, debuggers
        *(
            2049,
            3260,
            3389,
            5900,
            5901,
            5985,
            5986,
            6000,
            6001,
            6063,
        ),  # files, desktops, WinRM, X11
        *(1719, 1720, 1723, 5060, 5061, 6566, 10080),  # telephony, tunnels, scanners, backups
        *(3690, 9418, 4505, 4506, 8140, 10050, 10051),  # Subversion, Git, Salt, Puppet, Zabbix
        *(6665, 6666, 6667, 6668, 6669, 6697),  # IRC
    }
)


@dataclass(frozen=True)
class Ports:
    """The ports that may be connected to.

    Args:
        web: 80, 443 and those above 1023 but for well-known services.
        ranges: others.
    """

    web: bool
    ranges: tuple[range, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the setting `fetch_ports`.

        Raises:
            ValueError: it means nothing.
        """
        return cls(*parse_ports(text))

    def forbidden_reason(self, port: int) -> str | None:
        """Say why nothing may be fetched from this port, or None where it may."""
        if self.web and (port in _WEB_PORTS or (port >= 1024 and port not in _SERVICE_PORTS)):
            return None
        if any(port in those for those in self.ranges):
            return None
        return f"port {port} is not one that serves pictures"
