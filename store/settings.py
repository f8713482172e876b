"""Settings of the index."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """Where the index lies and how it is written and kept."""

    model_config = SettingsConfigDict(env_prefix="IMAGE_SEARCH_", frozen=True)

    store_uri: str = Field(
        default="./data/index",
        min_length=1,
        description="LanceDB database: a folder or an object-store URI",
    )
    store_max_commit_rows: int = Field(
        default=256,
        ge=1,
        le=10_000,
        description="how many waiting adds and deletes one commit takes at most",
    )
    store_queue_size: int = Field(
        default=1024,
        ge=1,
        le=100_000,
        description="how many adds and deletes may wait for a commit before callers are held back",
    )
    store_compact_every: int = Field(
        default=30,
        ge=1,
        le=1000,
        description="commits between two compactions of the table",
    )
    store_keep_versions_minutes: int = Field(
        default=60,
        ge=10,
        le=1_000_000,
        description="age in minutes up to which old versions of the table are kept on disk",
    )
    store_cache_mb: int = Field(
        default=256,
        ge=16,
        le=1_000_000,
        description="MiB of memory for LanceDB's index cache, and as much again for its metadata",
    )

    @field_validator("store_uri")
    @classmethod
    def _expand_home(cls, value: str) -> str:
        return str(Path(value).expanduser()) if value.startswith("~") else value
