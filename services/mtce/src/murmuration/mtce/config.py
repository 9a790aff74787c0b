"""mtce's own section of the site's configuration."""

from dataclasses import fields
from typing import Annotated, Literal

from msgspec import Meta

from murmuration.mtce.core.levels import LAN, WAN, Thresholds
from murmuration.mtce.core.policy import Policy
from murmuration.mtce.core.sensors import SensorAction, SensorPolicy
from murmuration.mtce.core.storm import StormPolicy
from murmuration.runtime.config import Section

Seconds = Annotated[float, Meta(gt=0, le=86_400, description="seconds")]


class MtceSection(Section, frozen=True, kw_only=True):
    """[mtce]: where it listens, and how long things may take. Times are seconds."""

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
    sensor_critical: Annotated[
        SensorAction, Meta(description="likewise for critical, or reset or power-cycle")
    ] = SensorAction.ALARM
    own_host: Annotated[
        str, Meta(description="the host this replica runs on; empty: as the machine is called")
    ] = ""
    preset: Annotated[
        Literal["lan", "wan"],
        Meta(description="periods of silence: lan 4, 6, 10; wan 8, 12, 20, for routed networks"),
    ] = "lan"
    mnfa_threshold: Annotated[
        int, Meta(ge=2, le=100, description="hosts silent at once that are no single failures")
    ] = 2
    mnfa_timeout_s: Annotated[
        float,
        Meta(ge=0, le=86_400, description="longest hold where no cause is known; 0: no limit"),
    ] = 300.0
    storm_stagger_s: Annotated[
        float, Meta(gt=0, le=600, description="between two that are let go after a storm")
    ] = 5.0
    agent_orders: Annotated[
        bool, Meta(description="agents test, start and stop services and reboot when told to")
    ] = True
    unlock_reboots: Annotated[
        bool, Meta(description="an unlock restarts the host: configuration is applied at boot")
    ] = True
    failures_max: Annotated[
        int, Meta(ge=0, le=100, description="failures of one cause before a host is given up")
    ] = 2
    command_s: Seconds = 10.0  # an agent's answer to an order
    reboot_offline_s: Seconds = 150.0  # from the reboot that was asked for to silence
    bmc_reset_hold_s: Seconds = 250.0  # before a BMC resets: a crash dump takes minutes
    bmc_reset_s: Seconds = 60.0  # a BMC's answer to a reset
    goenabled_s: Seconds = 603.0  # all tests before service
    host_services_s: Seconds = 305.0  # starting or stopping services
    heartbeat_soak_s: Seconds = 11.0  # whole heartbeat before service
    recovery_listen_s: Seconds = 7.0  # for a host that was only cut off for a moment
    storm_s: Seconds = 86_400.0  # the longest wait for the end of a common cause
    worker_boot_s: Seconds = 720.0
    controller_boot_s: Seconds = 1_200.0
    power_off_s: Seconds = 200.0
    power_on_s: Seconds = 200.0
    silence_s: Seconds = 60.0  # from off, as the BMC says, to silence
    wipe_s: Seconds = 60.0
    reinstall_s: Seconds = 3_600.0  # installation and boot
    rest_s: Seconds = 30.0  # between two tries to bring a host into service
    rest_heartbeat_s: Seconds = 600.0  # likewise, after its heartbeat failed
    dead_office_s: Annotated[
        float, Meta(ge=0, le=86_400, description="patience after a power cut; 0: none")
    ] = 1_000.0

    critical_cool_s: Seconds = (
        300.0  # off between the halves of a power-cycle that a sensor asks for
    )
    critical_hold_s: Seconds = 300.0  # after such a restart, before the next one
    critical_watch_s: Seconds = 900.0  # well for so long: what was done before is forgotten
    critical_max: Annotated[
        int, Meta(ge=1, le=100, description="such restarts of a host; then it is powered down")
    ] = 3

    trace: Annotated[
        str, Meta(description="file for what the hosts' machines decide, to replay; empty: none")
    ] = ""
    cluster_kubeconfig: Annotated[
        str, Meta(description="file that leads to the Kubernetes cluster of the hosts; empty: none")
    ] = ""
    cluster_context: Annotated[str, Meta(description="context in it; empty: the current one")] = ""

    def thresholds(self) -> Thresholds:
        """How long a silence is minor, degraded and lost."""
        return WAN if self.preset == "wan" else LAN

    def sensors(self) -> SensorPolicy:
        """What BMCs' sensors bring about. Raises Rejected."""
        return SensorPolicy(
            minor=self.sensor_minor, major=self.sensor_major, critical=self.sensor_critical
        )

    def storms(self) -> StormPolicy:
        """What counts as a storm, and how it ends."""
        return StormPolicy(
            threshold=self.mnfa_threshold,
            hold_s=self.mnfa_timeout_s,
            stagger_s=self.storm_stagger_s,
        )

    def policy(self) -> Policy:
        """The timers and limits as the machines take them."""
        return Policy(**{field.name: getattr(self, field.name) for field in fields(Policy)})
