"""One simulated host: what is wrong with it, what it has told, and where its heartbeat stands.

Four axes, kept apart: it runs or is killed; it may be frozen; its management link may be down; and
the way to the site may be cut, in one direction or both. Faults add up; healing mends all of them,
and a host that was killed boots anew.
Its reports follow the same machine as the real agent's.
"""

import enum
from dataclasses import dataclass, field

from murmuration.node.core.reporting_fsm import Reporting
from murmuration.proto import pulse
from murmuration.proto.pulse import Pulse
from murmuration.proto.sysinv import EnrolReply, Link, Personality
from murmuration.sim.core import plausible


class Cut(enum.Enum):
    """Which packets are lost on the way between a host and the site."""

    NONE = "none"
    BOTH = "both"
    FROM = "from"  # what the host sends
    TO = "to"  # what is sent to the host: only UDP still passes, for TCP needs answers


class Action(enum.Enum):
    """What can be done to a host."""

    KILL = "kill"
    FREEZE = "freeze"
    LINK_DOWN = "link-down"
    PARTITION = "partition"
    HEAL = "heal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A host as it was asked for."""

    name: str
    personality: Personality
    address: str = ""
    observe_only: bool = False


@dataclass(slots=True)
class SimHost:
    """The state of one host; owned and changed by the world alone."""

    declared: Declared
    boot_id: str
    incarnation: int
    operation_id: str
    running: bool = True
    frozen: bool = False
    link_up: bool = True
    cut: Cut = Cut.NONE
    data_up: bool = True
    enrolled: EnrolReply | None = None
    key: bytes = b""
    boot_bytes: bytes = b""
    subject: str = ""
    sequence: int = 0
    reporting: Reporting = field(default_factory=Reporting)
    busy: bool = False  # a request or a message of it is under way

    @property
    def name(self) -> str:
        """The host's name."""
        return self.declared.name

    @property
    def acts(self) -> bool:
        """Whether anything happens on it."""
        return self.running and not self.frozen

    @property
    def talks(self) -> bool:
        """Whether it and the site hear each other."""
        return self.acts and self.link_up and self.cut is Cut.NONE

    @property
    def heard(self) -> bool:
        """Whether a packet of it reaches the site, if it needs no answer."""
        return self.acts and self.link_up and self.cut in (Cut.NONE, Cut.TO)

    @property
    def condition(self) -> str:
        """What is wrong with it, in a few words; `well` when nothing is."""
        if not self.running:
            return "killed"
        faults = {
            "frozen": self.frozen,
            "link-down": not self.link_up,
            "partition": self.cut is not Cut.NONE,
        }
        return " ".join(name for name, there in faults.items() if there) or "well"

    def links(self) -> dict[str, Link]:
        """Its links as they are now, by name."""
        found = plausible.links_of(
            self.name,
            self.declared.address,
            management_up=self.link_up,
            data_up=self.data_up,
        )
        return {link.name: link for link in found}

    def enrol(self, reply: EnrolReply) -> None:
        """Take what the inventory gave."""
        self.enrolled = reply
        self.key = bytes.fromhex(reply.pulse_key)
        self.boot_bytes = bytes.fromhex(self.boot_id.replace("-", ""))
        self.subject = pulse.subject(reply.shard, reply.index)

    def beat(self, reply: EnrolReply, now_ns: int, *, by_nats: bool) -> bytes:
        """The next heartbeat's frame, sent at `now_ns`; it says when NATS is dead for the host."""
        self.sequence += 1
        return pulse.pack(
            Pulse(
                flags=0 if by_nats else pulse.FLAG_BUS_DOWN,
                period_ms=reply.pulse_period_ms,
                index=reply.index,
                load_percent=plausible.load_percent(reply.index, now_ns),
                sequence=self.sequence,
                sent_ns=now_ns,
                boot_id=self.boot_bytes,
            ),
            self.key,
        )

    def suffer(self, action: Action, cut: Cut = Cut.BOTH) -> None:
        """Break it; repeating changes nothing. Healing is `mend`, and `boot` after a kill."""
        if action is Action.KILL:
            self.running = False
        elif action is Action.FREEZE:
            self.frozen = True
        elif action is Action.LINK_DOWN:
            self.link_up = False
        elif action is Action.PARTITION:
            self.cut = cut

    def mend(self) -> None:
        """Unfreeze it and join its network."""
        self.frozen = False
        self.link_up = True
        self.cut = Cut.NONE

    def boot(self, *, boot_id: str, incarnation: int, operation_id: str) -> None:
        """Start it anew after a kill: nothing of its earlier life is known to it."""
        self.running = True
        self.boot_id = boot_id
        self.incarnation = max(incarnation, self.incarnation + 1)
        self.operation_id = operation_id
        self.enrolled = None
        self.sequence = 0
        self.data_up = True
        self.reporting = Reporting()
        self.busy = False
