"""The chart's examples through lint, Kubernetes' schemas and checkov; broken ones are refused.

The compose files through Docker's compose.

    export HELM=$(uv run python -m tests.deploy.helm /tmp/tools)
    uv run --group deploy python -m tests.deploy.matrix

takes a minute or two; the exit status is 0 when all is as it should be.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import yaml
from jsonschema import Draft7Validator

from tests.deploy.chart import (
    BROKEN,
    CHART,
    EXAMPLES,
    HELM,
    PROJECT,
    SCHEMAS,
    Manifest,
    RefusedError,
    helm,
    render,
)
from tests.deploy.compose import COMBINATIONS, config

VERSIONS = ("1.30", "1.37")
"""The oldest and the newest Kubernetes whose schemas are asked."""
ACCEPTED: dict[str, str] = yaml.safe_load((PROJECT / "tests/deploy/checkov.yaml").read_text())


def main() -> int:
    """Print a line for each values file; 1 where one is not as it should be."""
    if not HELM:
        sys.exit("helm is not on the PATH: HELM names another one")
    faults = [*_examples(), *_broken(), *_compose()]
    print(f"{len(EXAMPLES)} values files, {len(BROKEN)} broken ones: {len(faults)} faults")
    return 1 if faults else 0


def _examples() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in EXAMPLES:
            helm("lint", "--strict", "--quiet", str(CHART), "--values", str(path))
            manifests = render(path)
            (folder / path.name).write_text(yaml.safe_dump_all(manifests))
            wrong = [fault for one in manifests for fault in _schema_faults(one)]
            print(f"{path.stem:18} {len(manifests)} manifests {'; '.join(wrong) or 'valid'}")
            yield from wrong
        yield from _checkov(folder)


def _schema_faults(manifest: Manifest) -> Iterator[str]:
    """What Kubernetes, or the resource's own schema, finds in a manifest."""
    kind = manifest["kind"]
    if kind in SCHEMAS:
        schema = SCHEMAS[kind]
        if manifest["apiVersion"] != f"{schema['group']}/{schema['version']}":
            yield f"{kind}: {manifest['apiVersion']}"
        for fault in Draft7Validator(_closed(schema["schema"])).iter_errors(manifest):
            yield f"{kind}: {fault.message}"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as fault:
            yield f"{kind} {version}: {fault}"


def _closed(schema: object) -> object:
    """A schema that allows no unknown properties, as the API server warns of them."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and "metadata" not in schema["properties"]:
        closed.setdefault("additionalProperties", False)
    return closed


def _checkov(folder: Path) -> Iterator[str]:
    """What checkov finds and nobody has looked at; and what has been, but is not found any more."""
    command = ["uvx", "checkov", "--directory", str(folder), "--framework", "kubernetes"]
    done = subprocess.run(
        [*command, "--output", "json", "--compact", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    failed = report["results"]["failed_checks"]
    found = {check["check_id"] for check in failed}
    print(f"checkov: {report['summary']['passed']} passed, {len(failed)} failed of {sorted(found)}")
    yield from (f"checkov {one}: nobody has looked at it" for one in sorted(found - set(ACCEPTED)))
    yield from (f"checkov {one}: accepted, but passed" for one in sorted(set(ACCEPTED) - found))


def _broken() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        values = Path(name) / "values.yaml"
        for broken in BROKEN:
            values.write_text(yaml.safe_dump(broken["values"]))
            try:
                render(values)
            except RefusedError as refused:
                print(f"refused: {broken['name']}: {str(refused).strip().splitlines()[0][:150]}")
            else:
                yield f"{broken['name']}: rendered"


def _compose() -> Iterator[str]:
    for files in COMBINATIONS:
        try:
            services = config(*files)["services"]
        except subprocess.CalledProcessError as refused:
            yield f"{' '.join(files)}: {refused.stderr.strip()}"
        else:
            print(f"docker compose config: {' '.join(files)}: {', '.join(sorted(services))}")


if __name__ == "__main__":
    sys.exit(main())
