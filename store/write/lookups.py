"""What puts and deletes look up before they are made: which ids and pixels there are."""

from collections import Counter
from collections.abc import Collection

from store.metadata.rows import to_dicts
from store.snapshot.snapshot import Snapshot
from store.write.plan import Twin


def existing(snapshot: Snapshot, ids: Collection[str]) -> set[str]:
    """Which of these ids there are."""
    return set(snapshot.having("id", ids, ["id"])["id"].to_pylist())


def twins(snapshot: Snapshot, pixels: Collection[str], count: int) -> list[Twin]:
    """The oldest rows of each of these pixels, so many that one stays that is not replaced.

    A picture such as "not available" may be there a million times. It must not crowd out the
    others: those of which enough was seen are left out and the rest is looked for again.
    """
    oldest: list[Twin] = []
    left = set(pixels)
    while left:
        limit = count * len(left)  # if so many come, some pixels have `count` of them
        rows = snapshot.having("pixels", left, ["id", "created_at", "pixels"], limit)
        found = [Twin(**row) for row in to_dicts(rows)]
        seen = Counter(twin.pixels for twin in found)
        enough = left if len(found) < limit else {one for one in left if seen[one] >= count}
        oldest += [twin for twin in found if twin.pixels in enough]
        left -= enough
    return oldest
