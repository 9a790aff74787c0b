"""`mur`: the way in. Turns every end of a run into an exit code, and never into a traceback."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

from murmuration.cli import shortcut
from murmuration.cli.errors import INTERRUPTED, OK, PIPE_CLOSED, Failure, Usage
from murmuration.cli.session import Options, Session, clock


def main() -> None:
    """Run the command line of this process and exit with its code."""
    gc.disable()  # a run is short and ends with the process; `follow` turns it on again
    code = run(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # taking the interpreter apart costs a tenth of the run and gives nothing back


def run(arguments: Sequence[str], *, now: Callable[[], datetime] = clock) -> int:
    """Run one command line (without the program's name); the exit code. Prints, never raises."""
    try:
        code = _run(arguments, lambda options: Session(options, now=now))
        sys.stdout.flush()
        return code
    except Failure as failure:
        _explain(failure, as_json="--json" in arguments)
        return failure.code
    except BrokenPipeError:
        # Python flushes stdout once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str], session_of: Callable[[Options], Session]) -> int:
    if found := shortcut.match(arguments):
        from murmuration.cli.loading import load

        command, words, options = found
        return load(command)(*words, session=session_of(options)) or OK
    if list(arguments) == ["--version"]:
        from murmuration.cli.output import write_text
        from murmuration.cli.version import version

        write_text(version())
        return OK
    from cyclopts import CycloptsError

    from murmuration.cli.app import build

    try:
        code = build(session_of).meta(list(arguments))
        return code if isinstance(code, int) else OK
    except CycloptsError as error:
        sentence = " ".join(str(error).split())
        words = " ".join(("mur", *(error.command_chain or ())))
        raise Usage(sentence, f"`{words} --help` shows what there is.") from error


def _explain(failure: Failure, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        sys.stderr.write(msgspec.json.encode(failure.problem).decode() + "\n")
        return
    _write_error(failure.sentence, failure.hint)


def _write_error(sentence: str, hint: str) -> None:
    sys.stderr.write(f"mur: {sentence}\n")
    if hint:
        sys.stderr.write(f"     {hint}\n")


if __name__ == "__main__":
    main()
