"""Proxy: the way out of a network that has no other, and what may be asked of it.

Behind a proxy the service sees no address: the proxy looks the name up and connects. So names and
literal addresses are judged, and what a name stands for is the proxy's to judge.
"""

import logging
import re
import socket
from ipaddress import IPv4Address, ip_address

from images.errors import UnreachableError
from images.fetch.destinations import AllowList, Ports, forbidden_reason
from images.fetch.dial import BoundedResolver, Resolver, connected, literal_addresses, refuse
from images.settings import Proxy

logger = logging.getLogger("bentoml.image_search")

# RFC 6761, 6762, 8375, ICANN's `internal`, and what networks use all the same (RFC 6762, G).
_INSIDE = re.compile(
    r"(?:.*\.)?(?:localhost|localdomain|local|internal|intranet|private|corp|home|lan|home\.arpa)"
)
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


class ProxyDialer:
    """Connects to the proxy, for hosts that it may be asked for; may be used from many threads.

    The proxy itself may stand anywhere: the deployer has named it.
    """

    def __init__(self, proxy: Proxy, allow: AllowList, ports: Ports, resolve: Resolver) -> None:
        self._proxy, self._allow, self._ports = proxy, allow, ports
        self._resolve = BoundedResolver(resolve)
        self._is_down = False

    def dial(self, host: str, port: int, end: float) -> socket.socket:
        """Open a TCP connection to the proxy before a moment of `time.monotonic`.

        Raises:
            UnreachableError: the proxy may not be asked for this host, or does not answer.
        """
        refuse(host, self._ports.forbidden_reason(port) or self._reason(host.rstrip(".")))
        proxy = self._proxy
        try:
            addresses = [ip_address(text) for text in self._resolve(proxy.host, end)]
            connection = connected(proxy.host, addresses, proxy.port, end)
        except UnreachableError as error:
            self._tell(error.detail)
            raise UnreachableError(f"the proxy cannot be reached: {error.detail}") from None
        self._is_down = False
        return connection

    def _reason(self, name: str) -> str | None:
        """Say why the proxy is not asked for a host, or None where it may be."""
        if self._allow.has_name(name):
            return None
        for text in literal_addresses(name):
            address = ip_address(text)
            if isinstance(address, IPv4Address) and text != name:
                return "an address that the proxy may read otherwise"  # 010.0.0.1
            return forbidden_reason(address, self._allow)
        if _NUMERIC_END.fullmatch(name):
            return "an address that the proxy may read otherwise"
        if "." not in name or _INSIDE.fullmatch(name):
            return "the name of a host inside"
        return None

    def _tell(self, reason: str) -> None:
        """Say in the log that the proxy is down, once until it is back."""
        if not self._is_down:
            self._is_down = True
            logger.error(
                "IMAGE_SEARCH_FETCH_PROXY cannot be reached, so nothing is downloaded: %s", reason
            )
