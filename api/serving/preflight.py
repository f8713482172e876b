"""Preflight checks before any worker starts: machine, settings, weights and table.

BentoML starts a crashed worker again and again, so what can be known beforehand is checked once,
in a child process of the supervisor: it may need torch and LanceDB, which the supervisor must not
hold. `python -m api.serving.preflight` runs the same checks by hand.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Collection
from logging.handlers import MemoryHandler
from pathlib import Path

from api.access.keys import KeysFileError
from api.serving.checks import MODEL_OF, TOKEN, check, check_model, logger, models_here
from api.serving.machine import MachineError, check_port, hide_process, raise_descriptor_limit
from api.settings import ENV_PREFIX, Settings, SettingsError
from api.telemetry.tracing import check_tracing
from runners.errors import RunnerError
from runners.preflight import MODELS
from runners.settings import ModelSettings
from runners.weights.source import clip_source, sha256_of, yolo_source
from store.errors import StoreError


def prepare(settings: Settings) -> None:
    """Check here and in a child process, then settle what the workers inherit.

    Raises:
        SystemExit: something is missing; it was said what, in one line.
    """
    try:
        check_tracing()
        check_port(open_to_others=settings.api.locked or settings.api.open)
        raise_descriptor_limit(settings.api.max_in_flight)
    except (SettingsError, MachineError) as error:
        raise SystemExit(_refuse(error)) from None
    settled = _run_in_child()
    os.environ.update(_absolute_paths(settings) | settled)


def prepare_model(settings: Settings, service: str) -> dict[str, str]:
    """Check what a model service needs that is served by itself, here and in a child process.

    Args:
        settings: of the whole service.
        service: name of the model service.

    Returns:
        Environment variables that its workers inherit.

    Raises:
        SystemExit: something is missing; it was said what, in one line.
    """
    try:
        check_tracing()
        if not settings.models.model_token:
            raise SettingsError(f"{service} on a port of its own needs {TOKEN}")  # noqa: TRY301
        check_port(open_to_others=True)
    except (SettingsError, MachineError) as error:
        raise SystemExit(_refuse(error)) from None
    _run_in_child(service)
    return _model_paths(settings.models, MODEL_OF[service])


def _absolute_paths(settings: Settings) -> dict[str, str]:
    """Settings that name files, as the person meant them who starts the service.

    The workers of a Bento run in the Bento's own folder (BentoML 1.4.39), so that a relative path
    would lead them there: a table in it would be lost with that version of the Bento.
    """
    store, paths = settings.store, {}
    if settings.api.api_keys_file is not None:
        paths["API_KEYS_FILE"] = str(settings.api.api_keys_file.absolute())
    if settings.fetch.fetch_headers:
        paths["FETCH_HEADERS"] = str(settings.fetch.fetch_headers.absolute())
    if "://" not in store.store_uri:
        paths["STORE_URI"] = str(Path(store.store_uri).absolute())
    named = {ENV_PREFIX + name: path for name, path in paths.items()}
    return named | _model_paths(settings.models, models_here(settings.models))


def _model_paths(models: ModelSettings, here: Collection[str] = MODELS) -> dict[str, str]:
    """Likewise, of the models that are computed here."""
    paths = {"CACHE_DIR": str(models.cache_dir.absolute())}
    if models.models == "pretrained":
        clip = clip_source(models) if "clip" in here else None
        yolo = yolo_source(models) if "yolo" in here else None
        if clip and clip.path:
            paths["CLIP_PRETRAINED"] = str(clip.path)
            # A worker that starts again must load the same file: a table has one model.
            paths["CLIP_SHA256"] = sha256_of(clip.path)
        if yolo and yolo.path:
            paths["YOLO_WEIGHTS"] = str(yolo.path)
    return {ENV_PREFIX + name: path for name, path in paths.items()}


def _run_in_child(service: str = "") -> dict[str, str]:
    """Check in a process of its own; environment variables that it has settled.

    Args:
        service: name of a model service that is served by itself; empty for the API.
    """
    project = Path(__file__).resolve().parents[2]
    # It stands in the same folder, so that relative paths mean the same.
    paths = [str(project), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    read, write = os.pipe()
    command = [sys.executable, "-m", "api.serving.preflight", str(write), *filter(None, [service])]
    with os.fdopen(read, encoding="utf-8") as told:
        try:
            child = subprocess.run(command, env=environment, check=False, pass_fds=[write])
        finally:
            os.close(write)
        if child.returncode != 0:
            raise SystemExit(child.returncode)
        settled: dict[str, str] = json.loads(told.readline())
    return settled


def main() -> int:
    """Say what is wrong in one line; the exit status is 0 when everything is there."""
    is_hidden = hide_process()
    held = _hold_warnings()
    if not is_hidden:
        logger.warning("/proc is mounted with hidepid: other programs of this user can read keys")
    pipe, service = [*sys.argv[1:], "", ""][:2]
    try:
        settled = check_model(service) if service else check()
    except (SettingsError, KeysFileError, MachineError, RunnerError, StoreError, OSError) as error:
        return _refuse(error)
    held.setTarget(logging.StreamHandler())
    held.flush()
    if pipe:  # of who has started this process
        os.write(int(pipe), f"{json.dumps(settled)}\n".encode())
    return 0


def _hold_warnings() -> MemoryHandler:
    """Keeps what is logged until it is known that the service starts: a refusal is one line."""
    held = MemoryHandler(1 << 10, logging.CRITICAL)
    logging.basicConfig(level=logging.WARNING, handlers=[held])
    logger.setLevel(logging.INFO)
    downloads = logging.getLogger("runners")  # told of at once, as they may take minutes
    downloads.setLevel(logging.INFO)
    downloads.addHandler(logging.StreamHandler())
    downloads.propagate = False
    return held


def _refuse(error: Exception) -> int:
    """Say in one line what is wrong; the exit status for it."""
    detail = error.detail if isinstance(error, StoreError) else ""
    line = " ".join(f"{error} ({detail})".split()) if detail else str(error)
    print(f"image-search cannot start: {line}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
