"""Removes the objects that no image names: of images that were replaced or deleted, or never came.

What a version that is still kept names stays, as it can be restored.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from store.metadata.objects import KEY, has_objects, least_key

if TYPE_CHECKING:
    from lance import LanceDataset
    from lance.fragment import LanceFragment

SETTLED_S = 600.0
"""Age from which objects count: those of an image that is being written are younger."""

Keys = NDArray[np.bytes_]


def unnamed(
    images: "LanceDataset", versions: Sequence[int], objects: "LanceDataset", settled_s: float
) -> list[str]:
    """The sets of objects that no version of the images names. Blocks.

    Args:
        images: the table, at any version.
        versions: of it, all that are kept; one that is removed meanwhile is left out.
        objects: the table of objects.
        settled_s: age from which they count, in seconds.
    """
    before = least_key(time.time() - settled_s)
    # The first object of each: a picture without any has no vectors.
    there = objects.scanner(columns=[KEY], filter=f"n = 0 AND {KEY} < '{before}'").to_table()
    if not len(there):
        return []
    keys = _keys(there[KEY].to_pylist())
    left = keys[~np.isin(keys, _named(images, versions))]
    return [each.decode() for each in left.tolist()]


def _named(images: "LanceDataset", versions: Sequence[int]) -> Keys:
    """The sets that any of these versions names.

    A fragment's files never change, so each is read once. Its deletions do: where versions differ
    in these, each is read by itself.
    """
    seen: defaultdict[Any, set[str]] = defaultdict(set)
    parts = [np.empty(0, "S1")]
    for version in versions:
        try:
            past = images.checkout_version(version)
        except (ValueError, OSError) as error:
            if "not found" not in str(error).lower():
                raise
            continue
        if not has_objects(past.schema):
            continue
        for fragment in past.get_fragments():
            deletions = seen[_files(fragment)]
            if (own := repr(fragment.metadata.deletion_file)) not in deletions:
                deletions.add(own)
                parts.append(_keys_in(fragment))
    return np.unique(np.concatenate(parts))


def _files(fragment: "LanceFragment") -> tuple[Any, ...]:
    files = fragment.metadata.files
    return (fragment.fragment_id, *(each.path for each in files))


def _keys_in(fragment: "LanceFragment") -> Keys:
    found = fragment.scanner(columns=[KEY], filter=f"{KEY} IS NOT NULL").to_table()
    return _keys(found[KEY].to_pylist())


def _keys(texts: Iterable[str]) -> Keys:
    return np.array([each.encode() for each in texts], np.bytes_)
