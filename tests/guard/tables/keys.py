"""API keys: who may ask for what. The stage's service knows `KEYS`; other rows send the first."""

from dataclasses import replace

from tests.guard.case import KEYS, Case, Expected, refusal, sent

WRONG = refusal("unauthorized", status=401, says="a valid API key is needed")
IN = Expected(200)

HEADERS = {
    "": WRONG,
    "Bearer": WRONG,
    "Bearer ": WRONG,
    "Bearer wrong": WRONG,
    f"Bearer {KEYS[0]}": IN,
    f"bearer {KEYS[0]}": IN,
    f"BEARER {KEYS[0]}": IN,
    f"Bearer {KEYS[0]} ": IN,
    f"Bearer  {KEYS[0]}": IN,
    f"Bearer {KEYS[1]}": IN,
    f"Bearer {KEYS[0][:-1]}": WRONG,
    f"Bearer {KEYS[0]}x": WRONG,
    f"Bearer {KEYS[0].upper()}": WRONG,
    f"Bearer {KEYS[0]},{KEYS[1]}": WRONG,
    f"Bearer {KEYS[0]} {KEYS[1]}": WRONG,
    f"Bearer {KEYS[0]}\t{KEYS[0]}": WRONG,
    f'Bearer "{KEYS[0]}"': WRONG,
    f"Basic {KEYS[0]}": WRONG,
    f"Token {KEYS[0]}": WRONG,
    KEYS[0]: WRONG,
    f"Bearer{KEYS[0]}": WRONG,
    f"Bearer={KEYS[0]}": WRONG,
    f"Bearer Bearer {KEYS[0]}": WRONG,
    "Bearer *": WRONG,
    "Bearer null": WRONG,
    "Bearer " + "x" * 8000: WRONG,
    "Bearer ÿþ": WRONG,
}
SPELLINGS = [
    Case(
        f"Authorization: {given:.60}",
        expected,
        path="heartbeat",
        method="GET",
        # requests would send other text as Latin-1, or refuse it.
        headers={"Authorization": given.encode().decode("latin-1")} if given else {},
    )
    for given, expected in HEADERS.items()
]

EVERYWHERE = [
    sent(path, None if method == "GET" else b"{}", WRONG, f"{method} /{path} without a key", method)
    for method, path in (
        ("GET", "heartbeat"),
        ("GET", "metrics"),
        ("GET", "docs.json"),
        ("GET", ""),
        ("GET", "images"),
        ("GET", "images/x"),
        ("GET", "index"),
        ("GET", "index/versions"),
        ("GET", "index/log"),
        ("HEAD", "index/log"),
        ("GET", "healthz"),
        ("GET", "schema.json"),
        ("GET", "static_content/nothing.css"),
        ("POST", "static_content/index.css"),
        ("GET", "page/index.html"),
        ("GET", "page/%2e%2e/service.py"),
        ("GET", "images/0/thumbnail"),
        ("GET", "images/0/image"),
        ("GET", "index/columns"),
        ("DELETE", "index/columns/s"),
        ("GET", "static_content/swagger-ui-bundle.js"),
        ("GET", "nosuch"),
        ("GET", "livez/"),
        ("GET", "LIVEZ"),
        ("GET", "livez/../heartbeat"),
        ("GET", "%6civez/x"),
        ("HEAD", "heartbeat"),
        ("OPTIONS", "heartbeat"),
        ("POST", "post_image_to_index"),
        ("POST", "post_images_to_index"),
        ("POST", "search_simmilar_images"),
        ("POST", "search_similar_images"),
        ("POST", "run_object_detection"),
        ("POST", "delete_images"),
        ("POST", "index/restore"),
        ("POST", "index/undo"),
        ("PATCH", "images/x"),
        ("DELETE", "images/x"),
    )
] + [
    sent("heartbeat?api_key=" + KEYS[0], None, WRONG, "in the query", "GET"),
    sent("heartbeat", None, WRONG, "in X-API-Key", "GET", X_API_Key=KEYS[0]),
    sent("heartbeat", None, WRONG, "in a cookie", "GET", Cookie=f"Authorization={KEYS[0]}"),
]

OPEN = [
    Case(f"GET /{path} without a key", IN, path=path, method="GET", headers={})
    for path in ("livez", "readyz")
]

CASES = [replace(case, keyless=True) for case in (*SPELLINGS, *EVERYWHERE, *OPEN)]
