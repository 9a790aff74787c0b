"""What a benchmark is, where it was run, and how its rows are shown.

Invariant: a benchmark answers all its rows or fails; a row without a value is never printed.
"""

import importlib
import os
import pkgutil
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast

import msgspec
from rich.table import Table

import bench

NOT_BENCHMARKS = frozenset(
    {"__main__", "gateways", "harness", "monitoring", "mtce_site", "plot", "soak", "tests"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One figure: its unit, and what it must be at most (better="lower") or at least ("higher").

    Without a target it is for information.
    """

    name: str
    unit: str
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"

    def met(self, value: float) -> bool | None:
        """Whether `value` is as good as the target; None without one."""
        if self.target is None:
            return None
        return value <= self.target if self.better == "lower" else value >= self.target


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to run: `quick` asks for a few repetitions, to see that it works rather than to measure.

    What a benchmark appends to `samples`, by row or series name, `--plot` draws as a distribution.
    """

    quick: bool = False
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def sample(self, name: str, value: float) -> None:
        """Keep one measurement of a series for the plot."""
        self.samples.setdefault(name, []).append(value)


class Benchmark(Protocol):
    """What a module of this package has to be a benchmark."""

    TITLE: str
    ROWS: Sequence[Row]

    async def run(self, options: Options) -> Mapping[str, float]:
        """Measure. Returns a value for each of ROWS, in its unit; cleans up whatever it started."""
        ...


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran: a figure means nothing without it."""

    cpu: str
    count: int
    kernel: str
    python: str


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One row with its value; `met` is null when there is no target."""

    name: str
    value: float
    unit: str
    target: float | None
    met: bool | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a run, as JSON; `load` is the machine's 1, 5, 15 minutes before it."""

    bench: str
    machine: Machine
    load: tuple[float, float, float]
    rows: list[Measured]


def names() -> Iterator[str]:
    """The benchmarks there are, as the command line spells them."""
    for module in pkgutil.iter_modules(bench.__path__):
        if module.name not in NOT_BENCHMARKS:
            yield module.name.replace("_", "-")


def find(name: str) -> Benchmark:
    """The benchmark called `name`. Raises LookupError, naming those there are, when none is."""
    known = list(names())
    if name not in known:
        raise LookupError(f"no benchmark is called {name!r}; there are: {', '.join(known)}.")
    return cast("Benchmark", importlib.import_module(f"bench.{name.replace('-', '_')}"))


def machine() -> Machine:
    """This machine, without what identifies it."""
    cpu = platform.processor() or platform.machine()
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        cpu = found[1] if found else cpu
    except OSError:
        pass
    return Machine(
        cpu=cpu,
        count=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
    )


def report(
    name: str, rows: Sequence[Row], values: Mapping[str, float], load: tuple[float, float, float]
) -> Report:
    """The report of one run. Raises LookupError when rows and values are not of the same names."""
    odd = {row.name for row in rows} ^ set(values)
    if odd:
        raise LookupError(f"rows and values of {name} differ in {', '.join(sorted(odd))}.")
    measured = [
        Measured(
            name=row.name,
            value=values[row.name],
            unit=row.unit,
            target=row.target,
            met=row.met(values[row.name]),
        )
        for row in rows
    ]
    return Report(bench=name, machine=machine(), load=load, rows=measured)


def table(title: str, rows: Sequence[Row], done: Report) -> Table:
    """The rows for people."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("row")
    for column in ("value", "unit", "target"):
        shown.add_column(column, justify="right" if column != "unit" else "left")
    shown.add_column("met")
    for row, measured in zip(rows, done.rows, strict=True):
        bound = "≤" if row.better == "lower" else "≥"
        target = "" if row.target is None else f"{bound} {row.target:,g}"
        met = {True: "[green]yes", False: "[red]no", None: ""}[measured.met]
        shown.add_row(row.name, f"{measured.value:,.4g}", row.unit, target, met)
    return shown
