"""A switch that nobody watches is found lost by what hangs on it.

Most sites have no alarm from their switches: what is seen is that all hosts behind one go silent at
once. When nearly all unlocked hosts cabled to a switch are cut within a minute, fm itself raises
300.020 on the switch, which then explains them all; the alarm goes when hosts are back.

Invariants: a conclusion rests on `HOSTS_MIN` hosts at least; it is drawn above `LOST_SHARE` and
taken back below `BACK_SHARE`, so that it does not flap; nothing but alarms and cabling counts.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from murmuration.fm.core.entities import HOST, value
from murmuration.fm.core.faults import Fault
from murmuration.fm.core.topology import Topology
from murmuration.proto.entities import components

SWITCH_LOST = "300.020"
HOSTS_MIN = 3  # two hosts may fail together by chance
LOST_SHARE = 0.8
BACK_SHARE = 0.5
TOGETHER_S = 60.0  # detection on ports and by heartbeat differs by seconds, reboots by minutes
HOST_SILENT = frozenset({"200.004", "200.005", "200.009"})
PORT_DOWN = frozenset({"100.106", "100.108", "100.110", "100.112", "300.001"})
EVIDENCE = HOST_SILENT | PORT_DOWN

OnHost = Callable[[str], Iterable[Fault]]


class Outage(NamedTuple):
    """What is seen behind a switch."""

    hosts: int  # unlocked, cabled to it
    cut: int  # of them, silent or with that port down, most of them together
    first_at: float = 0.0  # of these, seconds since 1970
    last_at: float = 0.0

    @property
    def lost(self) -> bool:
        """Whether the switch must be lost."""
        return self.hosts >= HOSTS_MIN and self.cut >= LOST_SHARE * self.hosts

    @property
    def back(self) -> bool:
        """Whether it cannot be lost any more."""
        return self.hosts < HOSTS_MIN or self.cut < BACK_SHARE * self.hosts

    def sentence(self, switch: str) -> str:
        """The conclusion and its evidence."""
        spread_s = self.last_at - self.first_at
        return (
            f"switch {switch} is lost: {self.cut} of the {self.hosts} unlocked hosts cabled to it "
            f"were cut off within {spread_s:.1f} s"
        )


def outage_of(switch: str, topology: Topology, evidence: OnHost) -> Outage:
    """What is seen behind this switch; `evidence` gives a host's alarms of EVIDENCE."""
    hosts = [host for host in topology.behind(switch) if not topology.of(host).locked]
    times = sorted(
        at for host in hosts if (at := _cut_at(host, switch, topology, evidence)) is not None
    )
    first, last = _together(times)
    if not last:
        return Outage(len(hosts), 0)
    return Outage(len(hosts), last - first, times[first], times[last - 1])


def switches_of(fault: Fault, topology: Topology) -> Iterable[str]:
    """The switches about which an alarm says something."""
    if fault.alarm_id not in EVIDENCE:
        return ()
    uplinks = topology.of(value(components(fault.entity), HOST)).uplinks.values()
    return {uplink.switch for uplink in uplinks}


def _cut_at(host: str, switch: str, topology: Topology, evidence: OnHost) -> float | None:
    """When a host was first seen cut off from a switch; None: it is not."""
    uplinks = topology.of(host).uplinks
    times = [
        fault.raised_at
        for fault in evidence(host)
        if fault.alarm_id in HOST_SILENT
        or (
            (there := uplinks.get(value(components(fault.entity), "port"))) is not None
            and there.switch == switch
        )
    ]
    return min(times, default=None)


def _together(times: list[float]) -> tuple[int, int]:
    """The largest run of times within TOGETHER_S of each other: first and past the last."""
    best, first = (0, 0), 0
    for last, at in enumerate(times, start=1):
        while at - times[first] > TOGETHER_S:
            first += 1
        if last - first > best[1] - best[0]:
            best = (first, last)
    return best
