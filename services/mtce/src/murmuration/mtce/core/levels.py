"""The words of attendance: what becomes of a frame, how long a silence is, what is at fault."""

import enum
from typing import Final, NamedTuple

from murmuration.mtce.core.verdict_table import Outcome
from murmuration.proto.ids import HostName
from murmuration.proto.mtce import HeartbeatState


class Taken(enum.Enum):
    """What became of a frame."""

    FRESH = "fresh"
    LATE = "late"
    REPLAYED = "replayed"
    SURPLUS = "surplus"  # more of one host at once than its period allows
    PASSED_OVER = "passed_over"  # by UDP, not needed, so its MAC was not checked
    FOREIGN_BOOT = "foreign_boot"
    UNKNOWN_INDEX = "unknown_index"
    FOREIGN_SUBJECT = "foreign_subject"
    WRONG_MAC = "wrong_mac"
    MALFORMED = "malformed"


class Thresholds(NamedTuple):
    """Periods of silence, and pulses in a row; ascending."""

    minor: int = 4
    degraded: int = 6
    lost: int = 10
    good: int = 10


LAN: Final = Thresholds()
WAN: Final = Thresholds(minor=8, degraded=12, lost=20, good=20)  # routes change within 2 s


class PathNote(NamedTuple):
    """A way from a host to this monitor is at fault while the host lives; never a failure."""

    host: HostName
    fault: Outcome


class Level(enum.IntEnum):
    """HeartbeatState as a number that grows with silence."""

    AWAITED = 0
    WELL = 1
    MINOR = 2
    DEGRADED = 3
    LOST = 4


STATES: Final = tuple(HeartbeatState[level.name] for level in Level)  # by level
