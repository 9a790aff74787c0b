"""What fm keeps for operators beside its alarms: suppressions, degraded hosts, gates.

Few and small; asked for as whole lists. Invariant, as for all state: the highest (epoch, change)
of a key wins, whether it came by event or by state cache.
"""

import msgspec

from murmuration.gateway.core.model import Part
from murmuration.proto.envelope import Version
from murmuration.proto.fm_derived import (
    DegradeAsserted,
    DegradeCleared,
    Gate,
    GateBlocked,
    GateFreed,
    GateState,
    HostDegrade,
)
from murmuration.proto.fm_operators import Suppression, SuppressionChanged

SUPPRESSION, DEGRADE, GATE = "suppression ", "degrade ", "gate "
DERIVED = (
    SUPPRESSION,
    DEGRADE,
    GATE,
)  # how identities of these nouns begin; an alarm's with its id


class DerivedFacts:
    """Suppressions by id, degraded hosts by name, gates by name."""

    def __init__(self) -> None:
        self._parts: Part[msgspec.Struct] = Part()

    def begin(self, epoch: int) -> None:
        """Drop all of older epochs."""
        self._parts.begin(epoch)

    def take(self, key: str, version: Version, value: msgspec.Struct | None) -> None:
        """Take a state, or (None) that there is none any more."""
        self._parts.begin(version.epoch)
        if value is None:
            self._parts.remove(key, version)
        else:
            self._parts.put(key, version, value)

    def apply(self, payload: msgspec.Struct | None, version: Version) -> None:
        """Take an event; one of something else changes nothing."""
        match payload:
            case SuppressionChanged(suppression=suppression, active=active):
                key = SUPPRESSION + suppression.id
                self.take(key, version, suppression if active else None)
            case DegradeAsserted(host=host, degrade=degrade):
                self.take(DEGRADE + host, version, degrade)
            case DegradeCleared(host=host):
                self.take(DEGRADE + host, version, None)
            case GateBlocked(state=state) | GateFreed(state=state):
                self.take(GATE + state.gate, version, state)
            case _:
                pass

    @property
    def suppressions(self) -> tuple[Suppression, ...]:
        """Those in force, oldest first."""
        wanted = (value for value in self._parts.values if isinstance(value, Suppression))
        return tuple(sorted(wanted, key=lambda each: (each.created_at, each.id)))

    @property
    def degrades(self) -> tuple[HostDegrade, ...]:
        """Degraded hosts, by name."""
        wanted = (value for value in self._parts.values if isinstance(value, HostDegrade))
        return tuple(sorted(wanted, key=lambda each: each.host))

    @property
    def gates(self) -> tuple[GateState, ...]:
        """The gates that fm has told of, strictest first."""
        found = self._parts.values
        states = {value.gate: value for value in found if isinstance(value, GateState)}
        return tuple(states[gate] for gate in Gate if gate in states)
