"""Client addresses: what a proxy says of its client, where the proxy is one that is trusted.

Anybody can send `X-Forwarded-For`, and a proxy that is not told otherwise passes it on and appends
to it. So it counts only on connections of the proxies that the settings name, from its end, and as
far as addresses stand there. `X-Forwarded-Host` never counts: proxies are to pass on `Host`.

Not uvicorn's `ProxyHeadersMiddleware`: it trusts 127.0.0.1 unless told otherwise, takes any text
for an address, and BentoML has no option for it.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from api.settings import Network

Address = IPv4Address | IPv6Address

MOST_HOPS = 32
"""Proxies behind each other; a header may hold thousands of addresses."""
_MAX_CHARS = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")


class ClientAddresses:
    """Outermost ASGI application: requests of trusted proxies have their client's address.

    Args:
        app: the application.
        trusted: the proxies.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, from whom it comes."""
        peer = address(scope["client"][0]) if self._trusted and scope.get("client") else None
        if peer is not None and self.trusts(peer):
            client = self.client(peer, _values(scope, b"x-forwarded-for"))
            scope = {**scope, "client": (str(client), 0)}
            match _values(scope, b"x-forwarded-proto"):
                case ["http" | "https" as scheme]:
                    scope["scheme"] = scheme
        await self._app(scope, receive, send)

    def client(self, peer: Address, forwarded: Iterable[str]) -> Address:
        """Who sent a request: the last one that no trusted proxy is.

        Each proxy appends whom its request came from. What stands before the first one that is not
        trusted is that one's word; what no address can be read from is nobody's.

        Args:
            peer: the trusted proxy that is connected.
            forwarded: the values of all `X-Forwarded-For`, in their order.
        """
        last = peer
        parts = ",".join(forwarded).rsplit(",", MOST_HOPS)[-MOST_HOPS:]
        for part in reversed(parts):
            found = address(part.strip())
            if found is None:
                break
            last = found
            if not self.trusts(found):
                break
        return last

    def trusts(self, one: Address) -> bool:
        """Whether it is one of the proxies."""
        return any(one in each for each in self._trusted)


def address(text: str) -> Address | None:
    """The address that a text is, with a port or without; None where it is none.

    An IPv4 address in an IPv6 one is itself. No zone can be meant.
    """
    if len(text) > _MAX_CHARS or "%" in text:
        return None
    with_port = _WITH_PORT.fullmatch(text)
    try:
        found = ip_address(with_port[1] or with_port[2] if with_port else text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
