"""What strangers write is shown as text, whatever it is, and breaks nothing."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.scenes.scenes import draw_scene
from demo.server import PictureServer, as_jpeg
from demo.show.tour import Api
from tests.page.chromium import Watched
from tests.page.seen import bring, overflows, settled
from tests.serve.metrics import until

MARKUP = '"><img src=x onerror=alert(1)><script>alert(2)</script><b>&amp;'
RTL = "\u202eمرحبا gpj.exe\u202c שלום"
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈" * 20
LONG = "wide" * 2500
ZALGO = "Z" + "\u0335\u0321\u0316\u0348" * 50
NAME = "<img src=x onerror=alert(3)>\u202e\"'gpj.jpg"
METADATA: dict[str, Any] = {
    "<script>alert(4)</script>": MARKUP,
    "اسم": RTL,
    "emoji": EMOJI,
    "long": LONG,
    "zalgo": ZALGO,
    "javascript:alert(5)": "javascript:alert(6)",
    "many": [MARKUP, RTL, LONG[:300], ""],
    "__proto__": "constructor",
    "constructor": "toString",
    "$text": f"free {MARKUP}",
    "nested": {"<b>": {"deep": RTL}},
}
SHOWN = {**METADATA, "Text": METADATA["$text"], "nested.<b>.deep": RTL}
KEYS = {"<script>alert(4)</script>", "constructor", "__proto__"}
del SHOWN["$text"], SHOWN["nested"]


@pytest.fixture(scope="package")
def hostile(api: Api, pictures: PictureServer) -> str:
    """An image whose address and metadata are as bad as can be."""
    name = f"x.jpg?{MARKUP.replace(' ', '%20')}"
    pictures.add_file("x.jpg", as_jpeg(draw_scene(9_300_000).picture))
    request = {"url": pictures.url + name, "metadata": METADATA}
    return str(api.post("post_image_to_index", request).json()["id"])


def test_metadata_is_text(window: Watched, hostile: str) -> None:
    page = window.open(f"?id={hostile}")
    settled(page)
    assert not overflows(page)
    page.locator(".tile").first.click()
    dialog = page.get_by_role("dialog")
    for folded in dialog.locator("details").all():
        folded.evaluate("(one) => { one.open = true; }")
    shown = dialog.evaluate("(one) => one.textContent")
    for key, value in SHOWN.items():
        assert key in shown
        assert (", ".join(value) if isinstance(value, list) else value) in shown
    # Nothing became an element, and the dialog scrolls down only.
    assert dialog.locator("script, b, img[onerror]").count() == 0
    assert dialog.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    address = dialog.get_by_role("link")
    assert (address.get_attribute("href") or "").startswith("http://127.0.0.1")


def test_metadata_can_be_changed(window: Watched, hostile: str, api: Api) -> None:
    def stored() -> Any:
        return api.session.get(f"{api.url}/images/{hostile}", timeout=60).json()["metadata"]

    before = stored()
    page = window.open(f"?id={hostile}")
    settled(page)
    page.locator(".tile").first.click()
    page.get_by_role("button", name="Change metadata").click()
    dialog = page.get_by_role("dialog")
    assert not overflows(page)
    assert dialog.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    assert dialog.locator("script, b, img").count() == 0
    dialog.get_by_label("__proto__", exact=True).fill(MARKUP)
    dialog.get_by_role("button", name="Remove constructor", exact=True).click()
    dialog.get_by_label("nested.<b>.deep", exact=True).fill("x")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("#toast")).to_contain_text("1 picture changed.")
    after = {**before, "__proto__": MARKUP, "nested": {"<b>": {"deep": "x"}}}
    del after["constructor"]
    assert stored() == after
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toast")).to_contain_text("1 picture as before.")
    assert stored() == before


def test_filters_and_the_list_of_keys_are_text(window: Watched, hostile: str, api: Api) -> None:
    assert until(
        lambda: keys_of(api) >= KEYS, 120
    )  # the list lags behind what the test before has done
    page = window.open()
    page.locator("#filters, #filters details").evaluate_all(
        "(all) => all.forEach((one) => { one.open = true; })"
    )
    group = page.get_by_role("group", name="<script>alert(4)</script>")
    group.get_by_role("checkbox").check()
    settled(page)
    expect(page.locator(".card")).to_have_count(1)
    assert not overflows(page)
    for key in ("constructor", "__proto__"):
        page.get_by_role("group", name=key).get_by_role("checkbox").check()
        settled(page)
        expect(page.locator(".card")).to_have_count(1)
    assert "__proto__" in page.url
    page.reload()
    expect(page.locator("#filter-count")).to_have_text("3")
    page.goto(f"{window.url}/?view=health")
    expect(page.locator("#health-columns")).to_contain_text("<script>alert(4)</script>")
    assert not overflows(page)


def keys_of(api: Api) -> set[str]:
    """The keys that the page makes filters of."""
    told = api.session.get(f"{api.url}/index/columns", timeout=60).json()
    return {each["key"] for each in told["columns"] if each.get("values")}


@pytest.mark.parametrize("text", [MARKUP, RTL, EMOJI, LONG[:8000], ZALGO])
def test_words(window: Watched, text: str, hostile: str) -> None:
    page = window.open()
    page.get_by_role("searchbox").fill(text)
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#found-title")).to_contain_text(text[:20])
    settled(page)
    assert not overflows(page)


@pytest.mark.parametrize(
    "query",
    [
        "?view=<script>&q=%00&filter={",
        '?filter={"__proto__":{"values":["x"]},"shop":{"values":5},"price":{"from":"x"}}',
        '?filter={"price":5,"colors":null}&id=%22%3E%3Cimg%20src=x%3E',
        "?url=javascript:alert(1)",
        "?view=detect&url=javascript:alert(1)",
    ],
)
def test_addresses_of_the_page(window: Watched, query: str, hostile: str) -> None:
    window.expected = {400, 404}
    page = window.open(query)
    settled(page)
    expect(page.locator("main > section:not([hidden])")).to_have_count(1)
    assert not overflows(page)


def _png_that_says(text: bytes) -> bytes:
    """A picture with markup behind its end."""
    file = io.BytesIO()
    Image.new("RGB", (40, 2), "red").save(file, "PNG")
    return file.getvalue() + text


def test_files(window: Watched, tmp_path: Path, hostile: str) -> None:
    window.expected = {400}
    page = window.open("?view=add")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(7)</script></svg>'
    contents = {NAME: svg, "page.png": _png_that_says(MARKUP.encode()), f"{LONG[:200]}.jpg": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    bring(page, "drop", *(tmp_path / name for name in contents))
    page.get_by_role("button", name="Add 3 pictures").click()
    expect(page.locator("#add-shown")).to_have_text("1 of 3 pictures added, 2 failed.")
    listed = page.locator("#add-failure-list")
    assert NAME in listed.evaluate("(one) => one.textContent")
    assert listed.locator("img, svg, script").count() == 0
    assert not overflows(page)
    _found_by_its_picture(page, tmp_path / "page.png")


def _found_by_its_picture(page: Page, file: Path) -> None:
    page.get_by_role("link", name="Search", exact=True).click()
    settled(page)
    bring(page, "paste", file)
    expect(page.locator(".score").first).to_have_text("1.00")
