"""The contract between mtce and what runs on a host: orders to one agent, and what agents see.

Orders are requests to the agent of one host. Each is done at most once: the agent writes the
operation id to its disk before it acts, so that a repeat, also after a reboot, returns the first
answer. An order that is older in (epoch, change) than the newest one taken in, or past its expiry,
is refused as stale. What takes longer than a reply ends in a report of its own; asking again with
the same operation id tells the outcome too, so that a lost report costs nothing.

Observations go to the stream MTCE_OBSERVED, numbered per agent; the health of a host is told whole
whenever something about it changes and once a minute, so that the newest message is all there is to
know.
"""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Change, Epoch, Instant, OpenEnum, Payload
from murmuration.proto.fm import Severity
from murmuration.proto.registry import (
    BucketSpec,
    Kind,
    Permanence,
    StreamSpec,
    add_bucket,
    add_stream,
    declare,
)
from murmuration.proto.sysinv import Incarnation, Number

add_stream(
    StreamSpec(
        name="MTCE_OBSERVED",
        owner="mtce",
        subjects=("mtce.observed.>",),
        permanence=Permanence.OBSERVED,
        size_bytes_max=64 * 2**20,
        age_s_max=3_600,
        summary="What agents see of their hosts' health, and the outcome of what they were told.",
    )
)

CONDITIONS_MAX = 512  # of one host: beyond it the worst ones are told
PROCESSES_MAX = 100  # monitored on one host
READINGS_MAX = 512  # 256 sensors, 128 filesystems, and processor and memory by node

HostField = Annotated[str, Meta(max_length=63)]
OperationIdField = Annotated[str, Meta(min_length=8, max_length=64)]
Sentence = Annotated[str, Meta(max_length=1_024, description="one sentence for people")]
ItemName = Annotated[str, Meta(min_length=1, max_length=128)]


class AgentOrder(Payload, frozen=True, kw_only=True):
    """What every order to an agent bears; (epoch, change) is mtce's when it decided."""

    operation_id: OperationIdField
    host: HostField
    epoch: Epoch
    change: Change
    expires_at: Annotated[Instant, Meta(description="not carried out after this")]


class OrderOutcome(OpenEnum):
    """How far an order has come."""

    BEGUN = "begun"  # written down; the end is told by a report
    DONE = "done"
    FAILED = "failed"  # it was tried, and did not succeed: not tried again by itself
    LOST = "lost"  # begun, and the host or its agent ended before the end was seen
    UNKNOWN = "unknown"


class OrderReply(Payload, frozen=True, kw_only=True):
    """The agent's answer, the same for every repeat but for how far it has come."""

    operation_id: OperationIdField
    host: HostField
    boot_id: Annotated[str, Meta(description="boot that answers: another one after a reboot")]
    outcome: OrderOutcome
    reason: Sentence


@declare(
    Kind.COMMAND,
    type="node.host.reboot.v1",
    subject="node.cmd.{host}.reboot",
    publishers=("mtce",),
    subscribers=("node",),
    reply=OrderReply,
)
class RebootHost(AgentOrder, frozen=True, kw_only=True):
    """Reboot the host: orderly, and by the kernel alone when that takes too long."""

    orderly_s: Annotated[
        float, Meta(ge=0, le=600, description="seconds for services to stop; 0: at once")
    ] = 120.0


class InTestScope(OpenEnum):
    """Which tests of go-enabled are run: those of every host, or those of what it also serves."""

    MAIN = "main"
    SUBFUNCTION = "subfunction"
    UNKNOWN = "unknown"


@declare(
    Kind.COMMAND,
    type="node.host.test.v1",
    subject="node.cmd.{host}.intest",
    publishers=("mtce",),
    subscribers=("node",),
    reply=OrderReply,
)
class RunInTest(AgentOrder, frozen=True, kw_only=True):
    """Run the go-enabled tests; the result is reported as `mtce.host.tested`."""

    scope: InTestScope = InTestScope.MAIN
    deadline_s: Annotated[float, Meta(gt=0, le=3_600, description="for all tests together")] = 600.0


class ServicesAction(OpenEnum):
    """What is done with a host's services."""

    START = "start"
    STOP = "stop"
    UNKNOWN = "unknown"


class ServicesGroup(OpenEnum):
    """Whose services: the folder of scripts that is run."""

    CONTROLLER = "controller"
    WORKER = "worker"
    STORAGE = "storage"
    UNKNOWN = "unknown"


