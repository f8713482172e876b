"""The page of metrics, the dashboard and the alerts speak of the metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from prometheus_client import REGISTRY

import api.serving.gauges  # noqa: F401 - defines metrics, as the next two do
import runners.serving.batches  # noqa: F401
from api.telemetry import metrics as instruments  # noqa: F401

PROJECT = Path(__file__).resolve().parent.parent
PAGE = (PROJECT / "docs" / "monitoring.md").read_text()
DASHBOARD = json.loads((PROJECT / "monitoring" / "grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((PROJECT / "monitoring" / "prometheus-alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

OF_BENTOML = {"bentoml_service_request_total", "up"} | {
    f"bentoml_service_request_duration_seconds_{part}" for part in ("bucket", "sum", "count")
}
"""Those that are used; tests/serve sees that BentoML has them."""


def defined() -> dict[str, tuple[str, str]]:
    """Each metric's type and labels by its name, as Prometheus sees it."""
    found = {}
    for metric in set(REGISTRY._collector_to_names):
        name = getattr(metric, "_name", "")
        if name.startswith("image_search_"):
            kind = metric._type  # type: ignore[attr-defined]
            name += "_total" if kind == "counter" else ""
            found[name] = (kind, ", ".join(metric._labelnames))  # type: ignore[attr-defined]
    return found


def series() -> set[str]:
    """The names that a query may have."""
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return OF_BENTOML | {
        name + part for name, (kind, _) in defined().items() for part in parts.get(kind, ("",))
    }


def queries() -> Iterator[str]:
    for panel in PANELS:
        yield from (target["expr"] for target in panel["targets"])
    yield from (rule["expr"] for rule in RULES)


def selectors(node: Any) -> Iterator[Any]:
    """The selectors in a parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for inside in ("expr", "lhs", "rhs", "vector_selector"):
        if (child := getattr(node, inside, None)) is not None:
            yield from selectors(child)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


def test_the_page_lists_each_metric_with_its_type_and_labels() -> None:
    rows = re.findall(r"^\| `(image_search_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows})
    assert {name: (kind, labels.strip()) for name, kind, labels in rows} == defined()


def test_each_query_parses_and_asks_for_what_there_is() -> None:
    labels = {name: {"job", *own.split(", ")} for name, (_, own) in defined().items()}
    for query in queries():
        asked = list(selectors(promql_parser.parse(query.replace("$__rate_interval", "5m"))))
        assert asked, query
        for one in asked:
            assert one.name in series(), query
            metric = re.sub("_(bucket|sum|count)$", "", one.name)
            if metric in labels:
                assert {each.name for each in one.matchers.matchers} <= labels[metric], query


def test_the_dashboard_can_be_imported() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert {one["name"] for one in DASHBOARD["templating"]["list"]} >= {"datasource", "job"}
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in sources)


def test_no_two_panels_overlap() -> None:
    taken: dict[tuple[int, int], int] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"]


def test_each_metric_has_a_place_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    missing = {name for name in defined() if name not in shown}
    assert missing == {"image_search_index_searches_in_flight"}


def test_each_alert_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["alert"] in PAGE
