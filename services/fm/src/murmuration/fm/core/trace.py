"""Traces: what the picture was made of, one input a line (JSON), to be replayed.

`[fm] trace` names the file that fm writes them to; `python -m murmuration.fm.replay TRACE` prints
what a trace comes to. A trace that shows a wrong cause becomes a test by being put beside the tests
with its right outcome.
"""

from collections.abc import Iterable, Iterator

import msgspec

from murmuration.fm.core.faults import UNCAUSED
from murmuration.fm.core.gates import FREE
from murmuration.fm.core.picture import Input, Picture
from murmuration.fm.core.rules import Rules
from murmuration.kernel.errors import Rejected

SLICE = 1_000
_ENCODER = msgspec.json.Encoder()


class Anew(msgspec.Struct, frozen=True, tag="anew"):
    """What was said before counts no more: fm begins again, and what follows is all there is."""


Said = Input | Anew
_DECODER = msgspec.json.Decoder(Said)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace comes to: who causes whom, and what is affected."""

    causes: dict[str, tuple[str, str]]  # alarm: (root, rule); alarms as `<id> <entity>`
    roots: tuple[str, ...]  # alarms that explain others, those that explain most first
    gates: dict[str, int]  # gates and degraded hosts: how many alarms affect them
    lost_switches: tuple[str, ...]


def encode(said: Said) -> bytes:
    """One line of a trace."""
    return _ENCODER.encode(said) + b"\n"


def decode(lines: Iterable[bytes]) -> Iterator[Said]:
    """The inputs of a trace, in order. Raises Rejected, naming the line that is wrong."""
    for number, line in enumerate(lines, start=1):
        try:
            yield _DECODER.decode(line)
        except msgspec.DecodeError as error:
            raise Rejected(f"line {number} of the trace: {error}") from error


def replay(inputs: Iterable[Said], rules: Rules) -> Outcome:
    """What these inputs come to."""
    picture = Picture(rules, {})
    for said in inputs:
        if isinstance(said, Anew):
            picture = Picture(rules, {})
        else:
            picture.take(said)
    while not picture.idle:
        picture.settle(SLICE)
    return outcome(picture)


def outcome(picture: Picture) -> Outcome:
    """What a picture shows, in words."""
    names = {one.uuid: f"{one.alarm_id} {one.entity}" for one in picture.correlator.faults()}
    causes: dict[str, tuple[str, str]] = {}
    explains: dict[str, int] = {}
    for one in picture.correlator.faults():
        if one.verdict != UNCAUSED:
            root = names[one.verdict.root]
            causes[names[one.uuid]] = (root, one.verdict.rule)
            explains[root] = explains.get(root, 0) + 1
    affected = ((subject, now) for subject, _, now in picture.derived() if now != FREE)
    return Outcome(
        causes=dict(sorted(causes.items())),
        roots=tuple(sorted(explains, key=lambda name: (-explains[name], name))),
        gates={subject.gate or subject.host: now.count for subject, now in affected},
        lost_switches=tuple(switch for switch, _, lost in picture.switches() if lost),
    )
