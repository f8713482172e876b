"""What clients say of themselves: headers of proxies, and texts that are meant to make lines.

Each is answered as if it were not there; `tests/guard/test_log.py` looks what became of it.
"""

from dataclasses import replace

from tests.guard.case import BAD_REQUEST, Expected, refusal, sent

FORGED = "forged-7193"
ADDRESS = "198.51.100.66"
LINE = f"\n2026-01-01T00:00:00+0000 [INFO] [cli] {FORGED}"
HEADERS = (
    ("X-Forwarded-For", ADDRESS),
    ("X-Forwarded-For", f"{ADDRESS}, 127.0.0.1"),
    ("X-Forwarded-For", f"127.0.0.1, {ADDRESS}:80"),
    ("X-Forwarded-For", f"[2001:db8::1]:80, {FORGED}"),
    ("X-Forwarded-For", f"unknown, _hidden, {FORGED}\t\x85[INFO]"),
    ("X-Forwarded-For", f"{ADDRESS}," * 3000),
    ("X-Forwarded-Proto", FORGED),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", f"{FORGED}.example"),
    ("X-Forwarded-Port", "1"),
    ("X-Forwarded-Prefix", f"/{FORGED}"),
    ("X-Real-IP", ADDRESS),
    ("X-Client-IP", ADDRESS),
    ("True-Client-IP", ADDRESS),
    ("CF-Connecting-IP", ADDRESS),
    ("Forwarded", f'for="{ADDRESS}";host={FORGED};proto=https'),
    ("Via", f"1.1 {FORGED}"),
    ("X-Request-ID", f"a b {FORGED}"),
)
PROXIES = [
    replace(
        sent("index/log?limit=1", None, Expected(200), f"{name}: {value:.60}", "GET"),
        headers={name: value},
    )
    for name, value in HEADERS
]
WITHOUT_KEYS = [
    replace(
        case,
        title=f"without a key, {case.title}",
        expected=refusal("unauthorized", status=401),
        keyless=True,
    )
    for case in PROXIES
]
NOTHING = Expected(200, holds={"changes": [], "more": False})
GONE = refusal("not_found", status=404)
QUOTED = "%0A2026-01-01%20[INFO]%20" + FORGED
TEXTS = [
    sent("delete_images", {"ids": [LINE, "\u2028" + FORGED]}, Expected(200), "ids with breaks"),
    sent("delete_images", {"metadata": {LINE: 1}}, refusal("unknown_key"), "a key with breaks"),
    sent(f"images/{QUOTED}", {"metadata": {"a": 1}}, GONE, "an id with breaks, patched", "PATCH"),
    sent(f"images/{QUOTED}", None, GONE, "an id with breaks, deleted", "DELETE"),
    sent(f"index/log?key={QUOTED}", None, NOTHING, "a key's name with breaks", "GET"),
    sent(f"index/log?id={QUOTED}", None, NOTHING, "an id with breaks, looked for", "GET"),
    sent(f"index/log?action={QUOTED}", None, BAD_REQUEST, "an action with breaks", "GET"),
    sent(f"index/log?since={QUOTED}", None, BAD_REQUEST, "a time with breaks", "GET"),
    sent(f"index/log?limit={QUOTED}", None, BAD_REQUEST, "a number with breaks", "GET"),
    sent(
        "index/undo",
        {"key": LINE, "since": "2026-01-01T00:00:00Z"},
        Expected(200, holds={"removed": 0, "restored": 0, "left_total": 0}),
        "undoing a key with breaks",
    ),
    sent("index/undo", {"key": "x", "since": LINE}, BAD_REQUEST, "undoing since breaks"),
    sent(
        "index/undo",
        {"key": "' OR 1=1 --", "since": "2026-01-01T00:00:00Z"},
        Expected(200, holds={"removed": 0, "restored": 0, "left_total": 0}),
        "undoing everybody",
    ),
]

CASES = [*PROXIES, *WITHOUT_KEYS, *TEXTS]
