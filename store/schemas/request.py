"""What the store is told of a request: who sent it, and how many metadata keys it may bring."""

from collections.abc import Collection
from dataclasses import dataclass

from store.errors import MetadataLimitError


@dataclass(frozen=True)
class Author:
    """Who changes the table, for the change log; nobody in particular without anything.

    Attributes:
        key: the name of their API key.
        address: their IP address.
        request_id: of the request.
    """

    key: str | None = None
    address: str | None = None
    request_id: str | None = None


NOBODY = Author()


class NewKeys:
    """The metadata keys that one request brings to a table: only so many, whatever is in it.

    A table has room for a hundred, and a key stays until it is dropped.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: frozenset[str] = frozenset()

    def take(self, keys: Collection[str], known: Collection[str]) -> None:
        """Counts those of some keys that the table does not know yet.

        Raises:
            MetadataLimitError: they are too many, together with those before.
        """
        keys = self._keys.union(key for key in keys if key not in known)
        if len(keys) > self._most:
            raise MetadataLimitError(
                f"one request may bring at most {self._most} new metadata keys, and this one has"
                f" {len(keys)}: send some of them with a request before, or raise"
                " IMAGE_SEARCH_MAX_NEW_KEYS"
            )
        self._keys = keys
