"""Preflight checks before any worker starts: machine, settings, weights and table.

BentoML starts a crashed worker again and again, so what can be known beforehand is checked once,
in a child process of the supervisor: it may need torch and LanceDB, which the supervisor must not
hold. `python -m api.serving.preflight` runs the same checks by hand.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Collection
from logging.handlers import MemoryHandler
from pathlib import Path

from api.access.keys import (
    READ_BY_OTHERS,
    SETTING,
    Key,
    KeysFileError,
    is_read_by_others,
    read_keys,
)
from api.serving.machine import (
    MachineError,
    check_libraries,
    check_memory,
    check_port,
    hide_process,
    raise_descriptor_limit,
)
from api.serving.table_model import as_variables, is_made_by, own_model
from api.settings import ENV_PREFIX, ApiSettings, Settings, SettingsError
from api.telemetry.tracing import check_tracing
from images.fetch.headers import HeadersError, HostHeaders
from runners.device.cgroups import memory_limit
from runners.errors import RunnerError
from runners.preflight import MODELS, ensure_weights
from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of, sha256_of, yolo_source
from store.errors import StoreError
from store.schemas import ModelIdentity

MODEL_OF = {"ClipEmbedder": {"clip"}, "YoloDetector": {"yolo"}}
_TOKEN = f"{ENV_PREFIX}MODEL_TOKEN, the same on all hosts: `openssl rand -hex 32` makes one"
logger = logging.getLogger(__name__)


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
            raise SettingsError(f"{service} on a port of its own needs {_TOKEN}")  # noqa: TRY301
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


def check() -> dict[str, str]:
    """Check the machine, the settings, the table and the weights.

    Returns:
        Environment variables that the workers need besides: the name of the table's model where
        the settings have none.

    Raises:
        SettingsError: a variable has a senseless value.
        KeysFileError: the file of keys cannot be used, or there is none in it.
        MachineError: memory or a library is missing.
        StoreError: the table cannot be opened, or belongs to another model.
        RunnerError: weights are missing, unknown or cannot be downloaded.
    """
    # Arrow: only here, in the child
    from store.table.open import check_table, close_to_others  # noqa: PLC0415

    settings = Settings.from_environment()
    os.umask(settings.store.umask)
    check_access(settings.api)
    check_headers(settings.fetch.fetch_headers)
    for line in contradictions(settings):
        logger.warning(line)
    check_token(settings.models)
    if models_here(settings.models):
        check_memory(memory_limit())
    check_libraries()
    settled = check_models(settings.models, asyncio.run(check_table(settings.store)))
    close_to_others(settings.store)
    return settled


def check_models(models: ModelSettings, made_by: ModelIdentity | None) -> dict[str, str]:
    """Check that the weights are here, and of the model that made the table.

    Args:
        models: as the environment has them.
        made_by: the model of the table, None where there is no table yet.

    Returns:
        Environment variables that name the table's own model, where the settings name none.
    """
    from store.table.open import mismatch  # noqa: PLC0415 - Arrow

    if models.clip_urls:  # they tell which model they have: `api.pipeline.backend`
        ensure_weights(models, models_here(models))
        return {}
    own = own_model(models, made_by)
    if made_by is not None and not is_made_by(own, made_by):
        source = clip_source(own)
        raise mismatch(made_by, f"{source.architecture} ({identity_of(source)})")
    if own is models:
        ensure_weights(models, models_here(models))
        return {}
    try:
        ensure_weights(own, models_here(own))
    except RunnerError as error:
        raise RunnerError(f"{error}; this is the model of the index, as none is named") from error
    logger.info("no CLIP model is named: the index's own is taken, %s", made_by)
    return as_variables(own)


def models_here(models: ModelSettings) -> set[str]:
    """The models that this machine computes for its API."""
    elsewhere = {"clip": models.clip_urls, "yolo": models.yolo_urls}
    return {name for name, urls in elsewhere.items() if not urls}


def check_token(models: ModelSettings) -> None:
    """Check that there is a token for the models on other hosts.

    Raises:
        SettingsError: there is none.
    """
    for name, urls in (("CLIP_URLS", models.clip_urls), ("YOLO_URLS", models.yolo_urls)):
        if urls and not models.model_token:
            raise SettingsError(f"{ENV_PREFIX}{name} needs {_TOKEN}")


def check_model(service: str) -> dict[str, str]:
    """Check the machine, the settings and the weights of a model service served by itself.

    Raises:
        SettingsError: a variable has a senseless value.
        MachineError: memory or a library is missing.
        RunnerError: weights are missing, unknown or cannot be downloaded.
    """
    settings = Settings.from_environment()
    os.umask(settings.store.umask)
    check_memory(memory_limit())
    ensure_weights(settings.models, MODEL_OF[service])
    return {}


def check_access(api: ApiSettings) -> None:
    """Check who is let in; workers do not, as those of the models are given no keys.

    Raises:
        SettingsError: any web page could do anything.
        KeysFileError: the file of keys cannot be used, or there is none in it.
    """
    if not api.locked and "*" in api.cors_origins:
        raise SettingsError(
            f"{ENV_PREFIX}CORS_ORIGINS=* lets every web page read, add and delete images where"
            f" there are no keys: set {ENV_PREFIX}API_KEYS, or name the origins"
        )
    file = api.api_keys_file
    if file is not None:
        if not read_keys(file, [Key.of_environment(key) for key in api.api_keys]):
            raise KeysFileError(f"{SETTING}={file} holds no key")
        if is_read_by_others(file):
            logger.warning(READ_BY_OTHERS, SETTING, file)


def check_headers(path: Path | None) -> None:
    """Check the file of the hosts' headers, which the API workers alone read.

    Raises:
        SettingsError: it is not what it should be.
    """
    try:
        HostHeaders.from_file(path)
    except HeadersError as error:
        raise SettingsError(f"{ENV_PREFIX}FETCH_HEADERS={path}: {error}") from None
    if path is not None and is_read_by_others(path):
        logger.warning(READ_BY_OTHERS, f"{ENV_PREFIX}FETCH_HEADERS", path)


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


def contradictions(settings: Settings) -> list[str]:
    """Settings that take each other's effect away: a line for each."""
    fetch_s, request_s = settings.fetch.fetch_timeout_s, settings.api.request_timeout_s
    lines = []
    if fetch_s > request_s:
        lines.append(
            f"{ENV_PREFIX}FETCH_TIMEOUT_S={fetch_s:g} is more than a request may take"
            f" ({ENV_PREFIX}REQUEST_TIMEOUT_S={request_s:g}): downloads end with it"
        )
    own = settings.models.model_fields_set & {"clip_pretrained", "clip_model", "yolo_weights"}
    lines += elsewhere(settings.models)
    if settings.models.models == "demo" and own:
        names = ", ".join(f"{ENV_PREFIX}{name.upper()}" for name in sorted(own))
        lines.append(f"{ENV_PREFIX}MODELS=demo has models of its own: {names} is not looked at")
    return lines


def elsewhere(models: ModelSettings) -> list[str]:
    """Settings of models that other hosts have, and which count there: a line for each."""
    lines = []
    for kind, urls in (("clip", models.clip_urls), ("yolo", models.yolo_urls)):
        of_kind = {name for name in models.model_fields_set if name.startswith(f"{kind}_")}
        own = sorted(of_kind - {f"{kind}_urls"})
        if urls and own:
            names = ", ".join(f"{ENV_PREFIX}{name.upper()}" for name in own)
            lines.append(
                f"{ENV_PREFIX}{kind.upper()}_URLS: that model is computed on other hosts, where"
                f" {names} belongs; here it is not looked at"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
