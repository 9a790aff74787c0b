"""`python -m murmuration.mtce.replay TRACE`: a recorded trace, through the machines of today."""

import sys
from pathlib import Path
from typing import Any

from murmuration.kernel.errors import Rejected
from murmuration.mtce.core.trace import Line, decode, replay

USAGE = "usage: python -m murmuration.mtce.replay TRACE"


def main(arguments: list[str]) -> int:
    """Print what comes of each call, and where it is not what was recorded.

    Returns the exit code: 0 when all is as recorded, 1 when not, 2 when the trace is none.
    """
    if len(arguments) != 1:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    calls = others = 0
    try:
        with Path(arguments[0]).open("rb") as trace:
            for line in decode(trace):
                made = replay(line)
                calls += 1
                others += made != line.steps
                sys.stdout.write("".join(f"{said}\n" for said in _told(line, made)))
    except (Rejected, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{calls - others} of {calls} calls came to what was recorded\n")
    return 1 if others else 0


def _told(line: Line, made: list[Any]) -> list[str]:
    head = f"{line.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {line.host} {line.call}"
    if made == line.steps:
        return [f"{head}: {step['reason']}" for step in made]
    now, then = ("; ".join(step["reason"] for step in steps) for steps in (made, line.steps))
    parts = sorted(_differing(made, line.steps))
    return [f"{head}: OTHERWISE in {', '.join(parts)}", f"  now: {now}", f"  then: {then}"]


def _differing(made: list[Any], recorded: list[Any]) -> set[str]:
    if len(made) != len(recorded):
        return {"how many steps"}
    return {
        part
        for one, other in zip(made, recorded, strict=True)
        for part in one
        if one[part] != other.get(part)
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
