"""Whether the model explains what several processes were answered, by the order of the change log.

An operation that changed something has a line in the log, and these are done to the model in their
order. One that has none, as it was refused or found nothing to do, must have that answer from the
model as it was at one moment between the question and the answer.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from store.changes.change import Change
from store.schemas import image_id
from tests.store.differential.model.table import ModelTable
from tests.store.differential.model.values import Refused
from tests.store.differential.processes.writer import image_of
from tests.store.support import url_of

Told = dict[str, Any]


def explain(model: ModelTable, told: Sequence[Told], log: Sequence[Change]) -> ModelTable:
    """Does to a model what was done to the table.

    Args:
        model: of the table before.
        told: the operations with their answers.
        log: the changes since, oldest first.

    Returns:
        The model of the table after.

    Raises:
        AssertionError: an answer is not the model's.
    """
    by_id = {each["id"]: each for each in told}
    logged, states = set[str](), [model.copy()]
    for change in log:
        assert change.by.request_id is not None
        done = by_id[change.by.request_id]
        answer = _answer(model, done)
        assert answer == _said(done), f"{done}, the model after {len(logged)}: {answer!r}"
        logged.add(done["id"])
        states.append(model.copy())
    for each in told:
        if each["id"] not in logged:
            possible = states[_first(log, each) : _last(log, each) + 1]
            answers = [_answer(state.copy(), each) for state in possible]
            assert _said(each) in answers, f"{each}, the model: {answers}"
    return model


def _first(log: Sequence[Change], told: Told) -> int:
    """How many changes were surely there when it was asked: a commit before this one's is done."""
    begun = [change for change in log if change.at.timestamp() <= told["began"]]
    return sum(change.commit != begun[-1].commit for change in begun) if begun else 0


def _last(log: Sequence[Change], told: Told) -> int:
    """How many changes may have been there when it was answered."""
    return sum(change.at.timestamp() <= told["ended"] for change in log)


def _said(told: Told) -> Any:
    """What it was answered, as JSON writes it, which tells 1 and 1.0 apart."""
    return json.dumps(told.get("refused", told.get("answer")), sort_keys=True)


def _answer(model: ModelTable, told: Told) -> Any:
    try:
        return json.dumps(DO[told["do"]](model, told), sort_keys=True)
    except Refused as refused:
        return json.dumps(refused.error.__name__)


def _patch(model: ModelTable, told: Told) -> Any:
    own = image_id(url_of(told["row"]))
    return {"metadata": model.metadata(own)} if model.patch(own, told["metadata"]) else None


DO: dict[str, Callable[[ModelTable, Told], Any]] = {
    "drop": lambda model, told: model.drop_column(told["key"]),
    "declare": lambda model, told: model.declare_column(told["key"], told["type"]),
    "delete": lambda model, told: model.delete([image_id(url_of(told["row"]))]),
    "patch": _patch,
    "upsert": lambda model, told: model.upsert(image_of(told)).created,
}
