"""The rows whose text has words of a query, by the text index.

LanceDB's own way to it reads the newest version of the table, and takes some milliseconds more for
what the engine answers in one: here the request's snapshot is asked itself.

Of several rows at the last place's score the engine names any, now these, now those; short texts
have the same score by the thousand. So all of them are asked for, and put in order.
"""

import numpy as np
import pyarrow as pa

from store.metadata.filters import ALWAYS
from store.search.ranking import Found, ranked
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot

# So many more rows are asked for where the last place is shared.
MAX_TIES = 16_384


def matching(
    snapshot: Snapshot, text: str, count: int, where: str, *, every_word: bool = False
) -> RowIds:
    """The rows whose text has any of the words, or every one, by BM25, then id. Blocks.

    Args:
        snapshot: to search.
        text: plain words.
        count: how many rows at most.
        where: an SQL predicate; applied before the ranking.
        every_word: leave out what has only some of them.

    Returns:
        The rows, best first.
    """
    found = _best(snapshot, text, count + 1, where, every_word=every_word)
    if len(found) > count:
        scores = found["_score"].to_numpy()
        if scores.min() == np.partition(scores, 1)[1]:
            found = _best(snapshot, text, count + MAX_TIES, where, every_word=every_word)
    far = -found["_score"].to_numpy().astype(np.float64)
    return ranked(snapshot, Found(found[ROW_ID].to_numpy(), far), slice(0, count))[0]


def _best(snapshot: Snapshot, text: str, count: int, where: str, *, every_word: bool) -> pa.Table:
    """So many of the best rows, in any order."""
    from lance.query import FullTextOperator, MatchQuery  # noqa: PLC0415 - see store.table.open

    # A MatchQuery takes its text as words: there is no query syntax in it.
    operator = FullTextOperator.AND if every_word else FullTextOperator.OR
    scanner = snapshot.dataset.scanner(
        columns=["_score"],
        with_row_id=True,
        full_text_query=MatchQuery(text, "text", operator=operator),
        filter=None if where == ALWAYS else where,
        prefilter=True,
        limit=count,
    )
    return scanner.to_table()
