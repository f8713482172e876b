"""The Helm chart, rendered by helm itself, and the values files that it is tried with."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
CHART = PROJECT / "deploy" / "helm"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
SCHEMAS = {
    schema["kind"]: schema
    for schema in (
        json.loads(path.read_text()) for path in (PROJECT / "tests/deploy/schemas").glob("*.json")
    )
}
BROKEN: list[dict[str, Any]] = yaml.safe_load((PROJECT / "tests/deploy/broken.yaml").read_text())
HELM = os.environ.get("HELM") or shutil.which("helm") or ""
Manifest = dict[str, Any]


class RefusedError(Exception):
    """Helm would not render the values; the message is what it says."""


def helm(*arguments: str) -> str:
    """What helm prints.

    Raises:
        RefusedError: it ended with an error.
    """
    done = subprocess.run(
        [HELM, *arguments], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    return done.stdout


def render(values: Path) -> list[Manifest]:
    """The manifests that the chart makes of a values file, for the release `pictures`.

    Raises:
        RefusedError: the chart refuses the values.
    """
    text = helm(
        "template", "pictures", str(CHART), "--namespace", "search", "--values", str(values)
    )
    return [one for one in yaml.safe_load_all(text) if one]


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """The specifications of the pods in manifests."""
    return [
        one["spec"]["template"]["spec"]
        for one in manifests
        if one["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job"}
    ]


def containers(manifests: list[Manifest]) -> list[Manifest]:
    """All containers in manifests."""
    return [
        container
        for pod in pods(manifests)
        for container in (*pod["containers"], *pod.get("initContainers", ()))
    ]
