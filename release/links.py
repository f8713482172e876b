"""Links of a built site: each leads to a place in it, and nothing is loaded from elsewhere."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
_NAMES_ONLY = {"canonical", "prev", "next", "alternate"}


class Page(HTMLParser):
    """What of a page's HTML is linked to, and what it links to.

    Attributes:
        places: ids and names that a link can end at.
        links: where links of the page lead.
        loaded: what a browser loads with the page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.places, self.links, self.loaded = {""}, set[str](), set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag's links and names."""
        given = {name: value for name, value in attrs if value is not None}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in _LOADED and _LOADED[tag] in given and given.get("rel") not in _NAMES_ONLY:
            self.loaded.add(given[_LOADED[tag]])


def dead_links(site: Path) -> list[str]:
    """What of a site leads nowhere or to other hosts' scripts and styles, a line each."""
    pages = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html")}
    return [line for path in sorted(pages) for line in _of_page(site.resolve(), path, pages)]


def _of_page(site: Path, path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    page, name = pages[path], path.relative_to(site)
    if name.name == "404.html":  # its links are absolute: it stands for any address
        return
    for link in sorted(page.loaded):
        if urlsplit(link).netloc:
            yield f"{name}: loads {link} from another host"
    for link in sorted(page.links | page.loaded):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.is_relative_to(site) or not target.is_file():
            yield f"{name}: {link} leads nowhere"
        elif target in pages and unquote(parts.fragment) not in pages[target].places:
            yield f"{name}: {link} leads to no place in {target.relative_to(site)}"
