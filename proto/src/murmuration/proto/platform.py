"""What every service says of itself."""

from typing import Annotated

from msgspec import Meta

from murmuration.proto.envelope import Payload
from murmuration.proto.registry import CHANNELS, Channel, Kind, add_channel

SERVICES = ("sysinv", "mtce", "fm", "gateway")
STATEFUL = ("sysinv", "mtce", "fm")


class EpochStarted(Payload, frozen=True, kw_only=True):
    """A service's database began a new life: readers take what follows as the whole state."""

    service: str
    epoch: Annotated[int, Meta(ge=1, description="life of the service's database")]
    reason: str


for _service in STATEFUL:
    if f"{_service}.epoch.started.v1" not in CHANNELS:
        add_channel(
            Channel(
                kind=Kind.EVENT,
                type=f"{_service}.epoch.started.v1",
                subject=f"{_service}.event.epoch.started",
                payload=EpochStarted,
                reply=None,
                stream=_service.upper(),
                publishers=(_service,),
                subscribers=("gateway", *(s for s in STATEFUL if s != _service)),
                summary="The service's database began a new life.",
            )
        )


class ServiceStatus(Payload, frozen=True, kw_only=True):
    """What a service answers to a health question; also the body of its /readyz."""

    service: str
    instance: str
    ready: bool
    reason: Annotated[str, Meta(description="one sentence, empty when all is well")] = ""
    role: Annotated[str, Meta(description="active, or standby behind another replica")] = "active"
    relay_lag: Annotated[int, Meta(ge=0, description="outbox rows not yet on the bus")] = 0
    parked: Annotated[int, Meta(ge=0, description="messages set aside as undecodable")] = 0
    uptime_s: Annotated[float, Meta(ge=0)] = 0.0


class GetStatus(Payload, frozen=True, kw_only=True):
    """Ask a service how it is."""


for _service in SERVICES:
    if f"{_service}.status.get.v1" not in CHANNELS:
        add_channel(
            Channel(
                kind=Kind.QUERY,
                type=f"{_service}.status.get.v1",
                subject=f"{_service}.query.status",
                payload=GetStatus,
                reply=ServiceStatus,
                stream=None,
                publishers=("gateway", "tool"),
                subscribers=(_service,),
                summary="Ask a service how it is.",
            )
        )
