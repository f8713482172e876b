"""docs/ as a site: mkdocs-material, strictly, with the OpenAPI document of the running service."""

import logging
import tempfile
from pathlib import Path

import requests
from mkdocs.commands.build import build as build_site
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, ConfigurationError

from demo.process import ServiceProcess
from release.links import dead_links
from release.pages import assemble

_CONFIGURATION = Path(__file__).with_name("mkdocs.yml")


def build(project: Path, folder: Path) -> list[str]:
    """Build the site, and tell what is wrong with it.

    Args:
        project: folder of the project.
        folder: for the site; what is in it is replaced.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with tempfile.TemporaryDirectory() as pages:
        assemble(project, Path(pages), openapi_document())
        try:
            build_site(
                load_config(
                    str(_CONFIGURATION),
                    docs_dir=pages,
                    site_dir=str(folder.absolute()),
                    strict=True,
                )
            )
        except (Abort, ConfigurationError) as error:
            return [f"mkdocs: {error}"]
    return dead_links(folder)


def openapi_document() -> bytes:
    """What the service says of itself, asked of one that runs with the demo models."""
    with tempfile.TemporaryDirectory() as name:
        settings = {"IMAGE_SEARCH_MODELS": "demo", "IMAGE_SEARCH_STORE_URI": f"{name}/index"}
        with ServiceProcess(settings, Path(name) / "log") as service:
            answer = requests.get(f"{service.url}/docs.json", timeout=30)
            answer.raise_for_status()
            return answer.content