@declare(
    Kind.COMMAND,
    type="node.host.services.v1",
    subject="node.cmd.{host}.services",
    publishers=("mtce",),
    subscribers=("node",),
    reply=OrderReply,
)
class SwitchServices(AgentOrder, frozen=True, kw_only=True):
    """Start or stop the host's services by its scripts; reported as `services_switched`."""

    action: ServicesAction
    group: ServicesGroup
    deadline_s: Annotated[float, Meta(gt=0, le=3_600, description="for all scripts")] = 300.0


@declare(
    Kind.COMMAND,
    type="node.host.wipe.v1",
    subject="node.cmd.{host}.wipe",
    publishers=("mtce",),
    subscribers=("node",),
    reply=OrderReply,
)
class WipeHost(AgentOrder, frozen=True, kw_only=True):
    """Run the configured wipe program before the host is given away; refused where none is."""


class ConditionKind(OpenEnum):
    """What a condition of a host's health is about."""

    PROCESS = "process"  # a monitored process is down for good
    RESOURCE = "resource"  # processor or memory over a threshold
    FILESYSTEM = "filesystem"  # fill level over a threshold
    STALL = "stall"  # a filesystem does not take a write
    SENSOR = "sensor"
    LINK = "link"
    MONITOR = "monitor"  # a monitor itself cannot do its work
    UNKNOWN = "unknown"


class AskedAction(OpenEnum):
    """What the operator's policy asks of mtce for a condition; the agent never does it itself."""

    NONE = "none"
    RESET = "reset"
    POWER_CYCLE = "power-cycle"
    UNKNOWN = "unknown"


class Condition(Payload, frozen=True, kw_only=True):
    """Something that is wrong on a host now."""

    kind: ConditionKind
    name: ItemName
    severity: Severity
    asked: AskedAction = AskedAction.NONE
    reason: Sentence
    since: Instant


class ProcessState(OpenEnum):
    """Where the monitor is with a process."""

    WAITING = "waiting"  # its start is not due yet
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    FAILED = "failed"  # over its restarts, or not answering: the condition stands
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class ProcessView(Payload, frozen=True, kw_only=True):
    """One monitored process."""

    name: ItemName
    state: ProcessState
    severity: Severity
    pid: Annotated[int, Meta(ge=0, description="0: none")] = 0
    restart_count: Annotated[int, Meta(ge=0, description="by the monitor, since it started")] = 0
    quorum: Annotated[bool, Meta(description="the watchdog bites when it cannot be kept up")] = (
        False
    )


class Reading(Payload, frozen=True, kw_only=True):
    """One measured value: a sensor, or how far a resource is used."""

    kind: ConditionKind
    name: ItemName
    value: Annotated[float, Meta(description="in `unit`")]
    unit: Annotated[str, Meta(max_length=16, description="%, C, V, W, A, rpm, …")]
    severity: Annotated[Severity | None, Meta(description="none: within its thresholds")] = None


@declare(
    Kind.OBSERVED,
    type="mtce.host.health_observed.v1",
    subject="mtce.observed.{host}.health",
    stream="MTCE_OBSERVED",
    publishers=("node",),
    subscribers=("mtce",),
)
class HostHealth(Payload, frozen=True, kw_only=True):
    """Everything that is wrong on a host now, and what its monitors measure."""

    host: HostField
    incarnation: Incarnation
    n: Number
    boot_id: str
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=CONDITIONS_MAX)] = ()
    processes: Annotated[tuple[ProcessView, ...], Meta(max_length=PROCESSES_MAX)] = ()
    readings: Annotated[tuple[Reading, ...], Meta(max_length=READINGS_MAX)] = ()
    observed_at: Instant


class EndKind(OpenEnum):
    """How a boot, or only the agent of a host, comes to its end."""

    REBOOTING = "rebooting"
    POWERING_OFF = "powering-off"
    AGENT_STOPPING = "agent-stopping"  # the host goes on
    UNKNOWN = "unknown"


@declare(
    Kind.OBSERVED,
    type="mtce.host.ending.v1",
    subject="mtce.observed.{host}.ending",
    stream="MTCE_OBSERVED",
    publishers=("node",),
    subscribers=("mtce",),
)
class HostEnding(Payload, frozen=True, kw_only=True):
    """The last gasp: the host, or its agent, is about to end, and this is wanted."""

    host: HostField
    incarnation: Incarnation
    n: Number
    boot_id: str
    kind: EndKind
    reason: Sentence = ""
    observed_at: Instant


