"""Fence: a commit that changes nothing, and that no change planned before it can pass.

Lance refuses a commit by looking at each one made since the version that it was planned at. Of a
version that upkeep has removed it sees nothing: what a machine had planned, stood still with, and
committed minutes later would bring back rows that were replaced meanwhile. So a fence is raised
before versions are removed, and is not removed itself before there is a later one: whatever comes
from before it finds it in its way. Joining fragments is refused so, too; an index made from then
knows less rows than there are, which harms nobody.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lance import LanceDataset


def raise_fence(dataset: "LanceDataset") -> None:
    """Raises one at the latest version. Blocks.

    Raises:
        Exception: Lance's; `store.table.faults.is_conflict` where another commit came first.
    """
    from lance import LanceDataset, LanceOperation, Transaction  # noqa: PLC0415 - see store.table.connection

    fragments = [each.metadata for each in dataset.get_fragments()]
    same = LanceOperation.Merge(fragments, dataset.lance_schema)
    options = dataset.latest_storage_options()
    LanceDataset.commit(
        dataset, Transaction(dataset.version, same), max_retries=0, storage_options=options
    )
