"""Graceful recovery: a host in service was proven silent.

It is listened for first: who was only cut off for a moment returns without a restart, and its
workload is never touched. Who said good-bye ends on purpose, and is given the time of a boot. Then
it is made to restart. When nothing can be done it stays failed, and
is taken up again as soon as its pulses are heard.

Invariants: it is begun by a verdict alone; while the silence is put down to a cause shared with
others (a storm), nothing is restarted; a boot whose workload was released does not return to
service.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask


class Stage(enum.Enum):
    """How far it is."""

    LISTENING = "listening"
    PARTED = "parted"  # it said good-bye
    WAITING = "waiting"  # for the end of a storm
    RESETTING = "resetting"
    POWERING = "powering"
    BOOTING = "booting"
    TESTING = "testing"
    SOAKING = "soaking"


S = Stage
_OUTLIVED = "it never went down, but its workload may run elsewhere: it is restarted first"
_BACK = "it is back on the same boot: its workload was not touched"
_UP = "it is back on a new boot"
RECOVERY = procedure(
    "recovery",
    Stage,
    {
        (S.LISTENING, Sign.BACK): to(S.SOAKING, _BACK),
        (S.LISTENING, Sign.UP): to(S.TESTING, _UP),
        (S.LISTENING, Sign.OUTLIVED): to(S.RESETTING, _OUTLIVED),
        (S.LISTENING, Sign.OFF): to(S.POWERING, "its BMC says that it is off"),
        (S.LISTENING, Sign.DUE): to(S.RESETTING, "it stays silent"),
        (S.LISTENING, Sign.STORM): to(S.WAITING, "others fell silent with it for one cause"),
        (S.PARTED, Sign.BACK): to(S.SOAKING, _BACK),
        (S.PARTED, Sign.UP): to(S.TESTING, _UP),
        (S.PARTED, Sign.OUTLIVED): to(S.RESETTING, _OUTLIVED),
        (S.PARTED, Sign.OFF): to(S.POWERING, "its BMC says that it is off"),
        (S.PARTED, Sign.DUE): to(S.RESETTING, "it said good-bye and did not return"),
        (S.WAITING, Sign.BACK): to(S.SOAKING, _BACK),
        (S.WAITING, Sign.UP): to(S.TESTING, _UP),
        (S.WAITING, Sign.OUTLIVED): to(S.RESETTING, _OUTLIVED),
        (S.WAITING, Sign.CALM): to(S.LISTENING, "the common cause is over"),
        (S.WAITING, Sign.DUE): to(S.LISTENING, "the common cause lasts too long"),
        (S.RESETTING, Sign.BACK): to(S.SOAKING, _BACK),
        (S.RESETTING, Sign.UP): to(S.TESTING, _UP),
        (S.RESETTING, Sign.STORM): to(S.WAITING, "others fell silent with it for one cause"),
        (S.RESETTING, Sign.DONE): to(S.BOOTING, "it restarts"),
        (S.RESETTING, Sign.OFF): to(S.POWERING, "its BMC says that it is off"),
        (S.RESETTING, Sign.FAILED): failed("nothing could restart it: its pulses are waited for"),
        (S.POWERING, Sign.DONE): to(S.BOOTING, "its BMC says that it is on", host=Input.POWERED_ON),
        (S.POWERING, Sign.BACK): to(S.SOAKING, _BACK),
        (S.POWERING, Sign.UP): to(S.TESTING, _UP),
        (S.POWERING, Sign.FAILED): failed("its BMC could not turn it on"),
        (S.POWERING, Sign.DUE): failed("its BMC does not answer"),
        (S.BOOTING, Sign.BACK): to(S.SOAKING, _BACK),
        (S.BOOTING, Sign.UP): to(S.TESTING, _UP),
        (S.BOOTING, Sign.OUTLIVED): to(S.RESETTING, _OUTLIVED),
        (S.BOOTING, Sign.DUE): failed("it did not boot in time: its pulses are waited for"),
        (S.TESTING, Sign.DONE): to(S.SOAKING, "it passed what is asked of it"),
        (S.TESTING, Sign.FAILED): failed("it cannot serve"),
        (S.TESTING, Sign.LOST): to(S.LISTENING, "it fell silent in its test"),
        (S.TESTING, Sign.REBOOTED): to(S.BOOTING, "it rebooted in its test"),
        (S.SOAKING, Sign.OUTLIVED): to(S.RESETTING, _OUTLIVED),
        (S.SOAKING, Sign.DUE): done("its heartbeat was whole", host=Input.SERVE),
        (S.SOAKING, Sign.LOST): to(S.LISTENING, "it fell silent while it was watched"),
        (S.SOAKING, Sign.REBOOTED): to(S.BOOTING, "it rebooted while it was watched"),
    },
    {
        S.LISTENING: Entry(
            task=HostTask.RECOVERING,
            text="its pulses are listened for, before anything is done",
            timer="recovery_listen_s",
        ),
        S.PARTED: Entry(
            task=HostTask.BOOTING,
            text="it said good-bye, and is given the time of a boot",
            timer="boot_s",
        ),
        S.WAITING: Entry(
            task=HostTask.RECOVERY_WAIT,
            text="the common cause is waited out",
            timer="storm_s",
        ),
        S.RESETTING: Entry(
            task=HostTask.RECOVERING,
            text="it is made to restart",
            sub="reset",
            sub_stage="asked",
        ),
        S.POWERING: Entry(
            task=HostTask.POWERING_ON,
            text="its BMC turns it on",
            effect=EffectKind.BMC_ON,
            timer="power_on_s",
        ),
        S.BOOTING: Entry(task=HostTask.BOOTING, text="it boots, and beats again", timer="boot_s"),
        S.TESTING: Entry(
            task=HostTask.TESTING, text="it is tested", sub="intest", sub_stage="tests"
        ),
        S.SOAKING: Entry(
            task=HostTask.SOAKING, text="its heartbeat is watched", timer="heartbeat_soak_s"
        ),
    },
)
