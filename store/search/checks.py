"""Checks: says beforehand, from the columns there are now, what a call would refuse."""

from collections.abc import Mapping
from typing import Any

from store.errors import FilterError, MetadataError
from store.metadata.columns import Registry
from store.metadata.filters import where_of
from store.metadata.given import CheckedMetadata, leaves_of
from store.schemas import CheckedFilter, NewKeys, SearchQuery
from store.search.facets import check_facets
from store.search.lists.grouping import groups_of
from store.search.lists.sort_keys import order_of
from store.snapshot.latest import Snapshots
from store.table.faults import OpenTable


class Checks:
    """Checks of what is to be stored or asked for, without doing it."""

    opened: OpenTable
    snapshots: Snapshots

    async def check_order(self, query: SearchQuery) -> None:
        """Says beforehand, from the columns there are now, what `find` would refuse of these parts.

        Raises:
            UnknownKeyError: no image has had one of the keys to sort or group by or to count.
            QueryError: the order is none, or images cannot be grouped by the key.
        """
        if query.sort or query.facets or query.group_by is not None:
            with self.opened.reading():
                registry = (await self.snapshots.latest()).registry
                order_of(query.sort, registry)
                check_facets(query.facets, registry)
                groups_of(query, registry)

    async def check_metadata(self, metadata: Any, new: NewKeys | None = None) -> CheckedMetadata:
        """Says beforehand, from the columns there are now, what `upsert` would refuse.

        Args:
            metadata: of an image.
            new: the keys that the table does not have yet are added to these.

        Returns:
            What `NewImage.metadata` is to be: it need not be checked again.

        Raises:
            MetadataError: the metadata cannot be stored.
        """
        checked = CheckedMetadata.of(metadata)
        if checked.given:  # a text fits any columns
            with self.opened.reading():
                refuse_unfit(checked, (await self.snapshots.latest()).registry, new)
        return checked

    async def check_new_keys(self, patch: Any, new: NewKeys) -> None:
        """Refuses a patch of metadata that brings too many keys that the table does not have.

        Raises:
            MetadataLimitError: it does.
        """
        try:
            given = leaves_of(patch)[1] if isinstance(patch, Mapping) else {}
        except MetadataError:  # the patch itself is refused for it
            return
        if keys := [key for key, (_, value) in given.items() if value is not None]:
            with self.opened.reading():
                new.take(keys, (await self.snapshots.latest()).registry.by_key)

    async def check_filter(self, filter: Mapping[str, Any]) -> CheckedFilter:
        """Says beforehand, from the columns there are now, what `search` would refuse.

        Returns:
            The filter for `SearchQuery`, compiled.

        Raises:
            FilterError: the filter is not in the language or does not fit the columns.
        """
        with self.opened.reading():
            registry = (await self.snapshots.latest()).registry
            where = where_of(filter, registry)
            return CheckedFilter(filter, where, (registry.objects, *registry.columns))


def refuse_unfit(checked: CheckedMetadata, registry: Registry, new: NewKeys | None) -> None:
    """Refuses metadata that the columns of now cannot hold; counts the keys that are new.

    Raises:
        MetadataError: it cannot be stored.
    """
    if checked.given:
        checked.place(registry)
        if new is not None:
            new.take(checked.given.keys(), registry.by_key)


def refuse_empty(filter: Any) -> None:
    """Refuses a filter with an empty part: that matches every image without saying so.

    Raises:
        FilterError: it has one.
    """
    if isinstance(filter, Mapping):
        if not filter:
            raise FilterError("the filter has an empty part {}: that would match every image")
        for part in filter.values():
            refuse_empty(part)
    elif isinstance(filter, list):
        for part in filter:
            refuse_empty(part)
