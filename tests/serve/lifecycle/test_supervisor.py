"""What a running service opens to others: its port, and nothing that commands it."""

import os
from pathlib import Path

import psutil

from demo.process import ServiceProcess
from tests.running import own_models
from tests.unprivileged import needs_root


@needs_root
def test_only_its_port_is_open(service: ServiceProcess) -> None:
    ports = {
        listening.laddr.port
        for process in everyone(service)
        for listening in process.net_connections("inet")
        if listening.status == psutil.CONN_LISTEN
    }
    assert ports == {service.port}


@needs_root
@own_models
def test_nobody_else_reaches_the_sockets_between_its_processes(service: ServiceProcess) -> None:
    names = {
        str(each.laddr)
        for process in everyone(service)
        for each in process.net_connections("unix")
        if each.laddr
    }
    assert len(names) >= 2  # the models'
    for name in names:
        assert name.startswith("/")  # others have no permissions: anybody may connect
        folder = Path(name).parent.stat()
        assert (folder.st_mode & 0o777, folder.st_uid) == (0o700, os.getuid()), name


def test_its_decoders_are_in_a_sandbox(service: ServiceProcess) -> None:
    decoders = [one for one in everyone(service) if "images.workers.child" in one.cmdline()]
    assert decoders
    for decoder in decoders:
        status = Path(f"/proc/{decoder.pid}/status").read_text()
        assert "\nSeccomp:\t2\n" in status
        assert "\nNoNewPrivs:\t1\n" in status
    assert service.log.read_text().count("decoders are kept in by a seccomp filter") == 1


def everyone(service: ServiceProcess) -> list[psutil.Process]:
    assert service.process is not None
    supervisor = psutil.Process(service.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]
