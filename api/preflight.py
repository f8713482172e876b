"""Before any worker starts: is everything there that serving needs?

BentoML starts a crashed worker again and again, so what can be known beforehand is checked once,
in a child process of the supervisor: it may need torch and LanceDB, which the supervisor must not
hold. `python -m api.preflight` runs the same checks by hand.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from api.settings import Settings, SettingsError
from runners.errors import RunnerError
from runners.preflight import ensure_weights
from runners.weights import clip_source, identity_of
from store.engine import check_model
from store.errors import StoreError


def run_in_child() -> None:
    """Run the checks in a process of their own.

    Raises:
        SystemExit: something is missing; the child has said what, in one line.
    """
    command = [sys.executable, "-m", "api.preflight"]
    project = Path(__file__).resolve().parent.parent
    child = subprocess.run(command, env=_environment(project), check=False)
    if child.returncode != 0:
        raise SystemExit(child.returncode)


def _environment(project: Path) -> dict[str, str]:
    """The child stands in the same folder, so that relative paths mean the same."""
    paths = [str(project), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def check() -> None:
    """Check the settings, the weights and the table.

    Raises:
        SettingsError: a variable has a senseless value.
        RunnerError: weights are missing, unknown or cannot be downloaded.
        StoreError: the table cannot be opened, or belongs to another model.
    """
    settings = Settings.from_environment()
    ensure_weights(settings.models)
    clip = clip_source(settings.models)
    asyncio.run(check_model(settings.store, clip.architecture, identity_of(clip)))


def main() -> int:
    """Say what is wrong in one line; the exit status is 0 when everything is there."""
    try:
        check()
    except (SettingsError, RunnerError, StoreError) as error:
        print(f"image-search cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
