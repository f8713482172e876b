"""A name server that answers what a test tells it to, over UDP and TCP.

The service asks it through the system's resolver, as it would ask any other: only /etc/resolv.conf
is another one there (`tests.guard.stage.stage`).
"""

import socketserver
import struct
import threading
from dataclasses import dataclass
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

PORT = 53
_MOST_IN_UDP = 512
_SILENT_S = 60


@dataclass(frozen=True)
class Name:
    """What a name resolves to.

    Attributes:
        rounds: The addresses that each lookup gives; the last ones are given for ever.
        alias: A name that this one is an alias of (CNAME).
        rcode: The server's verdict, such as NXDOMAIN.
        delay_s: How long the answer takes.
        raw: Sent as it is, in place of an answer.
    """

    rounds: tuple[tuple[str, ...], ...] = ((),)
    alias: str = ""
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    delay_s: float = 0
    raw: bytes | None = None


def gives(*addresses: str, delay_s: float = 0) -> Name:
    """A name with these addresses."""
    return Name((addresses,), delay_s=delay_s)


SILENT = Name(delay_s=_SILENT_S)


class NameServer:
    """Serves names on an address until it is closed; a name nobody put there is NXDOMAIN."""

    def __init__(self, host: str) -> None:
        self._names: dict[str, Name] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._servers = [
            _Udp((host, PORT), _handler(self, tcp=False)),
            _Tcp((host, PORT), _handler(self, tcp=True)),
        ]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def put(self, name: str, answers: Name) -> None:
        """Let a name have these answers."""
        self._names[name.lower().rstrip(".")] = answers

    def answer(self, wire: bytes, tcp: bool) -> bytes | None:
        """The answer to a question, both as they go over the wire."""
        question = dns.message.from_wire(wire)
        asked = question.question[0]
        name = self._names.get(asked.name.to_text().lower().rstrip("."))
        if name is None:
            name = Name(rcode=dns.rcode.NXDOMAIN)
        if name.delay_s and self._closing.wait(name.delay_s):
            return None
        if name.raw is not None:
            return name.raw
        response = dns.message.make_response(question)
        response.flags |= dns.flags.RA  # a resolver, and not a server that knows its own names only
        response.set_rcode(name.rcode)
        self._fill(response, asked, name)
        packed = response.to_wire(max_size=65535)
        if len(packed) > _MOST_IN_UDP and not tcp:
            response.answer.clear()
            response.flags |= dns.flags.TC
            packed = response.to_wire(max_size=65535)
        return packed

    def _fill(self, response: dns.message.Message, asked: Any, name: Name) -> None:
        owner = asked.name
        for _ in range(8):  # an alias of an alias
            if not name.alias:
                break
            alias = f"{name.alias}."
            response.answer.append(dns.rrset.from_text(owner, 0, "IN", "CNAME", alias))
            owner, name = dns.name.from_text(alias), self._names.get(name.alias, Name())
        addresses = self._round(owner.to_text(), asked.rdtype, name)
        kind = {dns.rdatatype.A: "A", dns.rdatatype.AAAA: "AAAA"}.get(asked.rdtype)
        of_kind = [one for one in addresses if (":" in one) == (kind == "AAAA")]
        if kind and of_kind:
            response.answer.append(dns.rrset.from_text(owner, 0, "IN", kind, *of_kind))

    def _round(self, owner: str, kind: int, name: Name) -> tuple[str, ...]:
        """Each lookup asks once for either family, so the two are counted apart."""
        with self._lock:
            turn = self._asked.get((owner, kind), 0)
            self._asked[owner, kind] = turn + 1
        return name.rounds[min(turn, len(name.rounds) - 1)]

    def close(self) -> None:
        """Stop answering."""
        self._closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


def _handler(names: NameServer, *, tcp: bool) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if tcp:
                while head := self.request.recv(2):  # both families over one connection
                    (length,) = struct.unpack("!H", head)
                    answer = names.answer(self.request.recv(length), tcp=True) or b""
                    self.request.sendall(struct.pack("!H", len(answer)) + answer)
            else:
                wire, udp = self.request
                packed = names.answer(wire, tcp=False)
                if packed is not None:
                    udp.sendto(packed, self.client_address)

    return Handler
