"""From an entry of the catalogue to its function, importing no more than that."""

import importlib
from collections.abc import Callable

from murmuration.cli.catalogue import Command

Target = Callable[..., int | None]  # an exit code, None for 0
COMMANDS_PACKAGE = "murmuration.cli.commands"


def load(command: Command) -> Target:
    """The function of a command."""
    module, _, function = command.target.partition(":")
    return getattr(importlib.import_module(f"{COMMANDS_PACKAGE}.{module}"), function)
