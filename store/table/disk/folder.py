"""Is the store's folder there, and can a table be kept in it? Tried before anything else."""

import fcntl
import logging
import tempfile
from pathlib import Path

from store.errors import StoreOpenError
from store.settings import StoreSettings
from store.table.disk.lock import is_local
from store.table.disk.space import has_room
from store.table.disk.sync import sync_to_disk
from store.table.faults import FULL

logger = logging.getLogger(__name__)

_PROBE_BYTES = 1 << 20


def check_folder(settings: StoreSettings) -> None:
    """Makes the folder if need be, writes a file in it, locks it, and waits for the disk. Blocks.

    Raises:
        StoreOpenError: something of that fails; it says what.
    """
    if not is_local(settings.store_uri):
        return
    folder = Path(settings.store_uri)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            _lock(probe.fileno())
        if settings.store_sync:
            _sync(folder)
    except OSError as error:
        said = (
            "disk is full" if error.errno in FULL else f"place cannot be written: {error.strerror}"
        )
        raise StoreOpenError(f"IMAGE_SEARCH_STORE_URI: the folder's {said}", str(folder)) from error
    if not has_room(folder):
        logger.warning(
            "the index's disk is nearly full: images cannot be added until there is room"
        )


def refuse_unless_folder(uri: str) -> None:
    """Looks before connecting, which would make the folder. Blocks.

    Raises:
        StoreOpenError: nothing is there, or a file.
    """
    if not is_local(uri) or Path(uri).is_dir():
        return
    if Path(uri).exists():
        raise StoreOpenError(f"IMAGE_SEARCH_STORE_URI must name a folder, and {uri} is none")
    raise no_index(uri)


def has_tables(uri: str) -> bool:
    """Whether there may be tables: on an object store, or by the names in the folder. Blocks.

    Raises:
        OSError: the folder cannot be read.
    """
    return not is_local(uri) or any(each.suffix == ".lance" for each in Path(uri).iterdir())


def no_index(uri: str) -> StoreOpenError:
    """The error where nothing was indexed yet."""
    place = Path(uri).absolute() if is_local(uri) else uri
    return StoreOpenError(f"there is no index yet at {place}: the service makes one as it starts")


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreOpenError(
            "IMAGE_SEARCH_STORE_URI: the folder's file system has no locks (flock), without which"
            " writers would damage the table",
            repr(error),
        ) from error


def _sync(folder: Path) -> None:
    try:
        sync_to_disk(folder)
    except OSError as error:
        raise StoreOpenError(
            "IMAGE_SEARCH_STORE_URI: the folder's file system cannot be told to write everything"
            " down (syncfs); IMAGE_SEARCH_STORE_SYNC=false does without",
            repr(error),
        ) from error
