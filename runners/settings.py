"""Settings of the models: which ones, from which weights, on what device."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX = "IMAGE_SEARCH_"
_LEAST_TOKEN_CHARS = 16


class ModelSettings(BaseSettings):
    """The models' settings, read from `IMAGE_SEARCH_*` environment variables.

    Importing and building this never imports torch.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True)

    models: Literal["pretrained", "demo"] = Field(
        default="pretrained",
        description="`pretrained`, or `demo`: the small models that ship with the project, offline",
    )
    clip_model: str = Field(
        default="ViT-B-32", min_length=1, description="The open_clip architecture of the embeddings"
    )
    clip_pretrained: str = Field(
        default="laion2b_s34b_b79k",
        min_length=1,
        description="A published tag of that architecture, or the path of a checkpoint",
    )
    clip_sha256: str = Field(
        default="", description="If set, the CLIP weights must have this SHA-256"
    )
    yolo_weights: str = Field(
        default="yolo11n.pt",
        min_length=1,
        description="An ultralytics detection model by name, or the path of a checkpoint",
    )
    yolo_sha256: str = Field(
        default="", description="If set, the YOLO weights must have this SHA-256"
    )
    yolo_min_confidence: float = Field(
        default=0.25, ge=0.01, le=1.0, description="Detections below this confidence are dropped"
    )
    device: str = Field(
        default="auto", description="`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, ..."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="What the models compute in; `auto` takes fp16 on a GPU with tensor cores, "
        "bf16 on a CPU with bf16 instructions and fp32 elsewhere",
    )
    runtime: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="What computes the models on a CPU: `torch`; `openvino`; or `auto`, the faster "
        "one by a measurement at the first start",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="CPU threads of each model's process; 0 gives each all cores",
    )
    cache_dir: Path = Field(
        default=Path("~/.cache/image-search"),
        validate_default=True,
        description="Where downloaded YOLO weights (CLIP's go to Hugging Face's cache) and models "
        "that are converted for OpenVINO are kept",
    )

    clip_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Comma-separated addresses of CLIP services on other hosts, such as "
        "`http://gpu1:3000`, in place of one here",
    )
    yolo_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Likewise of YOLO services",
    )
    model_token: str = Field(
        default="",
        description="Secret that a model service on a port of its own wants of every call, and "
        "that is sent to those of `CLIP_URLS` and `YOLO_URLS`",
    )

    @property
    def names_clip(self) -> bool:
        """Whether they say which CLIP model, and not only the defaults do."""
        named = {"clip_model", "clip_pretrained"} & self.model_fields_set
        return self.models == "demo" or bool(named)

    @field_validator("clip_urls", "yolo_urls", mode="before")
    @classmethod
    def _check_urls(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        urls = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        for url in urls:
            _check_url(url)
        if len(set(urls)) < len(urls):
            raise ValueError("names a service twice")
        return urls

    @field_validator("model_token")
    @classmethod
    def _check_token(cls, value: str) -> str:
        if value and not re.fullmatch(rf"[!-~]{{{_LEAST_TOKEN_CHARS},}}", value):
            raise ValueError(
                f"use {_LEAST_TOKEN_CHARS} printable ASCII characters or more without spaces, as "
                "`openssl rand -hex 32` makes"
            )
        return value

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        value = value.strip().lower()
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            raise ValueError("use auto, cpu, cuda or cuda:N")
        return value

    @field_validator("clip_sha256", "yolo_sha256")
    @classmethod
    def _check_sha256(cls, value: str) -> str:
        value = value.strip().lower()
        if value and not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError("use the 64 hexadecimal digits of a SHA-256, or nothing")
        return value

    @field_validator("cache_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError("there is no home folder here; give an absolute path") from error


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        port_is_valid = False
    is_root = port_is_valid and not (parts.path or parts.query or parts.fragment or parts.username)
    if not is_root or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a service, such as http://gpu1:3000")
