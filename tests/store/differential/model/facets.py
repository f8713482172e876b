"""What the images have under a key, said a second time."""

from collections import Counter
from typing import Any

from store.schemas import Facet
from tests.store.differential.model.table import ModelTable
from tests.store.differential.model.values import as_json_value

LABELS = {"list": "list of strings"}
LONGEST_CHOICE = 200
CHOICES = 100


def facet(table: ModelTable, key: str) -> Facet:
    """What the rows of a table have under one of its keys."""
    kind = table.columns[key]
    held = [row.values[key] for row in table.rows.values() if key in row.values]
    label = LABELS.get(kind, kind)
    if kind in ("integer", "float", "timestamp"):
        ordered = sorted(float(each) if kind == "float" else each for each in held)
        ends = [as_json_value(each) for each in (ordered[:1] + ordered[-1:])] or [None, None]
        return Facet(key, label, len(held), min=ends[0], max=ends[1])
    singles: list[Any] = [one for each in held for one in (each if kind == "list" else [each])]
    short = [each for each in singles if isinstance(each, bool) or len(each) <= LONGEST_CHOICE]
    frequent = sorted(Counter(short).items(), key=lambda pair: (-pair[1], pair[0]))
    more = len(short) < len(singles) or len(frequent) > CHOICES
    return Facet(key, label, len(held), values=frequent[:CHOICES], more=more)
