"""One stage for the whole corpus, and what each table came to on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.guard.case import FETCHED, Case, sent
from tests.guard.judge import Outcome
from tests.guard.stage.stage import Stage
from tests.guard.stage.watch import Watch, workers
from tests.guard.tables import TABLES, filters


@dataclass(frozen=True)
class Kind:
    """What a table came to, and what it did to the service."""

    outcomes: dict[str, Outcome]
    workers: tuple[dict[str, list[int]], dict[str, list[int]]]
    watch: Watch
    dialled: set[tuple[str, int]]


Ask = Callable[[str], Kind]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The service, with the images that the filters are about."""
    with Stage(tmp_path_factory.mktemp("stage")) as stood_up:
        for number, metadata in enumerate(filters.STORED):
            body: dict[str, Any] = {
                "url": f"http://{stood_up.host()}/{number}",
                "metadata": metadata,
            }
            added = stood_up.ask(sent("post_image_to_index", body, FETCHED))
            assert added.status == 200, added
        yield stood_up


@pytest.fixture(scope="session")
def asked(stage: Stage) -> Ask:
    """Asks all rows of a table at once, the first time that it is needed."""
    kinds: dict[str, Kind] = {}

    def ask(table: str) -> Kind:
        if table not in kinds:
            kinds[table] = _asked(stage, rows(stage, table))
        return kinds[table]

    return ask


def rows(stage: Stage, table: str) -> list[Case]:
    """The rows of a table that this machine can ask."""
    return [case for case in TABLES[table] if stage.box is not None or not case.needs_box]


def _asked(stage: Stage, cases: list[Case]) -> Kind:
    assert stage.service.process is not None
    supervisor = stage.service.process.pid
    before = workers(supervisor)
    with Watch(supervisor) as watch:
        outcomes = stage.ask_all(cases)
    after = workers(supervisor)
    titles = [case.title for case in cases]
    return Kind(
        dict(zip(titles, outcomes, strict=True)), (before, after), watch, set(stage.site.dialled)
    )
