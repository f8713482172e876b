"""What commands share: options of a service, JSON options, text that is safe for a terminal."""

import json
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

UNAVAILABLE = 3
"""Exit status where the service cannot be reached."""

WANTS_KEY = "(IMAGE_SEARCH_API_KEY, --api-key-file)"
"""Where a key is given, for those who are refused without one."""

_FILE = "api_key_file"
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def to_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: add the options of every command to a service; the key comes as `api_key`."""

    @wraps(command)
    def with_key(*, api_key: str | None, api_key_file: Path | None, **given: Any) -> Any:
        return command(api_key=_key(api_key, api_key_file), **given)

    server = click.option(
        "--server",
        envvar="IMAGE_SEARCH_SERVER",
        default="http://127.0.0.1:3000",
        show_default=True,
        show_envvar=True,
        help="Address of the service.",
    )
    file = click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="IMAGE_SEARCH_API_KEY_FILE",
        show_envvar=True,
        help="File that holds the API key, if the service requires one.",
    )
    api_key = click.option(
        "--api-key",
        envvar="IMAGE_SEARCH_API_KEY",
        show_envvar=True,
        help="The API key itself. As an option other users of this machine can see it (ps): rather"
        " give it by the variable, or a file.",
    )
    return server(file(api_key(with_key)))


def _key(key: str | None, file: Path | None) -> str | None:
    """The key: the command line goes before the environment, and a file before a key.

    Raises:
        click.UsageError: the file cannot be read, or holds something else than a key.
    """
    source = click.get_current_context().get_parameter_source
    is_typed = {name: source(name) is ParameterSource.COMMANDLINE for name in ("api_key", _FILE)}
    if file is None or (is_typed["api_key"] and not is_typed[_FILE]):
        return key
    try:
        held = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        held = []
    if len(held) != 1:
        raise click.UsageError(f"{shown(file)} must hold an API key, and nothing else")
    return held[0]


def failures_option(help: str) -> Callable[..., Any]:
    """The option that names a file for what failed, as `FailureFile` writes it."""
    kind = click.Path(dir_okay=False, writable=True, path_type=Path)
    return click.option("--failures", type=kind, help=help)


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

    Whoever adds an image chooses its metadata, and so what a terminal would be told to do. Of an
    error of the system it is the file and the reason, without its number.
    """
    if isinstance(text, OSError) and text.filename and text.strerror:
        text = f"{text.filename}: {text.strerror}"
    safe = (_escaped(one) if unicodedata.category(one) in _UNSAFE else one for one in str(text))
    return "".join(safe)


def json_line(value: Any) -> str:
    """One line of JSON in plain ASCII."""
    return json.dumps(value, default=datetime.isoformat).replace("\x7f", "\\u007f")


def _escaped(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08x}"
