"""All procedures, by the name that frames store."""

from murmuration.mtce.core.critical_fsm import CRITICAL
from murmuration.mtce.core.disable_fsm import DISABLE
from murmuration.mtce.core.enable_fsm import ENABLE
from murmuration.mtce.core.intest_fsm import INTEST
from murmuration.mtce.core.power_fsm import POWER, REBOOT
from murmuration.mtce.core.procedure import Procedure
from murmuration.mtce.core.recovery_fsm import RECOVERY
from murmuration.mtce.core.reinstall_fsm import REINSTALL
from murmuration.mtce.core.reset_fsm import RESET
from murmuration.mtce.core.worker_fsm import WORKER

PROCEDURES: dict[str, Procedure] = {
    found.name: found
    for found in (
        *(ENABLE, WORKER, DISABLE, RECOVERY, RESET, INTEST),
        *(POWER, REBOOT, REINSTALL, CRITICAL),
    )
}
