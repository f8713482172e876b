"""Headers that a host is sent with each download: tokens, a Referer, cookies.

Read from a file, so that no process but the one that downloads ever holds them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from images.errors import UrlError
from images.fetch.urls import Origin, check_url

_MOST_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[!-~](?:[ -~\t]{0,8190}[!-~])?")
# What frames a message, belongs to a connection, or would make an answer another than the picture.
_OWN = re.compile(
    r"host|content-.*|transfer-encoding|te|trailer|connection|keep-alive|upgrade|proxy-.*"
    r"|accept-encoding|expect|range|if-.*",
    re.IGNORECASE,
)
_SCHEMES = ("https", "http")


class HeadersError(Exception):
    """The file of the hosts' headers is not what it should be; the message is one line."""


class HostHeaders:
    """Headers by origin: scheme, host and port.

    A host may be named alone, for its usual ports under both schemes; with a port, for that one; or
    with a scheme, for that alone.
    """

    def __init__(self, by_origin: Mapping[Origin, Mapping[str, str]] | None = None) -> None:
        self._by_origin = dict(by_origin or {})

    @classmethod
    def from_file(cls, path: Path | None) -> Self:
        """Read a file; without one there are none.

        Raises:
            HeadersError: what is wrong with the file, in one line without any of its values.
        """
        by_origin: dict[Origin, Mapping[str, str]] = {}
        for entry, headers in _document(path).items() if path else ():
            checked = _checked_headers(entry, headers)
            for origin in _origins(entry):
                if origin in by_origin:
                    raise HeadersError(f"two entries are for {origin.scheme}://{origin.host}")
                by_origin[origin] = checked
        return cls(by_origin)

    def of(self, origin: Origin) -> Mapping[str, str]:
        """What is sent to this origin besides the usual headers."""
        if not self._by_origin:
            return {}
        return self._by_origin.get(origin._replace(host=origin.host.rstrip(".")), {})


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise HeadersError(f"the file cannot be read: {error.strerror or error}") from None
    if len(text) > _MOST_BYTES:
        raise HeadersError("the file is larger than 1 MiB")
    try:
        document = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        again = f": {error}" if isinstance(error, _RepeatedError) else ""
        raise HeadersError(f"the file is not JSON in UTF-8{again}") from None
    if not isinstance(document, dict):
        raise HeadersError('the file should hold {"HOST": {"NAME": "VALUE"}}')
    return document


class _RepeatedError(ValueError):
    pass


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name.lower() for name, _ in pairs}) < len(pairs):
        raise _RepeatedError("a name stands twice in one object")
    return dict(pairs)


def _origins(entry: str) -> list[Origin]:
    """The origins that an entry of the file is for."""
    urls = [entry] if "://" in entry else [f"{scheme}://{entry}" for scheme in _SCHEMES]
    try:
        checked = [check_url(url) for url in urls]
    except UrlError as error:
        raise HeadersError(f"{_shown(entry)} is no host: {error}") from None
    if any(url.target != "/" or "#" in url.text or "?" in url.text for url in checked):
        raise HeadersError(f"{_shown(entry)} should be a host, HOST:PORT or https://HOST")
    return [one.origin._replace(host=one.origin.host.rstrip(".")) for one in checked]


def _checked_headers(entry: str, headers: Any) -> dict[str, str]:
    if not isinstance(headers, dict):
        raise HeadersError(f'{_shown(entry)} should have {{"NAME": "VALUE"}}')
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise HeadersError(f"{_shown(name)} of {_shown(entry)} is no name of a header")
        if _OWN.fullmatch(name):
            raise HeadersError(f"{name} of {_shown(entry)} is a header that cannot be set")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise HeadersError(
                f"the value of {name} for {_shown(entry)} should be a text of printable ASCII,"
                " without spaces around it"
            )
    return headers


def _shown(text: str) -> str:
    if "@" in text:
        return "a name with a user in it"  # and a password
    return repr(text if len(text) <= 64 else text[:61] + "...")
