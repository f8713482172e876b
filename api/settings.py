"""Settings from the environment: those of the HTTP side, and the check of all of them at start."""

import difflib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from images.settings import DecodeSettings, FetchSettings
from runners.settings import ModelSettings
from store.settings import StoreSettings

ENV_PREFIX = "IMAGE_SEARCH_"
Network = IPv4Network | IPv6Network
S = TypeVar("S", bound=BaseSettings)
# A browser sends it as RFC 6454 serializes it, and it is compared as a text.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_SECRET = frozenset({"api_keys", "api_keys_file", "fetch_proxy", "model_token"})
_NO_HEADER = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")
_LEAST_KEY_CHARS = 16
MAX_TILES = 9
"""In which a picture is looked at, beside the whole of it."""
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


class SettingsError(Exception):
    """An environment variable has a value that cannot be meant; the message is one line."""


def key_fault(key: str) -> str | None:
    """What is wrong with an API key, in words that do not tell it; None where nothing is."""
    if _NO_HEADER.search(key):
        return "a key must not hold spaces or control characters"
    if len(key) < _LEAST_KEY_CHARS:
        return f"a key must have {_LEAST_KEY_CHARS} characters or more, as `openssl rand -hex 32`"
    return None


class ApiSettings(BaseSettings):
    """What the API service reads from the environment (prefix `IMAGE_SEARCH_`)."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True)

    api_keys: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Comma-separated keys. When set, every route but `/livez` and `/readyz` needs "
        "`Authorization: Bearer KEY`.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File of further keys, a line `name scope key` each; the scope is `read`, "
        "`write` or `admin`. It is read again when it changes.",
    )
    hosts: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Comma-separated host names under which a service without API keys is "
        "reached, besides `localhost` and its addresses.",
    )
    open: bool = Field(
        default=False,
        description="Without API keys, listen on other addresses than loopback all the same.",
    )
    cors_origins: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="Comma-separated origins, such as `https://shop.example`, whose web pages may "
        "call the API from a browser; `*` for all.",
    )
    trusted_proxies: Annotated[frozenset[Network], NoDecode] = Field(
        default=frozenset(),
        description="Comma-separated addresses and networks (CIDRs) of proxies in front of the "
        "service, whose `X-Forwarded-For` says who the client is; others' counts for nothing.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="`text` for people, or `json`: one JSON object per line of the log.",
    )
    api_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that answer requests; each has the threads and limits below for "
        "itself.",
    )
    max_body_bytes: int = Field(
        default=1 << 20,
        ge=1024,
        description="Largest request body, in bytes, without an uploaded picture.",
    )
    max_new_keys: int = Field(
        default=32,
        ge=1,
        le=100,
        description="New metadata keys that one request may bring, however many images it has.",
    )
    max_in_flight: int = Field(
        default=256,
        ge=1,
        description="Requests that a worker works on at once; one more is answered 429. While half "
        "of them are older than 5 seconds, 64 are the most.",
    )
    request_timeout_s: float = Field(
        default=60, gt=0, le=600, description="Time a request may take altogether, in seconds."
    )
    download_threads: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Pictures that a worker downloads at the same time; requests with many images "
        "take at most half of them.",
    )
    downloads_per_host: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Of these, at most so many from one host; 0 is half of them, and more than "
        "half they never are.",
    )
    decode_processes: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Processes in which a worker decodes, draws and encodes pictures, one at a "
        "time each.",
    )
    decode_memory_bytes: int = Field(
        default=2 << 30,
        ge=128 << 20,
        description="Memory that a worker's pictures take at the same time, in bytes: 14 to 32 "
        "per pixel, by format. One picture alone may take 2 GiB, or all of it where that is more.",
    )
    jpeg_quality: int = Field(
        default=90, ge=1, le=95, description="JPEG quality of the annotated picture."
    )

    keep_originals: Literal["uploads", "all", "none"] = Field(
        default="uploads",
        description="Of which indexed pictures the file itself is kept, beside the index: those "
        "that were `uploads`, which cannot be had again; `all`; or `none`.",
    )

    objects: bool = Field(
        default=False,
        description="Whether an added picture's objects are indexed, too: `on` or `off`.",
    )

    objects_max: int = Field(
        default=16,
        ge=1,
        le=100,
        description="Objects of a picture that are indexed at most: the largest and surest ones.",
    )

    objects_tiles: int = Field(
        default=4,
        ge=0,
        le=MAX_TILES,
        description="Parts at most in which a large picture is looked at more closely, too.",
    )

    near_duplicate_similarity: float = Field(
        default=0.98,
        ge=0,
        le=1,
        description="Cosine similarity from which an add names other images as near-duplicates, "
        "0.5 to 1; 0 turns that off.",
    )

    @field_validator("near_duplicate_similarity")
    @classmethod
    def _off_or_similar(cls, value: float) -> float:
        if 0 < value < 0.5:
            raise ValueError("should be 0.5 to 1, or 0 to turn it off")
        return value

    @property
    def locked(self) -> bool:
        """Whether every request needs an API key."""
        return bool(self.api_keys) or self.api_keys_file is not None

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("api_keys", "cors_origins", "hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            parts = frozenset(part.strip() for part in value.split(",") if part.strip())
            if value and not parts:
                raise ValueError("holds nothing between its commas; leave it out")
            return parts
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return frozenset(_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("api_keys")
    @classmethod
    def _can_be_sent(cls, keys: frozenset[str]) -> frozenset[str]:
        for fault in filter(None, map(key_fault, sorted(keys))):
            raise ValueError(fault)
        return keys

    @field_validator("hosts")
    @classmethod
    def _are_host_names(cls, hosts: frozenset[str]) -> frozenset[str]:
        names = {host.lower().removesuffix(".") for host in hosts}
        for name in names:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no host name, such as images.example.com")
        return frozenset(names)

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: frozenset[str]) -> frozenset[str]:
        for origin in origins - {"*"}:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin: scheme and host in lower case, and a port if it is "
                    "not the usual one, as in https://shop.example"
                )
        return origins


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an IP address nor a network such as 10.0.0.0/8 or fd00::/8"
        ) from None


CLASSES = (ApiSettings, FetchSettings, DecodeSettings, ModelSettings, StoreSettings)


@dataclass(frozen=True)
class Settings:
    """All settings, as a worker reads them once at its start."""

    api: ApiSettings
    fetch: FetchSettings
    decode: DecodeSettings
    models: ModelSettings
    store: StoreSettings

    @classmethod
    def from_environment(cls) -> Self:
        """Read and check everything.

        Raises:
            SettingsError: names the variable, its value's fault and what would be right.
        """
        _refuse_unknown(os.environ)
        return cls(
            _read(ApiSettings),
            _read(FetchSettings),
            _read(DecodeSettings),
            _read(ModelSettings),
            _read(StoreSettings),
        )


def _read(settings: type[S]) -> S:
    try:
        return settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_in_words(fault) for fault in error.errors())) from None


def _in_words(fault: ErrorDetails) -> str:
    field = str(fault["loc"][0])
    given = "" if field in _SECRET else f"={fault['input']!r}"
    reason = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{ENV_PREFIX}{field.upper()}{given}: {reason}"


def _refuse_unknown(names: Collection[str]) -> None:
    """A misspelt variable would be ignored: with `API_KEY` for `API_KEYS` everybody may ask.

    What is set in the same shell for the command line is not misspelt: `SERVER`,
    and `API_KEY` or `API_KEY_FILE` where the service has keys, too.
    """
    known = {field.upper() for one in CLASSES for field in one.model_fields}
    locked = {f"{ENV_PREFIX}API_KEYS{end}" for end in ("", "_FILE")} & {
        one.upper() for one in names
    }
    clients = {"SERVER", "API_KEY", "API_KEY_FILE"} if locked else {"SERVER"}
    for name in sorted(names):
        own = name.upper().removeprefix(ENV_PREFIX)
        if own in clients:
            continue
        if name.upper().startswith(ENV_PREFIX) and own not in known:
            # Compared without the prefix, which makes any two names similar.
            near = difflib.get_close_matches(own, known, n=1, cutoff=0.8)
            hint = f"; did you mean {ENV_PREFIX}{near[0]}?" if near else ""
            raise SettingsError(f"{name} is no setting{hint}")
