"""`./just soak NAME` runs the long tests whose name has NAME in it; `--list` names them.

A long test is any test marked `soak`; `./just test` leaves them out. They have no time limit.
"""

import subprocess
import sys
from collections.abc import Sequence

PYTEST = (sys.executable, "-m", "pytest", "-m", "soak", "--timeout=0")
NO_TESTS = 5  # pytest's exit code when nothing was selected


def listed() -> list[str]:
    """The long tests there are, as file::test."""
    found = subprocess.run(
        [*PYTEST, "--collect-only", "-q"], check=False, capture_output=True, text=True
    )
    return [line for line in found.stdout.splitlines() if "::" in line]


def main(given: Sequence[str]) -> int:
    """Run the long tests of that name, or list them; the exit code is pytest's, 2 for no such."""
    if not given or given[0].startswith("-"):
        sys.stdout.write("".join(f"{name}\n" for name in listed()))
        return 0 if list(given) == ["--list"] else 2
    code = subprocess.run([*PYTEST, "-k", given[0], *given[1:]], check=False).returncode
    if code == NO_TESTS:
        sys.stderr.write(f"soak: no long test has {given[0]!r} in its name; see --list.\n")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
