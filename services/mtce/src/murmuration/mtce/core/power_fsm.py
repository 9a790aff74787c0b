"""Power and restart of a locked host, as an operator orders it: on, off, reset, reboot.

Each way begins at a stage of its own. What a BMC did is believed when the BMC confirmed it; that
the host runs, when its pulses are heard.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask


class PowerStage(enum.Enum):
    """What its BMC does."""

    TURNING_OFF = "turning-off"
    FALLING = "falling"
    TURNING_ON = "turning-on"
    RESETTING = "resetting"
    BOOTING = "booting"


class RebootStage(enum.Enum):
    """How far the restart is."""

    RESETTING = "resetting"
    BOOTING = "booting"


P, R = PowerStage, RebootStage
_BMC_FAILED, _BMC_SILENT = "its BMC could not do it", "its BMC does not answer"
_BOOTING = "it boots, and beats on a new boot"
POWER = procedure(
    "power",
    PowerStage,
    {
        (P.TURNING_OFF, Sign.DONE): to(P.FALLING, "its BMC says that it is off"),
        (P.TURNING_OFF, Sign.FAILED): failed(_BMC_FAILED),
        (P.TURNING_OFF, Sign.DUE): failed(_BMC_SILENT),
        (P.FALLING, Sign.LOST): done("it is off and silent", host=Input.POWERED_OFF),
        (P.FALLING, Sign.DUE): failed("its BMC says that it is off, and yet it beats"),
        (P.TURNING_ON, Sign.DONE): to(
            P.BOOTING, "its BMC says that it is on", host=Input.POWERED_ON
        ),
        (P.TURNING_ON, Sign.UP): done("it beats"),
        (P.TURNING_ON, Sign.BACK): done("it beats"),
        (P.TURNING_ON, Sign.FAILED): failed(_BMC_FAILED),
        (P.TURNING_ON, Sign.DUE): failed(_BMC_SILENT),
        (P.RESETTING, Sign.DONE): to(P.BOOTING, "its BMC has reset it"),
        (P.RESETTING, Sign.UP): done("it is up on a new boot"),
        (P.RESETTING, Sign.FAILED): failed(_BMC_FAILED),
        (P.RESETTING, Sign.DUE): failed(_BMC_SILENT),
        (P.BOOTING, Sign.UP): done("it is up"),
        (P.BOOTING, Sign.DUE): failed("it did not boot in time"),
    },
    {
        P.TURNING_OFF: Entry(
            task=HostTask.POWERING_OFF,
            text="its BMC turns it off",
            effect=EffectKind.BMC_OFF,
            timer="power_off_s",
            silent=True,
        ),
        P.FALLING: Entry(
            task=HostTask.POWERING_OFF,
            text="it falls silent",
            timer="silence_s",
            silent=True,
            looks=True,
        ),
        P.TURNING_ON: Entry(
            task=HostTask.POWERING_ON,
            text="its BMC turns it on",
            effect=EffectKind.BMC_ON,
            timer="power_on_s",
            silent=True,
            marks=True,
            looks=True,
        ),
        P.RESETTING: Entry(
            task=HostTask.RESETTING,
            text="its BMC resets it",
            effect=EffectKind.BMC_RESET,
            timer="bmc_reset_s",
            silent=True,
            marks=True,
        ),
        P.BOOTING: Entry(task=HostTask.BOOTING, text=_BOOTING, timer="boot_s", silent=True),
    },
)
REBOOT = procedure(
    "reboot",
    RebootStage,
    {
        (R.RESETTING, Sign.DONE): to(R.BOOTING, "it restarts"),
        (R.RESETTING, Sign.UP): done("it is up on a new boot"),
        (R.RESETTING, Sign.FAILED): failed("nothing could restart it"),
        (R.BOOTING, Sign.UP): done("it is up on a new boot"),
        (R.BOOTING, Sign.DUE): failed("it did not boot in time"),
    },
    {
        R.RESETTING: Entry(
            task=HostTask.REBOOTING,
            text="it is made to restart",
            sub="reset",
            sub_stage="asked",
            silent=True,
            marks=True,
        ),
        R.BOOTING: Entry(task=HostTask.BOOTING, text=_BOOTING, timer="boot_s", silent=True),
    },
)
