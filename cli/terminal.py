"""What commands share: options of a service, JSON options, text that is safe for a terminal."""

import json
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

UNAVAILABLE = 3
"""Exit status where the service cannot be reached."""

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def to_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: add `--server` and `--api-key`, the options of every command to a service."""
    server = click.option(
        "--server",
        envvar="IMAGE_SEARCH_SERVER",
        default="http://127.0.0.1:3000",
        show_default=True,
        show_envvar=True,
        help="Address of the service.",
    )
    api_key = click.option(
        "--api-key",
        envvar="IMAGE_SEARCH_API_KEY",
        show_envvar=True,
        help="API key, if the service requires one.",
    )
    return server(api_key(command))


def json_object(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
    """Value of an option that takes a JSON object; None where it is not given."""
    try:
        given = None if text is None else json.loads(text)
    except ValueError:
        given = ""
    if text is not None and not isinstance(given, dict):
        raise click.BadParameter("""must be a JSON object such as '{"shop": "A"}'""")
    return given


def shown(text: object) -> str:
    """Text with control characters, direction marks and the like escaped, as in JSON.

    Whoever adds an image chooses its metadata, and so what a terminal would be told to do.
    """
    safe = (_escaped(one) if unicodedata.category(one) in _UNSAFE else one for one in str(text))
    return "".join(safe)


def json_line(value: Any) -> str:
    """One line of JSON in plain ASCII."""
    return json.dumps(value, default=datetime.isoformat).replace("\x7f", "\\u007f")


def _escaped(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08x}"
