"""Host names that a service without keys answers to, and the address that it listens on.

A web page whose name comes to stand for 127.0.0.1 (DNS rebinding) is of the same origin as a
service on the visitor's own machine, so that no rule of the browser's keeps it out. But its
requests carry its own name as `Host`, which no page can change. An address as `Host` is safe: a
name is needed to rebind one.
"""

import functools
import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

TARGET_HOST = "image_search.target_host"
"""Key of the scope for the host of a request target in absolute form (RFC 9112, 3.2.2)."""

LOOPBACK = "127.0.0.1"
_OWN = "localhost"
_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9_.-]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::[0-9]*)?")


def is_addressed(scope: Scope, names: frozenset[str]) -> bool:
    """Whether a request names this service, and nobody else, as its host.

    Without any `Host`, as HTTP/1.0 allows and no browser sends it, it does.

    Args:
        scope: of the request.
        names: that the service has, in lower case, beside `localhost` and every IP address.
    """
    hosts = Headers(scope=scope).getlist("host")
    if TARGET_HOST in scope:
        hosts.append(scope[TARGET_HOST])
    return all(_is_own(host, names) for host in hosts)


@functools.lru_cache(256)  # of few hosts: reading an address costs more than all the rest
def _is_own(host: str, names: frozenset[str]) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match["v6"]:
        return _is_address(IPv6Address, match["v6"])
    name = match["name"].lower().removesuffix(".")
    return name == _OWN or name in names or _is_address(IPv4Address, match["name"])


def _is_address(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def listening_on(host: str, *, open_to_others: bool) -> str:
    """The address to listen on in place of another: loopback, where others must not reach it.

    Args:
        host: that was asked for.
        open_to_others: whether others may reach the service.
    """
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:  # BentoML refuses what is no address itself
        return host
    return host if open_to_others or is_loopback else LOOPBACK
