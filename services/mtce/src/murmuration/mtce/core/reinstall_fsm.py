"""Reinstall: a locked host loses what is on its disks and is installed over the network.

With a BMC it is turned off, told to boot from the network once, and turned on. Without one its
agent wipes its disks and it is restarted, so that its firmware finds nothing but the network.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask


class Stage(enum.Enum):
    """How far it is."""

    TURNING_OFF = "turning-off"
    NETBOOTING = "netbooting"
    TURNING_ON = "turning-on"
    WIPING = "wiping"
    RESETTING = "resetting"
    INSTALLING = "installing"


S, _TASK = Stage, HostTask.REINSTALLING
_FAILED, _SILENT = "its BMC could not do it", "its BMC does not answer"
REINSTALL = procedure(
    "reinstall",
    Stage,
    {
        (S.TURNING_OFF, Sign.DONE): to(S.NETBOOTING, "its BMC says that it is off"),
        (S.TURNING_OFF, Sign.FAILED): failed(_FAILED),
        (S.TURNING_OFF, Sign.DUE): failed(_SILENT),
        (S.NETBOOTING, Sign.DONE): to(S.TURNING_ON, "it will boot from the network"),
        (S.NETBOOTING, Sign.FAILED): failed(_FAILED),
        (S.NETBOOTING, Sign.DUE): failed(_SILENT),
        (S.TURNING_ON, Sign.DONE): to(
            S.INSTALLING, "its BMC says that it is on", host=Input.POWERED_ON
        ),
        (S.TURNING_ON, Sign.FAILED): failed(_FAILED),
        (S.TURNING_ON, Sign.DUE): failed(_SILENT),
        (S.WIPING, Sign.DONE): to(S.RESETTING, "its disks are wiped"),
        (S.WIPING, Sign.FAILED): failed("its agent did not wipe its disks"),
        (S.WIPING, Sign.DUE): failed("its agent does not answer"),
        (S.RESETTING, Sign.DONE): to(S.INSTALLING, "it restarts"),
        (S.RESETTING, Sign.UP): done("it is up on a new boot"),
        (S.RESETTING, Sign.FAILED): failed("it is wiped, and nothing could restart it"),
        (S.INSTALLING, Sign.UP): done("it is up on a new boot"),
        (S.INSTALLING, Sign.DUE): failed("it was not heard within the time of an installation"),
    },
    {
        S.TURNING_OFF: Entry(
            task=_TASK,
            text="its BMC turns it off",
            effect=EffectKind.BMC_OFF,
            timer="power_off_s",
            silent=True,
            marks=True,
        ),
        S.NETBOOTING: Entry(
            task=_TASK,
            text="its BMC has it boot from the network once",
            effect=EffectKind.BMC_NETBOOT,
            timer="power_on_s",
            silent=True,
        ),
        S.TURNING_ON: Entry(
            task=_TASK,
            text="its BMC turns it on",
            effect=EffectKind.BMC_ON,
            timer="power_on_s",
            silent=True,
        ),
        S.WIPING: Entry(
            task=_TASK,
            text="its agent wipes its disks",
            effect=EffectKind.AGENT_WIPE,
            timer="wipe_s",
        ),
        S.RESETTING: Entry(
            task=_TASK,
            text="it is made to restart",
            sub="reset",
            sub_stage="asked",
            silent=True,
            marks=True,
        ),
        S.INSTALLING: Entry(
            task=_TASK, text="it is installed, and beats", timer="reinstall_s", silent=True
        ),
    },
)
