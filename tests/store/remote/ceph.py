"""Ceph's S3 gateway for the slow commands: a cluster of one machine, its objects in memory.

Debian has it: `apt-get install ceph-mon ceph-osd ceph-common radosgw`. Nobody has to prove who they
are but to the gateway itself, and everything listens on 127.0.0.1.
"""

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import requests

from demo.process import free_port
from tests.store.remote.server import BUCKET, REGION, environment

_KEY = "test"
_START_S = 120.0
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
keyring = /dev/null
mon data = {folder}/mon
mon data avail crit = 1
osd data = {folder}/osd
rgw data = {folder}/rgw
run dir = {folder}
admin socket = {folder}/$cluster-$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
"""


class Ceph:
    """A running cluster with a gateway; get one with `running`.

    Attributes:
        process: the gateway's.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.endpoint = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which LanceDB finds it."""
        return environment(self.endpoint)


@contextlib.contextmanager
def running() -> Iterator[Ceph]:
    """A gateway with an empty bucket."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, port = Path(name), free_port()
        _start_cluster(folder, stack)
        user = ("user", "create", "--uid=test", "--display-name=test")
        _run(folder, "radosgw-admin", *user, f"--access-key={_KEY}", f"--secret={_KEY}")
        frontend = f"--rgw-frontends=beast endpoint=127.0.0.1:{port}"
        gateway = Ceph(_served(folder, stack, "radosgw", "-n", "client.rgw.a", frontend), port)
        _until(lambda: _answers(gateway.endpoint))
        client = boto3.client(
            "s3",
            endpoint_url=gateway.endpoint,
            region_name=REGION,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_KEY,
        )
        client.create_bucket(Bucket=BUCKET)
        yield gateway


def _start_cluster(folder: Path, stack: contextlib.ExitStack) -> None:
    """A monitor and a daemon with all objects, both up."""
    fsid, port = str(uuid4()), free_port()
    text = _CONFIGURATION.format(folder=folder, fsid=fsid, port=port)
    (folder / "ceph.conf").write_text(text)
    for each in ("mon", "osd", "rgw"):
        (folder / each).mkdir()
    address = ("--addv", "a", f"v1:127.0.0.1:{port}")
    _run(folder, "monmaptool", "--create", *address, "--fsid", fsid, str(folder / "monmap"))
    _run(folder, "ceph-mon", "-i", "a", "--mkfs", "--monmap", str(folder / "monmap"))
    _served(folder, stack, "ceph-mon", "-i", "a")
    uuid = str(uuid4())
    _run(folder, "ceph", "osd", "new", uuid)
    _run(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid)
    _served(folder, stack, "ceph-osd", "-i", "0")
    _until(lambda: json.loads(_run(folder, "ceph", "osd", "stat", "-f", "json"))["num_up_osds"] > 0)


def _command(folder: Path, program: str, *arguments: str) -> list[str]:
    return [program, *arguments, "-c", str(folder / "ceph.conf")]


def _run(folder: Path, *command: str) -> bytes:
    told = (folder / "told").open("ab")
    with told:
        done = subprocess.run(
            _command(folder, *command), stdout=subprocess.PIPE, stderr=told, check=True
        )
    return done.stdout


def _served(folder: Path, stack: contextlib.ExitStack, *command: str) -> "subprocess.Popen[bytes]":
    """A process that serves until the stack ends."""
    told = stack.enter_context((folder / "told").open("ab"))
    process = subprocess.Popen([*_command(folder, *command), "-f"], stdout=told, stderr=told)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + _START_S
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("Ceph has not come up")
        time.sleep(0.2)
