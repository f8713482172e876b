"""What a running service opens to others: its port, and nothing that commands it."""

import os
from pathlib import Path

import psutil

from demo.process import ServiceProcess


def test_only_its_port_is_open(service: ServiceProcess) -> None:
    ports = {
        listening.laddr.port
        for process in everyone(service)
        for listening in process.net_connections("inet")
        if listening.status == psutil.CONN_LISTEN
    }
    assert ports == {service.port}


def test_nobody_else_reaches_the_sockets_within(service: ServiceProcess) -> None:
    sockets = {
        Path(str(each.laddr))
        for process in everyone(service)
        for each in process.net_connections("unix")
        if each.laddr and Path(str(each.laddr)).is_socket()
    }
    assert any(path.name == "commands" for path in sockets)
    for path in sockets:
        folder = path.parent.stat()
        assert (folder.st_mode & 0o777, folder.st_uid) == (0o700, os.getuid()), path


def everyone(service: ServiceProcess) -> list[psutil.Process]:
    assert service.process is not None
    supervisor = psutil.Process(service.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]
