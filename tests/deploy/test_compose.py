"""The compose files: their services may do no more than they need, and name what there is.

`python -m tests.deploy.matrix` has compose itself read them, and `python -m tests.container` starts
them.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import CLASSES, ENV_PREFIX
from tests.deploy.compose import COMBINATIONS, FOLDER, PROJECT

FILES = sorted({name for names in COMBINATIONS for name in names})
READ = {file: yaml.safe_load((FOLDER / file).read_text())["services"] for file in FILES}
SERVICES: dict[str, dict[str, Any]] = {
    name: service
    for services in READ.values()
    for name, service in services.items()
    if "image" in service
}
ALERTS = yaml.safe_load((PROJECT / "monitoring" / "prometheus-alerts.yaml").read_text())
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
(TARGETS,) = PROMETHEUS["scrape_configs"]
CADDYFILE = (FOLDER / "Caddyfile").read_text()
MADE = {"./keys"}
"""Mounted, and made by `make-keys`."""


def test_no_compose_file_is_left_out() -> None:
    named = {path.name for path in FOLDER.glob("*.yaml")}
    assert named == {*FILES, "prometheus.yaml"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_do_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", ())) <= {"NET_BIND_SERVICE"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert not service["image"].endswith(":latest")


def test_each_variable_is_a_setting() -> None:
    settings = {ENV_PREFIX + name.upper() for one in CLASSES for name in one.model_fields}
    given = [one for each in READ.values() for one in each.values()]
    variables = {name for one in given for name in one.get("environment", ())}
    assert {name for name in variables if name.startswith(ENV_PREFIX)} <= settings


def test_only_the_proxy_is_reached_from_outside() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert set(published) == {"proxy", "grafana", "clip", "yolo"}
    assert all(port.startswith("127.0.0.1:") for port in published["grafana"])
    # Whoever runs models on a host of their own names its address in the network of both.
    for name in ("clip", "yolo"):
        assert all(port.startswith("${ADDRESS:-127.0.0.1}:") for port in published[name])


def test_models_apart_do_not_start_without_their_secret() -> None:
    for service in (READ["apart.yaml"]["image-search"], READ["models.yaml"]["clip"]):
        given = service["environment"]["IMAGE_SEARCH_MODEL_TOKEN"]
        assert given.startswith("${IMAGE_SEARCH_MODEL_TOKEN:?")


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or source in MADE or (FOLDER / source).exists()


def test_prometheus_asks_the_service_by_the_name_that_the_alerts_have() -> None:
    assert TARGETS["static_configs"] == [{"targets": ["image-search:3000"]}]
    jobs = set(re.findall(r'job="([^"]+)"', str(ALERTS)))
    assert jobs == {TARGETS["job_name"]}
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert f"/etc/prometheus/{PROMETHEUS['rule_files'][0]}" in mounted


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provided = yaml.safe_load((FOLDER / "grafana/datasources/prometheus.yaml").read_text())
    boards = yaml.safe_load((FOLDER / "grafana/dashboards/image-search.yaml").read_text())
    (source,), (provider,) = provided["datasources"], boards["providers"]
    assert source["url"] == "http://prometheus:9090"
    shared = set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert shared == {"monitoring"}
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    assert f"{provider['options']['path']}/image-search.json" in mounted


def test_the_proxy_passes_no_metrics_and_nothing_that_clients_say_of_themselves() -> None:
    assert "@metrics path /metrics" in CADDYFILE
    assert "respond @metrics 403" in CADDYFILE
    assert "header_up -X-Forwarded-Host" in CADDYFILE
    assert "reverse_proxy image-search:3000" in CADDYFILE


def test_the_keys_are_made_for_those_who_read_them(tmp_path: Path) -> None:
    script = tmp_path / "make-keys"
    # Root alone may give files away; what is left is the same.
    script.write_text((FOLDER / "make-keys").read_text().replace("chown -R", "true"))
    said = subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in (tmp_path / "keys/keys").read_text().splitlines()]
    assert [line[:2] for line in lines] == [["ops", "admin"], ["prometheus", "read"]]
    assert all(re.fullmatch("[0-9a-f]{64}", line[2]) for line in lines)
    assert lines[0][2] in said
    assert (tmp_path / "keys/metrics").read_text() == lines[1][2]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes == {"keys": 0o400, "metrics": 0o440, "grafana": 0o440}
    again = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "keys/ is there already" in again.stderr
