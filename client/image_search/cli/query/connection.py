"""What the commands to a service share: a client whose errors end them, and a filter."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from image_search.cli.terminal import UNAVAILABLE, WANTS_KEY, json_object, shown

if TYPE_CHECKING:
    from image_search import Client

filter_option = click.option(
    "--filter",
    "conditions",
    metavar="JSON",
    callback=json_object,
    help="Conditions on the metadata.",
)


class _UnavailableError(click.ClickException):
    exit_code = UNAVAILABLE


@contextmanager
def client_of(server: str, api_key: str | None) -> "Iterator[Client]":
    """A client whose errors end the command: 1 where it was refused, 3 where nothing answers."""
    from image_search import (  # noqa: PLC0415
        AccessError,
        Client,
        ImageSearchError,
        RefusedError,
        UnauthorizedError,
    )

    try:
        with Client(server, api_key=api_key) as client:
            yield client
    except ImageSearchError as error:
        refused = isinstance(error, RefusedError) and not isinstance(error, AccessError)
        kind = click.ClickException if refused else _UnavailableError
        way = f" {WANTS_KEY}" if isinstance(error, UnauthorizedError) else ""
        raise kind(shown(error.message) + way) from error
    except ValueError as error:
        raise click.UsageError(shown(error)) from error
    except OSError as error:
        raise click.ClickException(shown(error)) from error
