"""mtce's own section of the site's configuration."""

from typing import Annotated

from msgspec import Meta

from murmuration.mtce.core.sensors import SensorAction
from murmuration.runtime.config import Section


class MtceSection(Section, frozen=True, kw_only=True):
    """[mtce]: where it listens."""

    listen: Annotated[str, Meta(description="health and metrics; loopback only")] = "127.0.0.1:8782"
    udp_listen: Annotated[str, Meta(description="pulses by UDP, host:port; the second witness")] = (
        "127.0.0.1:8790"
    )
    bmc_audit_s: Annotated[
        float, Meta(ge=1, le=3_600, description="between two looks at a BMC, seconds")
    ] = 60.0
    bmc_sensors_s: Annotated[
        float, Meta(ge=1, le=3_600, description="between two readings of its sensors, seconds")
    ] = 120.0
    sensor_minor: Annotated[
        SensorAction, Meta(description="what a sensor in state minor does: ignore, log or alarm")
    ] = SensorAction.IGNORE
    sensor_major: Annotated[SensorAction, Meta(description="likewise for major")] = SensorAction.LOG
    sensor_critical: Annotated[SensorAction, Meta(description="likewise for critical")] = (
        SensorAction.ALARM
    )
