"""The rows whose text has words of a query, by the text index.

LanceDB's own way to it reads the newest version of the table, and takes some milliseconds more for
what the engine answers in one: here the request's snapshot is searched itself.
"""

from store.metadata.filters import ALWAYS
from store.snapshot.fragments import ROW_ID, RowIds
from store.snapshot.snapshot import Snapshot


def matching(
    snapshot: Snapshot, text: str, count: int, where: str, *, every_word: bool = False
) -> RowIds:
    """The rows whose text has any of the words, or every one, by BM25, then id. Blocks.

    Of more rows with the last one's score the engine names some, the same ones each time.

    Args:
        snapshot: to search.
        text: plain words.
        count: how many rows at most.
        where: an SQL predicate; applied before the ranking.
        every_word: leave out what has only some of them.

    Returns:
        The rows, best first.
    """
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
    found = scanner.to_table()
    scores = found["_score"].to_numpy().astype(float)
    return snapshot.ranked(found[ROW_ID].to_numpy(), -scores, slice(0, count))[0]
