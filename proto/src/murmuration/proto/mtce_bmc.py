"""mtce's contract out of band: BMCs and their sensors, and when a host's workload may move.

A release says that what ran in one boot of a host runs no more, and by what that is proven. It is
published once for each (host, boot, episode), and only with a proof.
"""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Instant, OpenEnum, Payload
from murmuration.proto.registry import BucketSpec, Kind, add_bucket, declare
from murmuration.proto.sysinv import BmcProtocol, HostBmc

SENSORS_MAX = 256  # of one host

HostField = Annotated[str, Meta(max_length=63)]
OperationIdField = Annotated[str, Meta(min_length=8, max_length=64)]
Sentence = Annotated[str, Meta(max_length=1_024, description="one sentence for people")]


class BmcPower(OpenEnum):
    """What a BMC last said of its machine's power."""

    ON = "on"
    OFF = "off"
    CHANGING = "changing"
    UNKNOWN = "unknown"  # it has not been heard


class BmcState(Payload, frozen=True, kw_only=True):
    """How a host's BMC is, as last audited."""

    host: HostField
    reachable: bool
    power: BmcPower = BmcPower.UNKNOWN
    protocol: Annotated[BmcProtocol, Meta(description="the one it was found to speak")] = (
        BmcProtocol.DYNAMIC
    )
    uuid: str = ""
    serial: str = ""
    product: str = ""
    firmware: str = ""
    changed_at: Instant
    reason: Sentence


@declare(
    Kind.EVENT,
    type="mtce.bmc.state_changed.v1",
    subject="mtce.event.bmc.state_changed.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class BmcStateChanged(Payload, frozen=True, kw_only=True):
    """A BMC was reached or lost, or its machine's power changed."""

    state: BmcState


class BmcSensorState(OpenEnum):
    """How a sensor stands to its thresholds."""

    OK = "ok"
    OFFLINE = "offline"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class BmcSensor(Payload, frozen=True, kw_only=True):
    """One sensor of a host, read by its BMC."""

    name: Annotated[str, Meta(max_length=128)]
    group: Annotated[str, Meta(max_length=64, description="temperature, fans, voltage, power, …")]
    state: BmcSensorState
    value: Annotated[float | None, Meta(description="in `unit`; none: it cannot be read")] = None
    unit: Annotated[str, Meta(max_length=32)] = ""


@declare(
    Kind.EVENT,
    type="mtce.sensor.state_changed.v1",
    subject="mtce.event.sensor.state_changed.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class SensorsChanged(Payload, frozen=True, kw_only=True):
    """Sensors of a host went into other states, seen twice in a row."""

    host: HostField
    sensors: Annotated[tuple[BmcSensor, ...], Meta(max_length=SENSORS_MAX)]
    reason: Sentence


class Proof(OpenEnum):
    """By what it is certain that a boot of a host runs no more."""

    POWER_OFF = "power-off"  # its BMC said off, twice
    WATCHDOG = "watchdog"  # its watchdog must have bitten: nobody acknowledged it for so long
    GOODBYE = "goodbye"  # it said, signed, that it powers off or reboots, and is silent since
    ISOLATED = "isolated"  # its links are cut at the switch
    UNKNOWN = "unknown"


class FencePolicy(OpenEnum):
    """When a lost host's workload is released: the host label `fence`."""

    GRACEFUL = "graceful"  # recovery goes first
    FAST = "fast"
    UNKNOWN = "unknown"


class Release(Payload, frozen=True, kw_only=True):
    """Whether and when the workload of a lost host may move."""

    host: HostField
    boot_id: str
    episode: Annotated[int, Meta(ge=0, description="with the boot, names the loss")]
    policy: FencePolicy
    at: Annotated[
        Instant | None,
        Meta(description="earliest moment; none while no proof with a known time is to be had"),
    ] = None
    proof: Proof | None = None
    evidence: Annotated[dict[str, str], Meta(description="what the proof rests on")]
    reason: Sentence


@declare(
    Kind.EVENT,
    type="mtce.host.release_planned.v1",
    subject="mtce.event.host.release_planned.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class ReleasePlanned(Payload, frozen=True, kw_only=True):
    """A lost host's workload is to move as soon as there is proof; `at` says when at the latest."""

    release: Release


@declare(
    Kind.EVENT,
    type="mtce.host.released.v1",
    subject="mtce.event.host.released.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class HostReleased(Payload, frozen=True, kw_only=True):
    """What ran in this boot of the host runs no more: its workload may move."""

    release: Release


@declare(
    Kind.EVENT,
    type="mtce.host.release_withdrawn.v1",
    subject="mtce.event.host.release_withdrawn.{host}",
    stream="MTCE",
    publishers=("mtce",),
    subscribers=("gateway",),
)
class ReleaseWithdrawn(Payload, frozen=True, kw_only=True):
    """The host is heard again. After a release: of the same boot it contradicts the proof."""

    release: Release
    contradicts: Annotated[bool, Meta(description="a released boot is heard: look at once")] = False


class BmcView(Payload, frozen=True, kw_only=True):
    """All that mtce knows of a host out of band."""

    host: HostField
    declared: HostBmc | None = None
    secret_stored: bool = False
    state: BmcState | None = None
    sensors: Annotated[tuple[BmcSensor, ...], Meta(max_length=SENSORS_MAX)] = ()
    release: Release | None = None


@declare(
    Kind.QUERY,
    type="mtce.host.bmc.v1",
    subject="mtce.query.host.bmc",
    publishers=("gateway",),
    subscribers=("mtce",),
    reply=BmcView,
)
class AskBmc(Payload, frozen=True, kw_only=True):
    """Ask what is known of a host's BMC, sensors and release."""

    host: HostField


class SecretKept(Payload, frozen=True, kw_only=True):
    """The secret store has it, or has it no more."""

    operation_id: OperationIdField
    reason: Sentence


@declare(
    Kind.COMMAND,
    type="mtce.bmc.set_secret.v1",
    subject="mtce.cmd.bmc.set_secret",
    publishers=("gateway",),
    subscribers=("mtce",),
    reply=SecretKept,
)
class SetBmcSecret(Payload, frozen=True, kw_only=True):
    """Keep the password of a host's BMC, or forget it when it is empty. Repeating does no harm."""

    operation_id: OperationIdField
    host: HostField
    password: Annotated[str, Meta(max_length=256)]

    def __repr__(self) -> str:
        return f"SetBmcSecret(host={self.host!r})"


add_bucket(
    BucketSpec(
        name="mtce_releases",
        owner="mtce",
        payload=Release,
        readers=("gateway",),
        summary="Releases planned and given, by host; a host that is not lost has none.",
    )
)
