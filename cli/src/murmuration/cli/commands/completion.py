"""`mur completion`: the shell completes mur's words, and the names of hosts and alarms."""

import json
from typing import TYPE_CHECKING, Literal

from murmuration.cli.errors import Failed, Usage
from murmuration.cli.output import write_text
from murmuration.cli.session import Session

if TYPE_CHECKING:
    from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]


def install(*, shell: Shell | None = None, script_only: bool = False, session: Session) -> None:
    """Install completion for your shell, for you alone. May be repeated.

    Args:
        shell: The shell; found by itself when left out.
        script_only: Only write the script, and leave the shell's start file as it is.
    """
    kind = shell or _detect()
    try:
        path = _app(session).install_completion(shell=kind, add_to_startup=not script_only)
    except OSError as error:
        raise Failed(
            f"The completion script cannot be written: {error}.",
            "`mur completion print` writes it to stdout.",
        ) from error
    if session.as_json:
        session.print_json(json.dumps({"shell": kind, "path": str(path)}).encode())
        return
    write_text(f"Completion for {kind} is installed in {path}. Open a new shell to use it.")


def print_script(*, shell: Shell | None = None, session: Session) -> None:
    """Print the completion script of a shell.

    Args:
        shell: The shell; found by itself when left out.
    """
    kind = shell or _detect()
    script = _app(session).generate_completion(shell=kind)
    if session.as_json:
        session.print_json(json.dumps({"shell": kind, "script": script}).encode())
        return
    write_text(script)


def _app(session: Session) -> "App":
    from murmuration.cli.app import build

    return build(lambda _options: session)


def _detect() -> Shell:
    from cyclopts.completion import detect_shell
    from cyclopts.completion.detect import ShellDetectionError

    try:
        found = detect_shell()
    except ShellDetectionError:
        found = None
    match found:
        case "bash" | "zsh" | "fish":
            return found
        case _:
            raise Usage("Your shell cannot be told.", "Name it: --shell bash, zsh or fish.")
