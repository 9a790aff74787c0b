"""`./just bench NAME [--quick] [--plot FILE]` runs a benchmark; `--list` names them.

Prints a table, and as its last line one JSON object. Exits 0 when every target is met, 1 when one
is missed, 2 when it could not be run.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from bench import harness, plot


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for; exits 2 with one sentence when it is not understood."""
    parser = argparse.ArgumentParser(prog="just bench", description="Run one benchmark.")
    parser.add_argument("name", nargs="?", help="which one")
    parser.add_argument("--list", action="store_true", help="name them, with their rows")
    parser.add_argument("--quick", action="store_true", help="few repetitions: see that it works")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the run (.png, .svg, .pdf)")
    found = parser.parse_args(given)
    if not found.list and not found.name:
        parser.error("name a benchmark, or --list")
    return found


def show_list(console: Console) -> None:
    """Every benchmark with its title and the names of its rows."""
    for name in harness.names():
        benchmark = harness.find(name)
        rows = ", ".join(row.name for row in benchmark.ROWS)
        console.print(f"[bold]{name}[/]  {benchmark.TITLE}: {rows}", highlight=False)


def main(given: Sequence[str]) -> int:
    """Run what is asked for; the exit code."""
    wanted = arguments(given)
    console = Console()
    if wanted.list:
        show_list(console)
        return 0
    options = harness.Options(quick=wanted.quick)
    load = os.getloadavg()
    try:
        benchmark = harness.find(wanted.name)
        values = asyncio.run(benchmark.run(options))
        done = harness.report(wanted.name, benchmark.ROWS, values, load)
    except LookupError as error:
        sys.stderr.write(f"bench: {error.args[0]}\n")
        return 2
    console.print(harness.table(benchmark.TITLE, benchmark.ROWS, done))
    if wanted.plot:
        plot.draw(wanted.plot, benchmark.TITLE, done, options)
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    return 1 if any(row.met is False for row in done.rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
