"""What stands where: hosts, what they are for, and which switch port each of their links ends at.

A mirror of what sysinv and mtce say, kept as small as correlation needs it. Links are known by
LLDP (IEEE 802.1AB): who is at the other end of the cable.

Invariants: a host is placed once; `behind` is the exact inverse of the hosts' uplinks, `in_storm`
that of their storms.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Uplink(NamedTuple):
    """The far end of one cable, by LLDP: the switch's system name and its port."""

    switch: str
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One host: what it is for, its states in one word, and its uplinks by interface name.

    `storm`: what mtce puts its silence down to, the entity of an alarm; empty when to nothing.
    """

    personality: str = ""
    locked: bool = False
    condition: str = ""
    uplinks: Mapping[str, Uplink] = field(default_factory=dict[str, Uplink])
    storm: str = ""


NOWHERE = Place()


class Topology:
    """All hosts by name, the hosts behind each switch, and those in each storm."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._behind: dict[str, set[str]] = {}
        self._in_storm: dict[str, set[str]] = {}

    def place(self, host: str, place: Place | None) -> bool:
        """Put a host where it is now, None: it is gone; returns whether anything changed."""
        before = self._places.get(host)
        if before == place:
            return False
        for uplink in (before or NOWHERE).uplinks.values():
            self._behind.get(uplink.switch, set[str]()).discard(host)
        self._in_storm.get((before or NOWHERE).storm, set[str]()).discard(host)
        if place is None:
            del self._places[host]
            return True
        self._places[host] = place
        for uplink in place.uplinks.values():
            self._behind.setdefault(uplink.switch, set()).add(host)
        if place.storm:
            self._in_storm.setdefault(place.storm, set()).add(host)
        return True

    def of(self, host: str) -> Place:
        """Where a host is; a host nobody told of is nowhere."""
        return self._places.get(host, NOWHERE)

    def behind(self, switch: str) -> Collection[str]:
        """The hosts with a cable to this switch."""
        return self._behind.get(switch, ())

    def in_storm(self, entity: str) -> Collection[str]:
        """The hosts whose silence is put down to this entity."""
        return self._in_storm.get(entity, ())

    def hosts(self) -> Collection[str]:
        """The names of all hosts."""
        return self._places.keys()
