"""Pages of the site as mkdocs takes them: docs/, README.md, CHANGELOG.md, the API's document."""

import os
import re
import shutil
from pathlib import Path

REFERENCE = "reference.md"
_OWN_NAMES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_REFERENCE_PAGE = """# API reference

The OpenAPI document that the service answers at `/docs.json`; the service shows it at `/docs`, too.
[The same as a file](openapi.json). [Routes](api.md) has it in words, with examples.

<swagger-ui src="openapi.json"/>
"""


def assemble(project: Path, into: Path, document: bytes) -> None:
    """Write all pages into a folder.

    Args:
        project: folder of the project.
        into: an empty folder.
        document: OpenAPI, as JSON.
    """
    shutil.copytree(project / "docs", into, dirs_exist_ok=True)
    for name, own in _OWN_NAMES.items():
        shutil.copy(project / name, into / own)
        _rewrite(into / own, "")
    for page in (project / "docs").glob("*.md"):
        _rewrite(into / page.name, "docs")
    (into / REFERENCE).write_text(_REFERENCE_PAGE)
    (into / "openapi.json").write_bytes(document)


def _rewrite(page: Path, folder: str) -> None:
    page.write_text(_LINK.sub(lambda found: _link(found, folder), page.read_text()))


def _link(found: re.Match[str], folder: str) -> str:
    """A link of a page in a folder of the project, as one of the site."""
    image, text, target, anchor = found[1], found[2], found[3], found[4] or ""
    target = os.path.normpath(Path(folder, target))
    inside = _OWN_NAMES.get(target) or target.removeprefix("docs" + os.sep)
    if inside == target:  # a file that is in the repository alone
        return text if target in text else f"{text} (`{target}`)"
    return f"{image}[{text}]({inside}{anchor})"
