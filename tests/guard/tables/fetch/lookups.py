"""Names: what the resolver says, when and how often. Each row has a host of its own, `{host}`."""

from dataclasses import replace

import dns.rcode

from tests.guard.case import FETCHED, UNREACHABLE, Case, asked, blocked, named, only_in_box, refusal
from tests.guard.oracle.names import SILENT, Name, gives
from tests.guard.stage.site import redirect

MANY = tuple(f"8.8.{n // 250}.{n % 250 + 1}" for n in range(200))


def again(title: str, name: Name, location: str) -> Case:
    """A host that is fetched from once, and sends to itself at another port: a new connection."""
    return replace(
        named(title, name, UNREACHABLE),
        url="http://{host}:{port}{path}",
        answer=redirect(location),
    )


PLAIN = [
    named("a public address", gives("8.8.8.8"), FETCHED),
    named("a public address of IPv6 alone", gives("2606:4700::1111"), FETCHED),
    named("one of either family", gives("8.8.4.4", "2606:4700::1111"), FETCHED),
    named("an alias of a public name", Name(alias="plain.test"), FETCHED, plain=gives("9.9.9.9")),
    named("200 addresses, over TCP", gives(*MANY), FETCHED),
    named("an answer after half a second", gives("8.8.8.8", delay_s=0.5), FETCHED),
    replace(named("in capitals", gives("8.8.8.8"), FETCHED), url="HTTP://{host}.:{port}/"),
]

PRIVATE = [
    named(f"resolves to {address}", gives(address), UNREACHABLE)
    for address in (
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.2",
        "::ffff:169.254.169.254",
        "::127.0.0.2",
        "64:ff9b::127.0.0.2",
        "64:ff9b:1::a00:1",
        "2002:7f00:2::",
        "2001:0:4136:e378:8000:63bf:80ff:fffd",
        "2606:4700::5efe:10.0.0.1",
        "fd00:ec2::254",
        "fec0::1",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
    )
]

MIXED = [
    named("public, then private", gives("8.8.8.8", "10.0.0.1"), UNREACHABLE),
    named("private, then public", gives("10.0.0.1", "8.8.8.8"), UNREACHABLE),
    named("public IPv4, private IPv6", gives("8.8.8.8", "fd00::1"), UNREACHABLE),
    named("private IPv4, public IPv6", gives("192.168.0.1", "2606:4700::1111"), UNREACHABLE),
    named("public IPv4, loopback IPv6", gives("8.8.8.8", "::1"), UNREACHABLE),
    named("public, and mapped private", gives("8.8.8.8", "::ffff:10.0.0.1"), UNREACHABLE),
    named("200 public ones, the last private", gives(*MANY, "127.0.0.2"), UNREACHABLE),
    named("an allowed one and a private one", gives("10.20.0.1", "10.21.0.1"), UNREACHABLE),
    named("an allowed one and a public one", gives("10.20.0.1", "8.8.8.8"), FETCHED),
]

ALIASES = [
    named("of a private name", Name(alias="in.test"), UNREACHABLE, **{"in": gives("10.0.0.1")}),
    named(
        "of an alias of a private name",
        Name(alias="one.test"),
        UNREACHABLE,
        one=Name(alias="two.test"),
        two=gives("127.0.0.2"),
    ),
    named("of nobody", Name(alias="nobody.test"), UNREACHABLE),
    named("of itself", Name(alias="loop.test"), UNREACHABLE, loop=Name(alias="loop.test")),
    named("of an allowed name", Name(alias="cdn.internal"), UNREACHABLE),
]

