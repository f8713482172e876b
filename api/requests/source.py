"""Source of a request's picture: a url to fetch, or the file that came with the request."""

import hashlib
from dataclasses import dataclass

UPLOAD_PREFIX = "upload:"
INSTEAD_OF_A_PICTURE = ("url", "id", "query")
"""The fields of requests that say which picture is meant; with an uploaded one, none of them, but
where one is added: there they say what it is called."""


@dataclass(frozen=True)
class Source:
    """A picture.

    Attributes:
        url: where it is; of an uploaded one its own, which is not fetched, or `upload_url`.
        data: the file, where it was uploaded.
    """

    url: str
    data: bytes | None = None


def upload_url(data: bytes) -> str:
    """What stands as the url of an uploaded file: the same for the same bytes, whoever sends it."""
    return UPLOAD_PREFIX + hashlib.sha256(data).hexdigest()


def is_upload_url(url: str) -> bool:
    """Whether this is the url of an uploaded file, which nobody can fetch."""
    return url.startswith(UPLOAD_PREFIX)
