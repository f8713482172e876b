"""Checks of what the service needs: machine, settings, keys, weights and table.

They may need torch and LanceDB: a child process makes them, see `api.serving.preflight`.
"""

import asyncio
import logging
import os
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
    check_libraries,
    check_memory,
)
from api.serving.table_model import as_variables, is_made_by, own_model
from api.settings import ENV_PREFIX, ApiSettings, Settings, SettingsError
from images.fetch.headers import HeadersError, HostHeaders
from runners.device.cgroups import memory_limit
from runners.errors import RunnerError
from runners.preflight import ensure_weights
from runners.settings import ModelSettings
from runners.weights.source import clip_source, identity_of
from store.schemas import ModelIdentity

MODEL_OF = {"ClipEmbedder": {"clip"}, "YoloDetector": {"yolo"}}
TOKEN = f"{ENV_PREFIX}MODEL_TOKEN, the same on all hosts: `openssl rand -hex 32` makes one"
logger = logging.getLogger(__name__)


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
            raise SettingsError(f"{ENV_PREFIX}{name} needs {TOKEN}")


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
