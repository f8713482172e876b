"""The options that every command to a running service has."""

from collections.abc import Callable
from typing import Any

import click

UNAVAILABLE = 3
"""Exit status where the service cannot be had."""


def to_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--server` and `--api-key`."""
    server = click.option(
        "--server",
        envvar="IMAGE_SEARCH_SERVER",
        default="http://127.0.0.1:3000",
        show_default=True,
        show_envvar=True,
        help="Address of the service.",
    )
    api_key = click.option(
        "--api-key", envvar="IMAGE_SEARCH_API_KEY", show_envvar=True, help="Where it wants one."
    )
    return server(api_key(command))
