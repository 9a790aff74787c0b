"""`python -m murmuration.site.reboot SOCKET HOST`: the reboot of a host that is a namespace.

What a machine's `systemctl reboot` is to it: the agent runs it when it is ordered to reboot.
"""

import sys
from pathlib import Path

from murmuration.site.control import ask
from murmuration.site.errors import SiteError


def main(arguments: list[str]) -> int:
    """Ask the supervisor; the process' exit code."""
    socket, host = arguments
    try:
        answer = ask(Path(socket), {"op": "lab", "action": "reboot", "host": host})
    except SiteError as error:
        answer = {"ok": False, "error": str(error)}
    if not answer["ok"]:
        sys.stderr.write(f"{answer['error']}\n")
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
