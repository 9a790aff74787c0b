"""Start: `python -I -S -E …/murmuration/watchdog/__main__.py KEY=VALUE …`. Exit 2: cannot start.

    device=/dev/watchdog socket=/run/murmuration-watchdog/socket
    folder=/var/lib/murmuration-watchdog timeout_s=60 user=UID require=NAME:SECONDS boot_id=UUID

`user` (who may hold conditions besides root) and `require` (a lease that runs from the start) may
be repeated. Started by path in isolated mode nothing but the standard library is importable, so the
folder that holds `murmuration` is put behind it.
"""

import sys


def start() -> int:
    """Pet until told to stop; the process' exit status."""
    if not __package__:
        sys.path.append(__file__.rsplit("/", 3)[0])
    from murmuration.watchdog.keeper import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
