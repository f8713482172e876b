"""Build hook of the service's project: it is run from its files, and there is no wheel of it."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NoWheel(BuildHookInterface):
    """Refuses a wheel: modules called `api`, `store` or `page` belong into nobody's site-packages.

    What `uv sync` makes is a link to these files.
    """

    def initialize(self, version: str, _build_data: dict[str, Any]) -> None:
        """Refuse any wheel but the link.

        Raises:
            SystemExit: with one line.
        """
        if version != "editable":
            raise SystemExit(
                "image-search-engine has no wheel: run it from its files with uv, or as a Bento"
                " (docs/deployment.md); the client is image-search-client, in client/"
            )
