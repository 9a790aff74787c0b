"""`python -m murmuration.fm.replay TRACE [FOLDER OF RULES]`: what a recorded trace comes to."""

import sys
from pathlib import Path

import msgspec

from murmuration.fm.core.rules import read_rules
from murmuration.fm.core.trace import decode, replay
from murmuration.fm.rules import builtin, files
from murmuration.kernel.errors import Rejected

USAGE = "usage: python -m murmuration.fm.replay TRACE [FOLDER OF RULES]"


def main(arguments: list[str]) -> int:
    """Print the outcome as JSON; returns the exit code: 2 when the trace or the rules are wrong."""
    if len(arguments) not in {1, 2}:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    try:
        more = files(Path(arguments[1])) if len(arguments) > 1 else []
        rules = read_rules([*builtin(), *more])
        with Path(arguments[0]).open("rb") as trace:
            found = replay(decode(trace), rules)
    except (Rejected, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = msgspec.json.format(msgspec.json.encode(found)).decode()
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