REBINDING = [
    again(
        "public first, then loopback",
        Name((("8.8.8.8",), ("127.0.0.2",))),
        "http://{host}/secret",
    ),
    again(
        "public first, then metadata",
        Name((("8.8.8.8",), ("169.254.169.254",))),
        "//{host}:80/latest/meta-data/",
    ),
    again(
        "public first, then loopback of IPv6",
        Name((("2606:4700::1111",), ("::1",))),
        "http://{host}/",
    ),
    again(
        "public first, then both",
        Name((("8.8.8.8",), ("8.8.8.8", "10.0.0.1"))),
        "http://{host}/",
    ),
    named("private first, then public", Name((("10.0.0.1",), ("8.8.8.8",))), UNREACHABLE),
    named("public once, and then private for ever", Name((("8.8.8.8",), ("10.0.0.1",))), FETCHED),
]

FAULTS = [
    asked("http://nosuch.invalid/", UNREACHABLE),
    asked("http://nosuch.test/", UNREACHABLE),
    named("no address", gives(), UNREACHABLE),
    named("server failure", Name(rcode=dns.rcode.SERVFAIL), UNREACHABLE),
    named("refused", Name(rcode=dns.rcode.REFUSED), UNREACHABLE),
    named("not implemented", Name(rcode=dns.rcode.NOTIMP), UNREACHABLE),
    named("no answer", SILENT, UNREACHABLE),
    named("an answer after the deadline", gives("8.8.8.8", delay_s=10), UNREACHABLE),
    named("garbage for an answer", Name(raw=b"\xff" * 60), UNREACHABLE),
    named("an empty answer", Name(raw=b""), UNREACHABLE),
]

LISTED = [
    blocked("http://localhost/"),
    blocked("http://LOCALHOST:{port}/"),
    blocked("http://localhost.:{port}/"),
    blocked("http://localhost.localdomain/"),
    blocked("http://ip6-localhost/"),
    blocked("http://listed-inside/"),
    asked("http://listed:{port}/", FETCHED),
]

# Only `cdn.internal` is allowed by its name.
ALLOWED = [
    Case(
        f"{host} is {address}",
        FETCHED if host.lower().rstrip(".") == "cdn.internal" else UNREACHABLE,
        url=f"http://{host}:{port}/",
        names={host.lower().rstrip("."): gives(address)},
    )
    for host, address, port in (
        ("cdn.internal", "192.168.5.5", "80"),
        ("CDN.internal", "192.168.5.5", "80"),
        ("cdn.internal.", "192.168.5.5", "{port}"),
        ("a.cdn.internal", "192.168.5.5", "80"),
        ("cdn.internal.test", "192.168.5.5", "80"),
        ("xcdn.internal", "192.168.5.5", "80"),
        ("internal", "192.168.5.5", "80"),
    )
] + [blocked("http://cdn.internal:22/"), blocked("http://cdn.internal:6379/")]

# As URLs these may be refused, or nobody has the name: nothing else.
NO_HOST = refusal("url_invalid", "host_unreachable")
SPELLINGS = [
    asked("http://" + "a" * 64 + ".test/", NO_HOST),
    asked("http://a..test/", NO_HOST),
    asked("http://.test/", NO_HOST),
    asked("http://" + ".".join(["a" * 60] * 5) + ".test/", NO_HOST, "a name of 305 characters"),
    blocked("http://127.0.0.2.nip.test/"),
    Case(
        "an umlaut",
        FETCHED,
        url="http://bücher.test/",
        names={"xn--bcher-kva.test": gives("9.9.9.9")},
    ),
    Case("an underscore", FETCHED, url="http://a_b.test/", names={"a_b.test": gives("9.9.9.9")}),
    # Compatibility forms of Unicode: some readers make digits, letters and dots of them.
    asked("http://①②⑦.⓪.⓪.②:{port}/", NO_HOST),
    asked("http://127。0。0。2:{port}/", NO_HOST),
    asked("http://127.0.0.２:{port}/", NO_HOST),
    asked("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/", NO_HOST),
]

CASES = only_in_box(
    [*PLAIN, *PRIVATE, *MIXED, *ALIASES, *REBINDING, *FAULTS, *LISTED, *ALLOWED, *SPELLINGS]
)
