"""How adding an image can fail: what every image meets, what may pass, and what stays as it is."""

import re
from collections.abc import Mapping
from typing import Any

from image_search import Detector, ImageSearchError, RefusedError, TimedOutError, UnreachableError

_PASSING = frozenset(
    {"host_busy", "deadline", "model_unavailable", "internal", "store_read", "store_write"}
)
"""Codes of errors that may pass, each image's own; it has failed after some attempts."""

_STOPPED = frozenset(
    {"not_ready", "store_closed", "store_open", "store_moved", "disk_full", "disk_read_only"}
    | {"index_damaged", "model_mismatch"}
)
"""Codes of errors that every image meets: the command waits for the service."""

_LATER = frozenset(
    {"host_unreachable", "fetch_timeout", "bad_answer", "overloaded", "upload_broken", "failed"}
)
"""Codes of errors that may pass, but not at once: the next call tries again."""

_STATUS = re.compile(r"the server answered (\d{3}) instead of 200")
"""In the message of `http_status`, whose code is one for all of them."""


def may_pass(failure: Mapping[str, Any]) -> bool:
    """Whether what failed may succeed in a later call: the host is down, or busy, or was slow."""
    code = failure.get("code")
    is_passing_status = code == "http_status" and _may_change(str(failure.get("reason")))
    return is_passing_status or code in _PASSING or code in _STOPPED or code in _LATER


def _may_change(reason: str) -> bool:
    found = _STATUS.search(reason)
    return found is not None and (found[1] == "429" or found[1] >= "500")


class UnavailableError(Exception):
    """The service cannot be reached or used; the message is one line."""


class OtherDetectorError(UnavailableError):
    """The service does not take the objects of a file, which another detector has found."""

    def __init__(self, made: Detector | None, own: Detector | None) -> None:
        found = f"the objects in the file were found with {_named(made)}"
        super().__init__(
            f"{found}, and it indexes none: start it with IMAGE_SEARCH_OBJECTS=on, or index the"
            " file with --without-objects"
            if own is None
            else f"{found}, and its own with {_named(own)}: index the file with --without-objects,"
            " and find them anew with `image-search redetect`"
        )


def _named(detector: Detector | None) -> str:
    return "nothing" if detector is None else f"{detector.name} ({detector.recipe})"


class UploadBrokenError(ImageSearchError):
    """The connection breaks whenever a file is sent, while the service goes on."""

    def __init__(self) -> None:
        super().__init__(
            "the connection breaks whenever the file is sent: it may be larger than the service"
            " takes (IMAGE_SEARCH_MAX_IMAGE_BYTES)",
            "upload_broken",
        )


def is_away(error: ImageSearchError) -> bool:
    """Whether the service cannot be reached, or used by anybody."""
    if isinstance(error, TimedOutError):
        return False
    return isinstance(error, UnreachableError) or error.code in _STOPPED


def attempts(error: ImageSearchError) -> int:
    """How often an image that fails so is sent, in all, before it counts as failed.

    A host that has answered 429 or 5xx was asked again by the service, unless that had too much of
    it at the time: once more is enough.
    """
    if isinstance(error, RefusedError) and error.code not in _PASSING | _STOPPED:
        is_busy_host = error.code == "http_status" and _may_change(error.message)
        return 2 if is_busy_host else 1
    return 4
