"""Names of uploaded pictures: what the service says as the url of a file that it was sent."""

import hashlib

_PREFIX = "upload:"


def upload_url(data: bytes) -> str:
    """What stands as the url of an uploaded file: the same for the same bytes, whoever sends it."""
    return _PREFIX + hashlib.sha256(data).hexdigest()


def is_upload_url(url: str) -> bool:
    """Whether this is the url of an uploaded file, which nobody can fetch."""
    return url.startswith(_PREFIX)
