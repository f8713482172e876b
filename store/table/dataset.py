"""A table as pylance sees it, for what LanceDB has no method for."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lance import LanceDataset


def open_dataset(
    uri: str,
    options: dict[str, str] | None,
    *,
    version: int | None = None,
    cache_bytes: int = 16 << 20,
    metadata_bytes: int = 16 << 20,
) -> "LanceDataset":
    """Opens a table with pylance. Blocks.

    Args:
        uri: of the table.
        options: of its object store.
        version: to open; the latest without.
        cache_bytes: of memory for indexes; its own default is 6 GiB.
        metadata_bytes: for metadata; its own default is 1 GiB.
    """
    import lance  # noqa: PLC0415 - see store.table.open

    return lance.dataset(
        uri,
        version=version,
        storage_options=options,
        index_cache_size_bytes=cache_bytes,
        metadata_cache_size_bytes=metadata_bytes,
    )
