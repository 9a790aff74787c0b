"""How long things may take and how often they may fail: the timers and limits of the procedures.

Defaults are those that operators of this field know; a laboratory's are shorter, in its
configuration. All are seconds.
"""

from dataclasses import dataclass

from murmuration.kernel.errors import Bug
from murmuration.mtce.core.model import Declared
from murmuration.proto.mtce import RecoveryCause
from murmuration.proto.sysinv import Personality


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Timers and limits; see MtceSection for what each is for."""

    command_s: float = 10.0
    reboot_offline_s: float = 150.0
    bmc_reset_hold_s: float = 250.0
    bmc_reset_s: float = 60.0
    goenabled_s: float = 603.0
    host_services_s: float = 305.0
    heartbeat_soak_s: float = 11.0
    recovery_listen_s: float = 7.0
    storm_s: float = 86_400.0
    worker_boot_s: float = 720.0
    controller_boot_s: float = 1_200.0
    power_off_s: float = 200.0
    power_on_s: float = 200.0
    silence_s: float = 60.0
    wipe_s: float = 60.0
    reinstall_s: float = 3_600.0
    rest_s: float = 30.0
    rest_heartbeat_s: float = 600.0
    failures_max: int = 2
    unlock_reboots: bool = True
    dead_office_s: float = 1_000.0
    critical_cool_s: float = 300.0
    critical_hold_s: float = 300.0
    critical_watch_s: float = 900.0
    critical_max: int = 3

    def duration_s(self, timer: str, declared: Declared, cause: RecoveryCause | None) -> float:
        """The longest time of a stage, by the name its entry gives. Raises Bug for no name."""
        if timer == "boot_s":
            controller = declared.personality is Personality.CONTROLLER
            return self.controller_boot_s if controller else self.worker_boot_s
        if timer == "rest":
            return self.rest_heartbeat_s if cause is RecoveryCause.HEARTBEAT else self.rest_s
        found = getattr(self, timer, None)
        if not isinstance(found, float):
            raise Bug(f"there is no timer {timer!r}")
        return found
