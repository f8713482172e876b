"""The compose file, started: TLS, Prometheus; Grafana where a registry has its image."""

import json
import os
import subprocess
import time
from pathlib import Path

import requests
import yaml

from image_search import Client
from tests.container import service, use
from tests.container.documented import shell
from tests.container.engine import PROJECT, check, docker, open_files, say
from tests.deploy.compose import COMPOSE, FOLDER

_OTHERS = {"PROXY_IMAGE": "caddy:2.8.4", "PROMETHEUS_IMAGE": "prom/prometheus:v2.53.2"}
_OWN = "image-search-others"
_DOCKERFILE = """\
FROM python:3.11-slim-bookworm
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends caddy prometheus \\
    && install -d -o 65534 -g 65534 /prometheus
"""
_HTTPS, _HTTP = "8443", "8080"
_AUTHORITY = "/data/caddy/pki/authorities/local/root.crt"


def images() -> dict[str, str]:
    """Images of Caddy and Prometheus: a registry's, or made of Debian's packages."""
    if all("Status:" in docker("pull", name, fails=True) for name in _OTHERS.values()):
        return {}
    say("  no registry has Caddy and Prometheus: Debian's packages are taken, Grafana is left out")
    command = ["docker", "build", "-q", "-t", _OWN, "-"]
    subprocess.run(command, input=_DOCKERFILE.encode(), check=True, capture_output=True)
    return dict.fromkeys(_OTHERS, _OWN)


def started(image: str, kind: str, folder: Path) -> None:
    """Start it, use it by way of the proxy, see that Prometheus has its metrics, end it."""
    if not (FOLDER / "keys").exists():
        shell("sudo ./make-keys", FOLDER)
    others = images()
    override = folder / "override.yaml"
    override.write_text(yaml.safe_dump(_override(kind, bool(others))))
    ports = {"HTTP_PORT": _HTTP, "HTTPS_PORT": _HTTPS}
    environment = {**os.environ, **others, **ports, "IMAGE": image, "SITE": "localhost"}
    base = [COMPOSE, "-f", str(FOLDER / "compose.yaml"), "-f", str(override)]
    wanted = ["image-search", "proxy", "prometheus", *([] if others else ["grafana"])]
    try:
        _compose([*base, "up", "--detach", "--wait", *wanted], environment)
        _used(others)
    finally:
        _compose([*base, "down", "--volumes"], environment)


def _override(kind: str, own: bool) -> dict[str, object]:
    """What a machine without the internet has otherwise."""
    words = service.OFFLINE[kind].replace("--env ", "").split()
    one: dict[str, object] = {
        "environment": dict(word.split("=", 1) for word in words),
        "ulimits": {"nofile": open_files()},
    }
    services: dict[str, object] = {"image-search": one}
    return {"services": {**services, **({"prometheus": {"user": "65534"}} if own else {})}}


def _compose(command: list[str], environment: dict[str, str]) -> None:
    say(f"$ docker compose {' '.join(command[1:]).replace(str(PROJECT) + '/', '')}")
    subprocess.run(command, env=environment, check=True, capture_output=True)


def _used(others: dict[str, str]) -> None:
    key = (FOLDER / "keys" / "keys").read_text().split()[2]
    authority = docker("exec", "image-search-proxy-1", "cat", _AUTHORITY)
    bundle = FOLDER / "keys" / "authority.pem"
    bundle.write_text(authority)
    os.environ["SSL_CERT_FILE"] = str(bundle)
    url = f"https://localhost:{_HTTPS}"
    with Client(url, api_key=key) as client:
        use.index_search_detect(client)
    refused = requests.get(f"{url}/metrics", verify=str(bundle), timeout=30)
    check(refused.status_code == 403, "by TLS; the proxy refuses /metrics")
    check(_scraped(), "Prometheus has the service's metrics and the alerts")
    ours = "label=com.docker.compose.project=image-search"
    listed = docker("ps", "--filter", ours, "--format", "{{.Names}}: {{.Status}}")
    say("  " + ", ".join(listed.splitlines()))


def _scraped() -> bool:
    found = json.loads(docker("inspect", "image-search-prometheus-1"))[0]["NetworkSettings"]
    address = next(net["IPAddress"] for net in found["Networks"].values() if net["IPAddress"])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = requests.get(
            f"http://{address}:9090/api/v1/query?query=image_search_ready", timeout=9
        )
        rules = requests.get(f"http://{address}:9090/api/v1/rules", timeout=9).json()
        if answer.json()["data"]["result"] and rules["data"]["groups"]:
            return True
        time.sleep(1)
    return False
