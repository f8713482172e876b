"""Before any worker starts: is everything there that serving needs?

BentoML starts a crashed worker again and again, so what can be known beforehand is checked once,
in a child process of the supervisor: it may need torch and LanceDB, which the supervisor must not
hold. `python -m api.preflight` runs the same checks by hand.
"""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

from api.settings import ENV_PREFIX, Settings, SettingsError
from runners.errors import RunnerError
from runners.preflight import ensure_weights
from runners.weights import clip_source, identity_of, sha256_of, yolo_source
from store.errors import StoreError


def prepare(settings: Settings) -> None:
    """Check in a child process, then settle what the workers inherit.

    Raises:
        SystemExit: something is missing; the child has said what, in one line.
    """
    _run_in_child()
    os.environ.update(_absolute_paths(settings))


def _absolute_paths(settings: Settings) -> dict[str, str]:
    """Settings that name files, as the person meant them who starts the service.

    The workers of a Bento run in the Bento's own folder (BentoML 1.4.39), so that a relative path
    would lead them there: a table in it would be lost with that version of the Bento.
    """
    store, models = settings.store, settings.models
    paths = {"CACHE_DIR": str(models.cache_dir.absolute())}
    if "://" not in store.store_uri:
        paths["STORE_URI"] = str(Path(store.store_uri).absolute())
    if models.models == "pretrained":
        sources = {"CLIP_PRETRAINED": clip_source(models), "YOLO_WEIGHTS": yolo_source(models)}
        paths.update({name: str(one.path) for name, one in sources.items() if one.path})
        clip = sources["CLIP_PRETRAINED"]
        if clip.path:
            # A worker that starts again must load the same file: a table has one model.
            paths["CLIP_SHA256"] = sha256_of(clip.path)
    return {ENV_PREFIX + name: path for name, path in paths.items()}


def _run_in_child() -> None:
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
    from store.engine import check_model  # noqa: PLC0415 - Arrow: only here, in the child

    settings = Settings.from_environment()
    ensure_weights(settings.models)
    clip = clip_source(settings.models)
    asyncio.run(check_model(settings.store, clip.architecture, identity_of(clip)))


def main() -> int:
    """Say what is wrong in one line; the exit status is 0 when everything is there."""
    # Downloads are told of, as they may take minutes.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("runners").setLevel(logging.INFO)
    try:
        check()
    except (SettingsError, RunnerError, StoreError) as error:
        print(f"image-search cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
