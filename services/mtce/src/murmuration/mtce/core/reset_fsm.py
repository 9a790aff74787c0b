"""The reset progression: a host is made to restart, by its agent if that can be, else by its BMC.

Other procedures wait for it: enable, recovery, reboot and force-lock. It ends well when the host
fell silent, is heard on another boot, or its BMC has reset it; it fails when nothing is left to
try.

Invariant: one reboot is asked for and one reset is sent in each progression, never both at once.
The wait before the reset lets a crash dump end, and an orderly shutdown too.
"""

import enum

from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask


class Stage(enum.Enum):
    """Where the progression is."""

    ASKED = "asked"
    FALLING = "falling"
    HOLDING = "holding"
    FORCING = "forcing"


S = Stage
RESET = procedure(
    "reset",
    Stage,
    {
        (S.ASKED, Sign.DONE): to(S.FALLING, "its agent reboots it"),
        (S.ASKED, Sign.FAILED): to(S.HOLDING, "its agent does not reboot it"),
        (S.ASKED, Sign.DUE): to(S.HOLDING, "its agent does not answer"),
        (S.ASKED, Sign.LOST): done("it went down"),
        (S.ASKED, Sign.REBOOTED): done("it rebooted"),
        (S.FALLING, Sign.LOST): done("it went down"),
        (S.FALLING, Sign.REBOOTED): done("it rebooted"),
        (S.FALLING, Sign.DUE): to(S.HOLDING, "it does not go down"),
        (S.HOLDING, Sign.LOST): done("it went down"),
        (S.HOLDING, Sign.REBOOTED): done("it rebooted"),
        (S.HOLDING, Sign.DUE): to(S.FORCING, "a crash dump would have ended by now"),
        (S.HOLDING, Sign.FAILED): failed("it has no BMC that could reset it"),
        (S.FORCING, Sign.DONE): done("its BMC has reset it"),
        (S.FORCING, Sign.REBOOTED): done("it rebooted"),
        (S.FORCING, Sign.LOST): done("it went down"),
        (S.FORCING, Sign.FAILED): failed("its BMC could not reset it"),
        (S.FORCING, Sign.DUE): failed("its BMC does not answer"),
    },
    {
        S.ASKED: Entry(
            task=HostTask.REBOOTING,
            text="its agent is asked to reboot it",
            effect=EffectKind.AGENT_REBOOT,
            timer="command_s",
            silent=True,
        ),
        S.FALLING: Entry(
            task=HostTask.REBOOTING,
            text="it is waited for to go down",
            timer="reboot_offline_s",
            silent=True,
        ),
        S.HOLDING: Entry(
            task=HostTask.RESETTING,
            text="its BMC holds back, so that a crash dump can end",
            timer="bmc_reset_hold_s",
            silent=True,
            needs_bmc=True,
        ),
        S.FORCING: Entry(
            task=HostTask.RESETTING,
            text="its BMC resets it",
            effect=EffectKind.BMC_RESET,
            timer="bmc_reset_s",
            silent=True,
        ),
    },
)
