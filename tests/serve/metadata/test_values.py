"""Values of every type into one key over HTTP: the service answers what a plain model says."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings

from demo.process import ServiceProcess
from demo.server import PictureServer
from image_search import Client
from tests.store.differential.machine.machine import exact, outcome
from tests.store.differential.model.table import ModelTable
from tests.store.differential.model.values import as_json_value
from tests.store.differential.strategies import any_value, echo, nested, seeded, sent
from tests.store.support import image

KEYS = ["gps.lat", "gps.at", "s'hop\"`"]
LABELS = {"list": "list of strings"}
IMAGES = 5


@pytest.fixture(scope="module")
def own(service: ServiceProcess, pictures: PictureServer) -> Iterator[list[str]]:
    """The ids of some images whose metadata is changed."""
    with Client(service.url) as client:
        ids = [client.add(f"{pictures.url}{n}.jpg?values").id for n in range(IMAGES)]
        yield ids
        client.delete_many(ids=ids)


def patches(rng: Random) -> list[tuple[int, dict[str, Any]]]:
    """Changes of images, mostly of the type that a key has or widens to."""
    return [(rng.randrange(IMAGES), _patch(rng)) for _ in range(rng.randint(4, 10))]


def _patch(rng: Random) -> dict[str, Any]:
    keys = rng.sample(KEYS, rng.randint(1, 2))
    values = {k: any_value(rng) if rng.random() < 0.25 else sent(rng, k) for k in keys}
    patch = nested(rng, values)
    try:
        json.dumps(patch, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # JSON in UTF-8 cannot say it
        return _patch(rng)
    return patch


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(given_patches=seeded(patches), filters=seeded(lambda rng: rng))
@example(
    given_patches=[(0, {"gps": {"lat": 10}}), (1, {"gps.lat": 12.5}), (2, {"gps": {"lat": "x"}})],
    filters=Random(0),
)
def test_values_of_every_type_into_few_keys(
    service: ServiceProcess,
    own: list[str],
    given_patches: list[tuple[int, dict[str, Any]]],
    filters: Random,
) -> None:
    model = ModelTable()
    ids = [model.upsert(image(n)).id for n in range(IMAGES)]
    try:
        with requests.Session() as session:
            for n, patch in given_patches:
                url = f"{service.url}/images/{own[n]}"
                answer = session.patch(url, json={"metadata": patch}, timeout=60)
                _compare(answer, patch, model, ids[n])
            columns = session.get(f"{service.url}/index", timeout=60).json()["columns"]
            wanted = {key: LABELS.get(kind, kind) for key, kind in model.columns.items()}
            assert {key: columns[key] for key in wanted} == wanted
            stored = [row for n in ids if (row := _flat(model, n))]
            for _ in range(8 if stored else 0):
                _filter(service, session, echo(filters, filters.choice(stored)), model, own, ids)
    finally:
        with Client(service.url) as client:
            for each in own:
                client.update(each, None)
            for key in model.columns:
                client.drop_column(key)


def _compare(answer: requests.Response, patch: Any, model: ModelTable, one: str) -> None:
    refused = outcome(lambda: model.patch(one, patch))
    if isinstance(refused, type):
        assert (answer.status_code, answer.json()["code"]) == (400, refused.code), patch  # type: ignore[attr-defined]
        assert "\n" not in answer.json()["message"]
    else:
        assert answer.status_code == 200, (patch, answer.text)
        assert exact(answer.json()["metadata"]) == exact(model.metadata(one)), patch


def _flat(model: ModelTable, one: str) -> dict[str, Any]:
    """An image's values by key, as they come back."""
    return {key: as_json_value(value) for key, value in model.rows[one].values.items()}


def _filter(
    service: ServiceProcess,
    session: requests.Session,
    node: Any,
    model: ModelTable,
    own: list[str],
    ids: list[str],
) -> None:
    body = {"metadata": node, "limit": 1000}
    answer = session.post(f"{service.url}/search_similar_images", json=body, timeout=60)
    wanted = outcome(lambda: model.matching(node))
    if isinstance(wanted, type):
        assert answer.json()["code"] == wanted.code  # type: ignore[attr-defined]
    else:
        found = {hit["id"] for hit in answer.json()["results"]} & set(own)
        assert found == {own[ids.index(one)] for one in wanted}, node
