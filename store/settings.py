"""Settings of the index."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """Where the index lies, how it is written and how upkeep goes."""

    model_config = SettingsConfigDict(env_prefix="IMAGE_SEARCH_", frozen=True)

    store_uri: str = Field(
        default="./data/index",
        min_length=1,
        description="LanceDB database: a folder or an object-store URI",
    )
    store_max_commit_rows: int = Field(
        default=256,
        ge=1,
        le=1000,
        description="how many waiting adds and deletes one commit takes at most",
    )
    store_queue_size: int = Field(
        default=1024,
        ge=1,
        le=100_000,
        description="how many adds and deletes may wait for a commit before callers are held back",
    )
    store_sync: bool = Field(
        default=True,
        description="wait for the disk before an add is answered, so that it survives a power cut",
    )
    store_upkeep_every: int = Field(
        default=30, ge=1, le=1000, description="commits of a process between two rounds of upkeep"
    )
    store_upkeep_minutes: float = Field(
        default=10,
        gt=0,
        le=1440,
        description="minutes between two rounds of upkeep, however few commits there were",
    )
    store_vector_index_rows: int = Field(
        default=10_000,
        ge=1000,
        le=1_000_000_000,
        description="images from which on a vector index is kept; below, searches are exact",
    )
    store_keep_versions_minutes: int = Field(
        default=60,
        ge=10,
        le=1_000_000,
        description="age in minutes up to which old versions of the table are kept on disk,"
        " to be restored",
    )
    store_log_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="age in days up to which the log of changes is kept, a GiB of it at the most",
    )
    store_cache_mb: int = Field(
        default=256,
        ge=16,
        le=1_000_000,
        description="MiB of memory for each of LanceDB's two index caches, of searches and of"
        " the rest; a sixteenth more is for its metadata",
    )
    store_memory_mb: int = Field(
        default=128,
        ge=0,
        le=1_000_000,
        description="MiB at most for images in a process's memory: the newest whole, the metadata"
        " of others; searches read the rest from disk",
    )

    store_shared: bool = Field(
        default=False,
        description="let the group of the index's folder read and write it, too; else its files are"
        " for the service's own user alone",
    )

    @property
    def umask(self) -> int:
        """Permissions that no new file of the service has."""
        return 0o007 if self.store_shared else 0o077

    @field_validator("store_uri")
    @classmethod
    def _as_folder(cls, value: str) -> str:
        """A folder's path, however it was written; an object store's URI as it is."""
        path = value.removeprefix("file://")
        return value if "://" in path else str(Path(path).expanduser())
