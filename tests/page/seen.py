"""What stands on the page, read as a person does."""

import base64
from pathlib import Path

from playwright.sync_api import Page, expect

DROP = """([selector, kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector(selector).dispatchEvent(event);
}"""


WAITS = "#search:not([hidden]) :is(#grid[aria-busy], #found-title:empty)"
"""A search goes on, or the first one has not begun: the title says what came of the last one."""


def settled(page: Page) -> None:
    """Wait until the grid has what was asked for."""
    expect(page.locator(WAITS)).to_have_count(0)


def ids(page: Page) -> list[str]:
    """The images of the grid, in their order."""
    settled(page)
    cards = page.locator("#grid .card:not([hidden])")
    found: list[str] = cards.evaluate_all("(all) => all.map((one) => one.dataset.id)")
    return found


def scores(page: Page) -> list[float]:
    """The scores that are shown."""
    settled(page)
    return [float(text) for text in page.locator(".score").all_inner_texts()]


def bring(page: Page, kind: str, *paths: Path, selector: str = "main") -> None:
    """Drop or paste files."""
    files = [[one.name, "image/jpeg", base64.b64encode(one.read_bytes()).decode()] for one in paths]
    page.evaluate(DROP, [selector, kind, files])


def to_the_end(page: Page) -> list[str]:
    """Scroll down as long as more comes; gives all images, in their order."""
    settled(page)
    more = page.get_by_role("button", name="Show more")
    while more.is_visible():
        before = page.locator(".card").count()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_function(
            "(before) => document.querySelectorAll('.card').length > before"
            " || document.querySelector('#more').hidden",
            arg=before,
        )
        settled(page)
    return ids(page)


def overflows(page: Page) -> bool:
    """Whether anything is wider than the window, so that the page moves sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))
