"""How much a request may hold; apart from what checks it, so that the API needs no Arrow for it."""

MAX_METADATA_CHARS = 65_536
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_TEXT_CHARS = 10_000
