"""`python -m murmuration.mtce.diagram [FILE]`: the machines of a host as a Mermaid page.

Writes FILE, or prints it; `--check FILE` exits 1 when the file is not current.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from murmuration.mtce.core import host_fsm
from murmuration.mtce.core.model import Condition
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.procedure import Procedure
from murmuration.mtce.core.procedures import PROCEDURES

HEAD = """\
# The machines of a host

Generated from the tables in `services/mtce/src/murmuration/mtce/core/*_fsm.py`; do not edit.

## The condition

Inputs: `well` ten pulses in a row, `minor` four periods silent, `degraded` six, `lost` ten on every
path, `down` the same where it was expected, `rebooted` another boot id; the others come from
operators and from the procedures below.
"""
SIGNS = """\
## Procedures

What may happen to them: `up` it beats well on another boot than the marked one, `back` on the same
boot, `outlived` likewise and its workload may run elsewhere, `lost` proven silent, `rebooted`
another boot is heard, `done` and `failed` the effect or the procedure waited for ended, `due` the
stage's time is over, `off` its BMC says that it is off, `spent` the cause failed too often, `storm`
and `calm` a cause shared with others. A pair that is not drawn means nothing there.
"""


def page() -> str:
    """The whole page."""
    rows = [f"| {condition.name.lower()} | {condition} |" for condition in Condition]
    table = "\n".join(["| state | shown as |", "|---|---|", *rows])
    drawn = f"```mermaid\n{host_fsm.MACHINE.diagram()}```\n"
    parts = [f"{HEAD}\n{drawn}\n{table}\n", SIGNS]
    parts += ["\n".join(_procedure(each)) for each in PROCEDURES.values()]
    return "\n".join(parts)


def _procedure(procedure: Procedure) -> Iterator[str]:
    yield f"### {procedure.name}\n\n```mermaid\n{procedure.machine.diagram()}```\n"
    yield "| stage | what is done | effect | at most (default) |\n|---|---|---|---|"
    for stage, entry in procedure.entries.items():
        effect = entry.effect.value if entry.effect else ""
        effect += ", once" if entry.effect and entry.effect.once else ""
        waits = f" (`{entry.sub}`)" if entry.sub else ""
        yield f"| {stage.value} | {entry.text}{waits} | {effect} | {_time(entry.timer)} |"
    yield ""


def _time(timer: str) -> str:
    policy = Policy()
    match timer:
        case "":
            return ""
        case "boot_s":
            return f"{policy.worker_boot_s:g} s, controller {policy.controller_boot_s:g} s"
        case "rest":
            return f"{policy.rest_s:g} s, for the heartbeat {policy.rest_heartbeat_s:g} s"
        case _:
            return f"{getattr(policy, timer):g} s"


def main(arguments: list[str]) -> int:
    """Print, write or check the page; returns the exit code."""
    if not arguments:
        sys.stdout.write(page())
        return 0
    path = Path(arguments[-1])
    if arguments[0] == "--check":
        current = path.exists() and path.read_text() == page()
        if not current:
            sys.stderr.write(f"{path} is not current: python -m murmuration.mtce.diagram {path}\n")
        return int(not current)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