class PreviousEnd(OpenEnum):
    """How the boot before this one ended, as far as traces on the host tell."""

    FIRST_BOOT = "first-boot"  # nothing is known of an earlier one
    ORDERLY = "orderly"  # it said good-bye
    PANIC = "panic"  # the kernel left a record
    WATCHDOG = "watchdog"  # petting was stopped on purpose; the record says why
    LOST = "lost"  # neither: power, reset, or a hang without a trace
    UNKNOWN = "unknown"


@declare(
    Kind.OBSERVED,
    type="mtce.host.booted.v1",
    subject="mtce.observed.{host}.booted",
    stream="MTCE_OBSERVED",
    publishers=("node",),
    subscribers=("mtce",),
)
class HostBooted(Payload, frozen=True, kw_only=True):
    """A host has come up: how the boot before ended. Sent once for each boot."""

    host: HostField
    incarnation: Incarnation
    n: Number
    boot_id: str
    previous_boot_id: Annotated[str, Meta(description="empty: none is known")] = ""
    previous_end: PreviousEnd
    record: Annotated[str, Meta(max_length=4_096, description="the last lines of it")] = ""
    observed_at: Instant


class ScriptFailure(Payload, frozen=True, kw_only=True):
    """One script that did not succeed."""

    script: ItemName
    reason: Sentence


@declare(
    Kind.OBSERVED,
    type="mtce.host.tested.v1",
    subject="mtce.observed.{host}.tested",
    stream="MTCE_OBSERVED",
    publishers=("node",),
    subscribers=("mtce",),
)
class HostTested(Payload, frozen=True, kw_only=True):
    """The go-enabled tests have ended; any failure fails the host."""

    host: HostField
    incarnation: Incarnation
    n: Number
    boot_id: str
    operation_id: OperationIdField
    scope: InTestScope
    passed: bool
    script_count: Annotated[int, Meta(ge=0)] = 0
    failures: Annotated[tuple[ScriptFailure, ...], Meta(max_length=32)] = ()
    cached: Annotated[bool, Meta(description="an earlier pass of this boot was still good")] = False
    observed_at: Instant


@declare(
    Kind.OBSERVED,
    type="mtce.host.services_switched.v1",
    subject="mtce.observed.{host}.services",
    stream="MTCE_OBSERVED",
    publishers=("node",),
    subscribers=("mtce",),
)
class ServicesSwitched(Payload, frozen=True, kw_only=True):
    """The scripts that start or stop a host's services have ended."""

    host: HostField
    incarnation: Incarnation
    n: Number
    boot_id: str
    operation_id: OperationIdField
    action: ServicesAction
    group: ServicesGroup
    passed: bool
    script_count: Annotated[int, Meta(ge=0)] = 0
    failures: Annotated[tuple[ScriptFailure, ...], Meta(max_length=32)] = ()
    observed_at: Instant


@declare(
    Kind.EVENT,
    type="mtce.host.health_changed.v1",
    subject="mtce.event.host.health_changed.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class HostHealthChanged(Payload, frozen=True, kw_only=True):
    """A host's conditions or monitored processes changed, as its agent sees them."""

    health: HostHealth
    appeared: Annotated[tuple[str, ...], Meta(description="conditions, as kind/name")] = ()
    gone: Annotated[tuple[str, ...], Meta(description="conditions, as kind/name")] = ()
    reason: Sentence


@declare(
    Kind.EVENT,
    type="mtce.host.came_up.v1",
    subject="mtce.event.host.came_up.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class HostCameUp(Payload, frozen=True, kw_only=True):
    """A host has booted; how the boot before ended, dying told from lost."""

    host: HostField
    boot_id: str
    previous_boot_id: str = ""
    previous_end: PreviousEnd
    record: Annotated[str, Meta(max_length=4_096)] = ""
    reason: Sentence


@declare(
    Kind.QUERY,
    type="mtce.host.health.v1",
    subject="mtce.query.host.health",
    publishers=("gateway",),
    subscribers=("mtce",),
    reply=HostHealth,
)
class AskHealth(Payload, frozen=True, kw_only=True):
    """Ask what a host's agent last said of its health."""

    host: HostField


add_bucket(
    BucketSpec(
        name="mtce_health",
        owner="mtce",
        payload=HostHealth,
        readers=("gateway",),
        summary="Health of hosts as their agents see it, by name.",
    )
)

Observation = HostHealth | HostEnding | HostBooted | HostTested | ServicesSwitched
Order = RebootHost | RunInTest | SwitchServices | WipeHost
