"""Settings of downloads and decoding: what is allowed, and how much of it."""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from images.schemas import DecodeLimits

ENV_PREFIX = "IMAGE_SEARCH_"
AllowedEntry = IPv4Network | IPv6Network | str
_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(\s*-\s*(?P<last>[0-9]{1,5}))?")
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PROXY_HOST = re.compile(r"[a-z0-9_.-]{1,253}|[0-9a-f:.]+")
_HEADER_TEXT = re.compile(r"([!-~]([ -~]{0,254}[!-~])?)?")
_MAPPED = IPv6Network("::ffff:0:0/96")
_LAST_LABEL_IS_NUMERIC = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")


def _parse_entry(entry: str) -> AllowedEntry:
    """Read one entry of the allow-list: a network, a single address or a host name."""
    name = entry.lower().rstrip(".")
    if "%" not in entry:  # an address with a zone is another one on each machine
        with suppress(ValueError):
            return _as_dialled(ip_network(entry))
    # What ends in a number is meant as an address (127.1, 10.0.0.0/33): as a name it would never
    # match anything, and nobody would learn why.
    if _HOST_NAME.fullmatch(name) and not _LAST_LABEL_IS_NUMERIC.fullmatch(name):
        return name
    raise ValueError(
        f"{entry!r} is neither a network (10.0.0.0/8, fd00::/8), "
        "nor an address, nor a host name (cdn.internal, xn--bcher-kva.internal)"
    )


def _as_dialled(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """The network whose addresses a connection to one of these would go to.

    ::ffff:10.0.0.0/104 is 10.0.0.0/8 to the kernel, and to the rules for addresses.
    """
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inner = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((inner, network.prefixlen - 96))
    return network


def _parse_allow_list(value: object) -> object:
    """Split comma-separated text into its entries; leave anything else to pydantic."""
    if not isinstance(value, str):
        return value
    entries = (entry.strip() for entry in value.split(","))
    return tuple(_parse_entry(entry) for entry in entries if entry)


def parse_ports(text: str) -> tuple[bool, tuple[range, ...]]:
    """Read a list of ports.

    Returns:
        Whether `web` is among them, and the others.

    Raises:
        ValueError: names the entry that means nothing.
    """
    entries = [entry.strip() for entry in text.lower().split(",") if entry.strip()]
    if not entries:
        raise ValueError("names no port; 'web' is the rule for all that serve pictures")
    ranges = tuple(_port_range(entry) for entry in entries if entry != "web")
    return "web" in entries, ranges


def _port_range(entry: str) -> range:
    match = _PORTS.fullmatch(entry)
    if match:
        first = int(match["first"])
        last = int(match["last"] or first)
        if 1 <= first <= last <= 65535:
            return range(first, last + 1)
    raise ValueError(f"{entry!r} is neither a port (80), nor a range (8000-8999), nor 'web'")


def _check_ports(text: str) -> str:
    parse_ports(text)
    return text


@dataclass(frozen=True)
class Proxy:
    """The proxy that all downloads go through.

    Attributes:
        host, port: where it listens.
        authorization: value of its `Proxy-Authorization` header; empty for none.
    """

    host: str
    port: int
    authorization: str = field(default="", repr=False)


def _parse_proxy(value: object) -> object:
    """Read a proxy's URL; leave anything but a text to pydantic. No message quotes a password."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    form = "should be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, percent-encoded"
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port or 80
    except ValueError:
        raise ValueError(form) from None
    if url.scheme == "https":
        raise ValueError(f"{form}; pictures of https addresses go through it all the same")
    beside = url.path not in ("", "/") or url.query or url.fragment
    if url.scheme != "http" or not _PROXY_HOST.fullmatch(host) or beside:
        raise ValueError(form)
    if url.username is None:
        return Proxy(host, port)
    user, word = (unquote_to_bytes(part or "") for part in (url.username, url.password))
    return Proxy(host, port, "Basic " + base64.b64encode(user + b":" + word).decode())


def _check_user_agent(text: str) -> str:
    if not _HEADER_TEXT.fullmatch(text):
        raise ValueError("should be up to 256 printable ASCII characters")
    return text


class FetchSettings(BaseSettings):
    """The limits of a download, read from `IMAGE_SEARCH_*` environment variables."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True)

    allow_networks: Annotated[
        tuple[AllowedEntry, ...], NoDecode, BeforeValidator(_parse_allow_list)
    ] = Field(
        default=(),
        description="Networks (CIDRs) and host names, comma-separated, that may be fetched from "
        "although they are private",
    )
    fetch_ports: Annotated[str, AfterValidator(_check_ports)] = Field(
        default="web",
        description="Ports and ranges, comma-separated, that may be fetched from; `web` is 80, 443 "
        "and those above 1023 where no well-known service listens that serves no pictures",
    )
    fetch_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Seconds one download may take: name lookup, redirects and body together",
    )
    connect_timeout_s: float = Field(
        default=2.0,
        gt=0,
        le=30,
        description="Seconds that name lookup and connection may take; after that time a host that "
        "cannot be reached is answered, whatever the reason",
    )
    max_image_bytes: int = Field(
        default=50 * 2**20,
        ge=1,
        le=2**30,
        description="Largest file that is downloaded or uploaded, in bytes",
    )
    max_redirects: int = Field(
        default=5, ge=0, le=20, description="How many redirects a download follows"
    )
    fetch_proxy: Annotated[Proxy | None, NoDecode, BeforeValidator(_parse_proxy)] = Field(
        default=None,
        description="Proxy that all downloads go through, `http://USER:PASSWORD@HOST:PORT`",
    )
    fetch_headers: Annotated[Path | None, BeforeValidator(lambda path: path or None)] = Field(
        default=None,
        description='File with the headers that a host is sent, JSON: `{"HOST": {"NAME": '
        '"VALUE"}}`',
    )
    fetch_user_agent: Annotated[str, AfterValidator(_check_user_agent)] = Field(
        default="",
        description="`User-Agent` of downloads; empty for the service's name and version",
    )


class DecodeSettings(BaseSettings):
    """The limits of a picture, read from `IMAGE_SEARCH_*` environment variables."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True)

    max_image_pixels: int = Field(
        default=120_000_000,
        ge=1,
        le=1_000_000_000,
        description="Largest picture that is decoded: width times height",
    )
    # CLIP scales the short side to its input size. Only what is then cut out of the long one is
    # computed (`images.decode.prepare`), so that a strip costs no more than its pixels.
    max_aspect_ratio: float = Field(
        default=100.0,
        ge=1,
        le=1000,
        description="Largest ratio of a picture's long side to its short side",
    )
    max_image_frames: int = Field(
        default=10_000,
        ge=1,
        description="Most frames of an animation that is accepted; only its first is decoded",
    )
    thumbnail_size: int = Field(
        default=320,
        ge=0,
        le=1024,
        description="Longer side of the small copy that is kept of each indexed picture, in "
        "pixels; 0 keeps none",
    )
    decode_timeout_s: float = Field(
        default=20.0,
        gt=0,
        le=300,
        description="Seconds that decoding, or drawing, one picture may take before its process "
        "is ended",
    )

    @property
    def limits(self) -> DecodeLimits:
        """The same for the processes that decode, which do without pydantic."""
        return DecodeLimits(self.max_image_pixels, self.max_aspect_ratio, self.max_image_frames)
