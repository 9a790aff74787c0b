"""Restarts that an operator's policy asks for while a condition of the host is critical.

A sensor's policy may ask for a reset or a power-cycle (`AskedAction`). A power-cycle keeps the host
off for a while, so that it can cool. When the condition stays over all power-cycles, the host is
switched off, and is left so until an operator locks and unlocks it.

Invariants: it is begun on what the policy asks and nothing else; whether it may begin is decided
before (`core/admission.py`); a host that it leaves up is enabled anew.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask, RecoveryCause


class Stage(enum.Enum):
    """How far it is."""

    RESETTING = "resetting"
    TURNING_OFF = "turning-off"
    COOLING = "cooling"
    TURNING_ON = "turning-on"
    BOOTING = "booting"
    GOING_DOWN = "going-down"  # for good
    FALLING = "falling"


S, _CYCLE = Stage, HostTask.CRITICAL_POWER_CYCLING
_FAILED, _SILENT = "its BMC could not do it", "its BMC does not answer"
_OFF, _ON, _UP = "its BMC says that it is off", "its BMC says that it is on", "it is up"
CRITICAL = procedure(
    "critical",
    Stage,
    {
        (S.RESETTING, Sign.DONE): to(S.BOOTING, "its BMC has reset it"),
        (S.RESETTING, Sign.UP): done(_UP),
        (S.RESETTING, Sign.FAILED): failed(_FAILED),
        (S.RESETTING, Sign.DUE): failed(_SILENT),
        (S.TURNING_OFF, Sign.DONE): to(S.COOLING, _OFF),
        (S.TURNING_OFF, Sign.FAILED): failed(_FAILED),
        (S.TURNING_OFF, Sign.DUE): failed(_SILENT),
        (S.COOLING, Sign.UP): done(_UP),
        (S.COOLING, Sign.DUE): to(S.TURNING_ON, "it has cooled off"),
        (S.TURNING_ON, Sign.DONE): to(S.BOOTING, _ON, host=Input.POWERED_ON),
        (S.TURNING_ON, Sign.UP): done(_UP),
        (S.TURNING_ON, Sign.FAILED): failed(_FAILED),
        (S.TURNING_ON, Sign.DUE): failed(_SILENT),
        (S.BOOTING, Sign.UP): done(_UP),
        (S.BOOTING, Sign.DUE): failed("it did not boot in time"),
        (S.GOING_DOWN, Sign.DONE): to(S.FALLING, _OFF),
        (S.GOING_DOWN, Sign.FAILED): failed(_FAILED),
        (S.GOING_DOWN, Sign.DUE): failed(_SILENT),
        (S.FALLING, Sign.LOST): failed(
            "it is off and silent, and stays so until it is locked and unlocked",
            host=Input.FAIL,
            gives_up=RecoveryCause.CRITICAL,
        ),
        (S.FALLING, Sign.DUE): failed("its BMC says that it is off, and yet it beats"),
    },
    {
        S.RESETTING: Entry(
            task=HostTask.CRITICAL_RESETTING,
            text="its BMC resets it",
            effect=EffectKind.BMC_RESET,
            timer="bmc_reset_s",
            silent=True,
            marks=True,
        ),
        S.TURNING_OFF: Entry(
            task=_CYCLE,
            text="its BMC turns it off",
            effect=EffectKind.BMC_OFF,
            timer="power_off_s",
            silent=True,
            marks=True,
        ),
        S.COOLING: Entry(
            task=_CYCLE, text="it is left off to cool", timer="critical_cool_s", silent=True
        ),
        S.TURNING_ON: Entry(
            task=_CYCLE,
            text="its BMC turns it on",
            effect=EffectKind.BMC_ON,
            timer="power_on_s",
            silent=True,
        ),
        S.BOOTING: Entry(
            task=HostTask.BOOTING,
            text="it boots, and beats on a new boot",
            timer="boot_s",
            silent=True,
        ),
        S.GOING_DOWN: Entry(
            task=HostTask.CRITICAL_POWER_DOWN,
            text="its BMC turns it off for good",
            effect=EffectKind.BMC_OFF,
            timer="power_off_s",
            silent=True,
        ),
        S.FALLING: Entry(
            task=HostTask.CRITICAL_POWER_DOWN,
            text="it falls silent",
            timer="silence_s",
            silent=True,
            looks=True,
        ),
    },
)
