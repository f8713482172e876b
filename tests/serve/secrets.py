"""Requests that carry a secret in every place where one can be."""

import socket
from collections.abc import Mapping
from typing import Any

import requests

SECRET = "hush-8261"


def tell_secrets(url: str, pictures: str, headers: Mapping[str, str]) -> None:
    """Send them all.

    Args:
        url: of the service.
        pictures: of a file server, which has `0.jpg`.
        headers: with a key, where one is needed.
    """

    def post(route: str, body: Any, **more: str) -> None:
        sent = {**headers, **more}
        requests.post(f"{url}/{route}", json=body, headers=sent, timeout=60)

    host = pictures.removeprefix("http://")
    for picture in (
        f"{pictures}0.jpg?sig={SECRET}",
        f"{pictures}missing.jpg?sig='{SECRET}'&b=(x)",
        f"{pictures}0.jpg#{SECRET}",
        f"http://user:{SECRET}@{host}0.jpg",
        f"http://127.0.0.1:1/a.jpg?sig={SECRET}",
        f"http://nosuch.invalid/a.jpg?sig={SECRET}",
        f"http://[{SECRET}]/a.jpg",
        f"http://127.0.0.1:{SECRET}/a.jpg",
        f"http://user:{SECRET}/half@127.0.0.1/a.jpg",
        f"ftp://user:{SECRET}@h/a.jpg",
        f"http://h/{SECRET}\n2026-01-01 forged\x1b[31m",
    ):
        post("post_image_to_index", {"url": picture, "metadata": {"shop": SECRET}})
        post("run_object_detection", {"url": picture})
        post("post_images_to_index", {"images": [{"url": picture, "metadata": SECRET}]})
    for metadata in (SECRET, {"shop": SECRET}, {SECRET: 1}, {"shop": {f"${SECRET}": 1}}):
        post("search_simmilar_images", {"metadata": metadata})
        post("delete_images", {"metadata": metadata})
    post("post_image_to_index", {"url": f"{pictures}0.jpg?b", "metadata": {"shop": [SECRET, 1]}})
    post("search_simmilar_images", {"id": SECRET})
    post("search_simmilar_images", {SECRET: f"\n{SECRET}"})
    post("post_image_to_index", {}, Authorization=f"Bearer {SECRET}")
    post("post_image_to_index", {}, Authorization=f"Basic {SECRET}", Cookie=f"a={SECRET}")
    post("post_image_to_index", {}, **{"X-Request-ID": "a b;" + SECRET, "Referer": SECRET})
    kind = f"application/json; charset={SECRET}"
    requests.post(f"{url}/delete_images", f"{{{SECRET}", headers={**headers, "Content-Type": kind})
    for path in (f"images?key={SECRET}", f"images/{SECRET}", f"{SECRET}%0aforged", f"?{SECRET}"):
        requests.get(f"{url}/{path}", headers=headers, timeout=60)
    _raw(url, f"GET /{SECRET}\x01 HTTP/1.1\r\nHost: {SECRET}\r\nA{SECRET}\r\n\r\n")
    _raw(url, f"{SECRET}\r\n\r\n")
    _raw(
        url,
        f"POST /delete_images HTTP/1.1\r\nHost: localhost\r\nContent-Type: \xff{SECRET}\r\n\r\n",
    )


def _raw(url: str, request: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.recv(1000)
