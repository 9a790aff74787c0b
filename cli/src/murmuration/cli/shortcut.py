"""The short way to a command: no parser where there is nothing to parse.

Importing the parser takes longer than asking the site. A command line of a noun, a verb, exactly
the words the command needs, and no options but --json and --utc has one meaning only, so the
function is called at once; anything else goes to the parser. A test holds the two ways together.
"""

from collections.abc import Sequence

from murmuration.cli.catalogue import COMMANDS, DEFAULT_VERBS, Command
from murmuration.cli.session import Options

FLAGS = {"--json", "--utc"}
_BY_WORDS = {(command.noun, command.verb): command for command in COMMANDS}


def match(arguments: Sequence[str]) -> tuple[Command, list[str], Options] | None:
    """The command, its words and the options, or None when a parser has to look."""
    words = [argument for argument in arguments if argument not in FLAGS]
    if not words or any(word.startswith("-") or not word for word in words):
        return None
    noun, *rest = words
    verb = DEFAULT_VERBS.get(noun, "") if not rest else rest[0]
    command, taken = _BY_WORDS.get((noun, verb)), rest[1:]
    if command is None:
        command, taken = _BY_WORDS.get((noun, " ".join(rest[:2]))), rest[2:]
    if command is None or len(taken) != command.words:
        return None
    options = Options(as_json="--json" in arguments, utc="--utc" in arguments)
    return command, taken, options
