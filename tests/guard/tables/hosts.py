"""Host names at a service without keys: its own are answered, and nobody else's.

These rows are asked of such a service (`tests/guard/test_hosts.py`), the others of one with keys.
"""

from dataclasses import replace

from tests.guard.case import Case, Expected, refusal

MISDIRECTED = refusal("misdirected", status=421, says="IMAGE_SEARCH_HOSTS")
EVIL = "rebind.evil.example"


def named(host: str, expected: Expected, path: str = "images", method: str = "GET") -> Case:
    return Case(
        f"{method} /{path} of {host}", expected, path=path, method=method, headers={"Host": host}
    )


OWN = [
    named(host, Expected(200))
    for host in (
        "localhost",
        "localhost:1",
        "LOCALHOST:3000",
        "127.0.0.1",
        "127.0.0.1:80",
        "192.0.2.7:3000",
        "[::1]",
        "[2001:db8::1]:3000",
    )
]
FOREIGN = [
    named(host, MISDIRECTED)
    for host in (
        EVIL,
        f"{EVIL}:3000",
        EVIL.upper(),
        f"{EVIL}.",
        f"localhost.{EVIL}",
        f"127.0.0.1.{EVIL}",
        f"localhost@{EVIL}",
        f"{EVIL}@localhost",
        f"localhost,{EVIL}",
        f"localhost {EVIL}",
        f"localhost/{EVIL}",
        f"[::1]{EVIL}",
        f"[{EVIL}]",
        f"localhost:{EVIL}",
        "evil.localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "127.0.0.1.nip.io",
        "xn--localhost-9ya.example",
    )
]
EVERYWHERE = [
    replace(named(EVIL, MISDIRECTED, path, method), body=body)
    for path, method, body in (
        ("", "GET", None),
        ("docs", "GET", None),
        ("docs.json", "GET", None),
        ("schema.json", "GET", None),
        ("metrics", "GET", None),
        ("healthz", "GET", None),
        ("livez", "GET", None),
        ("readyz", "GET", None),
        ("heartbeat", "GET", None),
        ("page/main.js", "GET", None),
        ("static_content/index.css", "GET", None),
        ("nowhere", "GET", None),
        ("images/x", "GET", None),
        ("images/x/image", "GET", None),
        ("images/x/thumbnail", "GET", None),
        ("index", "GET", None),
        ("images", "HEAD", None),
        ("images", "OPTIONS", None),
        ("images", "TRACE", None),
        ("images/x", "DELETE", None),
        ("images/x", "PATCH", b"{}"),
        ("delete_images", "POST", b'{"all": true}'),
        ("index/restore", "POST", b'{"version": 1}'),
        ("post_image_to_index", "POST", b"{}"),
        ("search_similar_images", "POST", b'{"metadata": {}}'),
        ("run_object_detection", "POST", b"{}"),
    )
]

CASES = [*OWN, *FOREIGN, *EVERYWHERE]
