"""docs/filters.md says what a real index answers."""

from store.metadata.filters import _FILTER_OPERATORS, _KEY_OPERATORS
from store.metadata.values import ColumnType
from tests.store.filter_table import CONDITIONS, FILTERS, VALUES, made, written


def test_the_page_says_what_the_index_answers() -> None:
    # After a wanted change: python -m tests.store.filter_table --write
    assert written() == made()


def test_no_operator_and_no_type_is_left_out() -> None:
    shown = str(CONDITIONS) + str(FILTERS)
    assert all(f"'{name}'" in shown for name in (*_KEY_OPERATORS, *_FILTER_OPERATORS))
    assert len(VALUES) == len(ColumnType)
