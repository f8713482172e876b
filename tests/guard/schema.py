"""schemathesis over the whole OpenAPI document, against the corpus's service.

    uv run python -m tests.guard.schema --examples 1000

It makes up requests that fit the document and requests that do not, for every route, and checks
that no answer is a fault (5xx), undocumented (status, content type, headers) or of another shape
than the document says, and that what does not fit is refused.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.guard.case import FETCHED, sent
from tests.guard.oracle.names import gives
from tests.guard.stage.stage import AUTHORIZED, Stage

PICTURES = 8
KNOWN = "GUARD_SCHEMA_KNOWN"
"""Environment variable that tells the hooks what there is."""
# By contract any failure answers 400: a URL that fits the document may well be out of reach.
NOT_CHECKED = "positive_data_acceptance"
LONGEST_S = "90"
"""More than the service works on a request: 256 images are one, and the machine may be busy."""


def check(stage: Stage, examples: int, seed: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; its output says what it did and found.

    Args:
        stage: the running service.
        examples: made-up requests for each route and phase, at most.
        seed: repeats a run.
    """
    service = stage.service.url
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service}/docs.json"]
    command += ["--url", service, "--checks", "all", "--exclude-checks", NOT_CHECKED]
    command += ["--max-examples", str(examples), "--request-timeout", LONGEST_S]
    command += ["--max-response-time", LONGEST_S]
    command += ["--suppress-health-check", "all", "--generation-database", "none"]
    command += ["--warnings", "off", "--no-color", "--continue-on-failure"]
    command += ["--seed", str(seed)] if seed is not None else []
    for name, value in AUTHORIZED.items():
        command += ["--header", f"{name}: {value}"]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.guard.stage.hooks",
        KNOWN: json.dumps(_known(stage)),
    }
    with stage.inside(), tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            command,
            env=environment | {"PYTHONPATH": str(Path.cwd())},
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )


def _known(stage: Stage) -> dict[str, list[str]]:
    """Pictures that can be fetched, and images that are in the index."""
    if stage.names is not None:
        stage.names.put("example.com", gives("8.8.8.8"))  # of the document's examples
    urls = [f"http://{stage.host()}/schema-{number}" for number in range(PICTURES)]
    added = [stage.ask(sent("post_image_to_index", {"url": url}, FETCHED)) for url in urls]
    return {"url": urls, "id": [one.document["id"] for one in added]}


def main() -> None:
    """Run it on a stage of its own, and end as it ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=1000, help="requests per route and phase")
    parser.add_argument("--seed", type=int, help="repeat a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        done = check(stage, options.examples, options.seed)
    print(done.stdout)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
