"""The object stores that the slow commands run at, by the name that they are given."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.store.remote import ceph, server
from tests.store.remote.ceph import Ceph
from tests.store.remote.server import S3Server

STORES: dict[str, Callable[[], AbstractContextManager[S3Server | Ceph]]] = {
    "moto": server.running,
    "ceph": ceph.running,
}
