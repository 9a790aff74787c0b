"""One simulated host: what is wrong with it, what it has told, and where its heartbeat stands.

Three axes, kept apart: it runs or is killed; while it runs it may be frozen; and its network may be
cut, by its own link or on the way. Healing mends all three; a host that was killed boots anew.
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
    """What keeps a host's messages from the site."""

    NONE = "none"
    LINK_DOWN = "link-down"  # its management link has no carrier
    PARTITION = "partition"  # the link is up, nothing passes


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
    def heard(self) -> bool:
        """Whether what it says reaches the site."""
        return self.acts and self.cut is Cut.NONE

    @property
    def condition(self) -> str:
        """What is wrong with it, in one word; `well` when nothing is."""
        if not self.running:
            return "killed"
        if self.frozen:
            return "frozen"
        return "well" if self.cut is Cut.NONE else self.cut.value

    def links(self) -> dict[str, Link]:
        """Its links as they are now, by name."""
        found = plausible.links_of(
            self.name,
            self.declared.address,
            management_up=self.cut is not Cut.LINK_DOWN,
            data_up=self.data_up,
        )
        return {link.name: link for link in found}

    def enrol(self, reply: EnrolReply) -> None:
        """Take what the inventory gave."""
        self.enrolled = reply
        self.key = bytes.fromhex(reply.pulse_key)
        self.boot_bytes = bytes.fromhex(self.boot_id.replace("-", ""))
        self.subject = pulse.subject(reply.shard, reply.index)

    def beat(self, reply: EnrolReply, now_ns: int) -> bytes:
        """The next heartbeat's frame, sent at `now_ns`."""
        self.sequence += 1
        return pulse.pack(
            Pulse(
                flags=0,
                period_ms=reply.pulse_period_ms,
                index=reply.index,
                load_percent=plausible.load_percent(reply.index, now_ns),
                sequence=self.sequence,
                sent_ns=now_ns,
                boot_id=self.boot_bytes,
            ),
            self.key,
        )

    def suffer(self, action: Action) -> None:
        """Break it; repeating changes nothing. Healing is `boot` and `mend`."""
        if action is Action.KILL:
            self.running = False
        elif action is Action.FREEZE:
            self.frozen = True
        elif action is Action.LINK_DOWN:
            self.cut = Cut.LINK_DOWN
        elif action is Action.PARTITION:
            self.cut = Cut.PARTITION

    def mend(self) -> None:
        """Unfreeze it and join its network."""
        self.frozen = False
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
