"""Commands of the service's own project, image-search-engine: imported where they are called.

The client names them, so that its help is the same everywhere, and knows nothing else of them.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import click


def engine_module(name: str, needed_by: str) -> ModuleType:
    """A module of the service's project.

    Args:
        name: of the module.
        needed_by: what the person has asked for, as it is written: `image-search check`.

    Raises:
        click.ClickException: the project is not installed here.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name.partition(".")[0]:
            raise
        raise click.ClickException(
            f"{needed_by} needs image-search-engine, the service itself, which is not installed"
            " here: call it where the service is"
        ) from None


class EngineCommand(click.Command):
    """Stands for a command of the service's project in the list of all.

    Args:
        name: of the command.
        module: that has it.
        attribute: that it is there.
        summary: its line in the list.
    """

    def __init__(self, name: str, module: str, attribute: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self._named, self._module, self._attribute = name, module, attribute

    def load(self) -> click.Command:
        """The command itself.

        Raises:
            click.ClickException: the project is not installed here.
        """
        module = engine_module(self._module, f"image-search {self._named}")
        command: click.Command = getattr(module, self._attribute)
        return command


class Commands(click.Group):
    """Group of commands of which some are the service's."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called, and what it is called with."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, EngineCommand) else command, rest


def engine_commands() -> list[EngineCommand]:
    """All commands of the service's project."""
    table: list[tuple[Any, ...]] = [
        ("demo", "cli.demo", "demo", "Show the whole service at work, offline."),
        ("check", "cli.offline.commands", "check", "Look at every file of the index for damage."),
        ("reembed", "cli.offline.commands", "reembed", "Move the index to another model."),
        ("bulk", "cli.bulk.command", "bulk", "Index very many images."),
        ("convert", "cli.offline.convert", "convert", "Convert the models for OpenVINO ahead."),
        ("models", "cli.models.command", "models", "Compare published models."),
    ]
    return [EngineCommand(*each) for each in table]
