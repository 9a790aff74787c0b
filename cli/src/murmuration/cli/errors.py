"""What can go wrong between a person and a site, and the exit code that says so.

Every failure is one sentence and what to do next. Exit codes are part of the interface.
"""

from murmuration.proto.api import Problem

OK = 0
FAILED = 1  # the site answered and refused, or could not do it
USAGE = 2  # the command line is wrong, or there is no site to talk to
NOT_REACHABLE = 3  # no answer: refused, timed out, broken off
INTERRUPTED = 130  # as shells count Ctrl-C
PIPE_CLOSED = 141  # as shells count a reader that went away


class Failure(Exception):
    """A command cannot go on. `code` is the exit code, `hint` what to do next (may be empty)."""

    code = FAILED
    title = "Failed"

    def __init__(self, sentence: str, hint: str = "", *, problem: Problem | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self._problem = problem

    @property
    def problem(self) -> Problem:
        """The failure as the API would tell it (RFC 9457); status 0 when no answer came."""
        if self._problem is not None:
            return self._problem
        return Problem(type="about:blank", title=self.title, status=0, detail=self.sentence)


class Failed(Failure):
    """The site answered, and the answer is no."""


class Usage(Failure):
    """The command line is wrong, or names no site."""

    code = USAGE
    title = "Usage"


class NotReachable(Failure):
    """The site gave no answer, so what became of a change is unknown."""

    code = NOT_REACHABLE
    title = "Not reachable"
