"""The parser: what `mur` understands, its help and its completion, made from the catalogue."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from murmuration.cli.catalogue import (
    COMMANDS,
    DEFAULT_VERBS,
    ENVIRONMENT,
    EXIT_CODES,
    NOUNS,
    Command,
)
from murmuration.cli.errors import OK, Usage
from murmuration.cli.loading import Target, load
from murmuration.cli.session import TIMEOUT_S, Options, Session
from murmuration.cli.version import version

GLOBAL = Group("Options of every command", sort_key=9)
SUMMARY = "See and steer one Murmuration site from the command line."
START = """\
Examples
  mur site                       the site in one view
  mur host list                  every host and how it is
  mur event list --follow        what happens, as it happens
  mur alarm list --json          for programs: exactly what the API answers"""

_PARSED = r"^(?!session$)"  # the session is given, not typed


def _option(text: str) -> Parameter:
    return Parameter(help=text, group=GLOBAL)


def _examples(command: Command) -> str:
    return "Examples\n" + "\n".join(f"  {example}" for example in command.examples)


def _noun_examples(noun: str) -> str:
    examples = [c.examples[0] for c in COMMANDS if f"{c.noun} {c.verb} ".startswith(f"{noun} ")]
    return "Examples\n" + "\n".join(f"  {example}" for example in examples)


def _offered(command: Command) -> Target:
    """The command's function, its first word completed from what the site has."""
    function = load(command)
    if not command.completes:
        return function
    signature = inspect.signature(function)
    first, *others = signature.parameters.values()
    offered = first.replace(annotation=Annotated[str, Parameter(completer=_completer(command))])

    @wraps(function)
    def completed(*arguments: Any, **options: Any) -> int | None:
        return function(*arguments, **options)

    completed.__annotations__ = function.__annotations__ | {first.name: offered.annotation}
    vars(completed)["__signature__"] = signature.replace(parameters=[offered, *others])
    return completed


def _completer(command: Command) -> Callable[[object], list[tuple[str, str]]]:
    def candidates(_context: object) -> list[tuple[str, str]]:
        from murmuration.cli.candidates import candidates_of

        return candidates_of(command.completes)

    return candidates


def _noun_app(parent: App, nouns: dict[str, App], noun: str) -> App:
    """The app of a noun, made at its first command."""
    if noun not in nouns:
        nouns[noun] = App(
            name=noun.rpartition(" ")[2], help=NOUNS[noun], help_epilogue=_noun_examples(noun)
        )
        parent.command(nouns[noun])
    return nouns[noun]


def build(session_of: Callable[[Options], Session]) -> App:
    """The whole command line. Calling its `.meta` with tokens runs one command."""
    app = App(
        name="mur",
        help=SUMMARY,
        help_format="plaintext",
        help_epilogue=f"{START}\n\n{ENVIRONMENT}\n\n{EXIT_CODES}",
        version=version,
        default_parameter=Parameter(parse=_PARSED, negative=(), show_default=False),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    nouns: dict[str, App] = {}
    for command in COMMANDS:
        if not command.verb:
            app.command(_offered(command), name=command.noun, help_epilogue=_examples(command))
            continue
        noun, verb = _noun_app(app, nouns, command.noun), command.verb
        if " " in verb:
            below, _, verb = verb.partition(" ")
            noun = _noun_app(noun, nouns, f"{command.noun} {below}")
        noun.command(_offered(command), name=verb, help_epilogue=_examples(command))
        if DEFAULT_VERBS.get(command.noun) == command.verb:
            noun.default(_offered(command))

    @app.meta.default
    def launch(  # pyright: ignore[reportUnusedFunction]  # the decorator keeps it
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        json: Annotated[bool, _option("Print exactly what the API answers.")] = False,
        utc: Annotated[bool, _option("Show times in UTC instead of local time.")] = False,
        site: Annotated[str | None, _option("State folder of the site, or its site.json.")] = None,
        url: Annotated[str | None, _option("URL of the site, as `up` prints it.")] = None,
        token: Annotated[
            str | None, _option("Token of the site; MUR_TOKEN keeps it out of process lists.")
        ] = None,
        timeout: Annotated[
            float, _option(f"Seconds to wait for each answer, if not {TIMEOUT_S:g}.")
        ] = TIMEOUT_S,
    ) -> int:
        if not timeout > 0:
            raise Usage("--timeout must be more than 0 seconds.")
        command, bound, ignored = app.parse_args(tokens)
        options = Options(as_json=json, utc=utc, site=site, url=url, token=token, timeout_s=timeout)
        extra = {"session": session_of(options)} if "session" in ignored else {}
        return command(*bound.args, **bound.kwargs, **extra) or OK

    app.meta.suppress_keyboard_interrupt = False  # main turns it into an exit code
    return app
