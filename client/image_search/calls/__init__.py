"""The routes as calls: for each, its parameters and how to read its answer. No network here.

The clients' methods send what these functions make; parameters and documentation stand here once.
They raise ImageSearchError, of which `image_search.errors` has the kinds.
"""

from image_search.calls.detection import annotate, detect
from image_search.calls.images import (
    add,
    add_many,
    delete,
    delete_many,
    find_objects,
    get,
    list_images,
    objects,
    original,
    thumbnail,
    update,
    update_many,
)
from image_search.calls.searches import find, search
from image_search.calls.table import (
    declare_column,
    drop_column,
    heartbeat,
    log,
    restore,
    status,
    undo,
    versions,
)
from image_search.calls.transfer import export_page, import_rows

__all__ = [
    "add",
    "add_many",
    "annotate",
    "declare_column",
    "delete",
    "delete_many",
    "detect",
    "drop_column",
    "export_page",
    "find",
    "find_objects",
    "get",
    "heartbeat",
    "import_rows",
    "list_images",
    "log",
    "objects",
    "original",
    "restore",
    "search",
    "status",
    "thumbnail",
    "undo",
    "update",
    "update_many",
    "versions",
]
