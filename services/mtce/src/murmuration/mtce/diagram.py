"""`python -m murmuration.mtce.diagram [FILE]`: the host's machine as a Mermaid page.

Writes FILE, or prints it; `--check FILE` exits 1 when the file is not current.
"""

import sys
from pathlib import Path

from murmuration.mtce.core.host_fsm import ALARMS, MACHINE
from murmuration.mtce.core.model import Condition

HEAD = """\
# The machine of a host

Generated from `services/mtce/src/murmuration/mtce/core/host_fsm.py`; do not edit.

Inputs: `well` ten pulses in a row, `minor` four periods silent, `degraded` six, `lost` ten on every
path, `rebooted` another boot id, `lock` and `unlock` as intended, `forget` removed.
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| {condition.name.lower()} | {condition} | {_alarms(condition)} |"
        for condition in Condition
    ]
    table = "\n".join(["| state | shown as | alarms |", "|---|---|---|", *rows])
    return f"{HEAD}\n```mermaid\n{MACHINE.diagram()}```\n\n{table}\n"


def _alarms(condition: Condition) -> str:
    kinds = sorted(ALARMS[condition])
    return ", ".join(f"{kind.alarm_id} {kind.severity.value}" for kind in kinds) or "none"


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
