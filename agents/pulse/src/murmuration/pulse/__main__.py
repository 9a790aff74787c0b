"""Start: `python -I -S -E …/murmuration/pulse/__main__.py STATE_DIR`, or `-m murmuration.pulse`.

Started by path in isolated mode nothing but the standard library is importable, so the folder that
holds `murmuration` is put behind it; the modules then come from their compiled files, which keeps
the compiler out of this process' memory.
"""

import sys


def start() -> int:
    """Run the sender until it is told to stop; the process' exit status."""
    if not __package__:
        sys.path.append(__file__.rsplit("/", 3)[0])
    from murmuration.pulse.sender import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
