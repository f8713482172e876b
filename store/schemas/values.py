"""Values and their bounds: vectors, metadata, ids and how they are made."""

import hashlib
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatVector = NDArray[np.float32]
MetadataValue = str | int | float | bool | list[str]
Metadata = dict[str, Any] | str
"""An object of values by key, which may hold such objects itself; or a text."""

MAX_METADATA_CHARS = 65_536
TEXT_KEY = "$text"
"""Of an object: its free text, which is no key."""
OBJECTS_KEY = "$objects"
"""Of a filter: what the image shows."""
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_SORT_KEYS = 4
MAX_TEXT_CHARS = 10_000
MOST_OBJECTS = 100
"""Of an image."""

MAX_OWN_ID_CHARS = 128
ID_RULE = "1 to 128 of the characters A-Z a-z 0-9 . _ : - and not just . or .."
_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{MAX_OWN_ID_CHARS}}}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether an image may be called so: `ID_RULE`. What is but dots is a step in an address."""
    return _ID.fullmatch(text) is not None and text not in {".", ".."}


def image_id(url: str) -> str:
    """The id of the image at ``url``: the first 32 hex digits of its UTF-8 text's SHA-256."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]
