"""Enable: a host is brought into service, after an unlock, an acceptance or a failure.

It is restarted where the unlock wants that (configuration is applied when a host boots), tested,
and watched for a while. What fails is tried again after a rest; each cause may fail so often, then
the host stays failed until an operator locks and unlocks it (auto-recovery limits).

Invariants: it ends well only after the heartbeat was whole for the soak; a host that beats again is
not left waiting, unless it is to be restarted first.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask, RecoveryCause


class Stage(enum.Enum):
    """How far it is."""

    RESETTING = "resetting"  # it is made to restart
    BOOTING = "booting"  # it restarts, within the boot's time
    POWERING = "powering"  # it is off, and turned on
    AWAITING = "awaiting"  # whatever boot it is on, its pulses are waited for
    TESTING = "testing"
    SOAKING = "soaking"
    RESTING = "resting"  # after a failure, before the next try
    RETRYING = "retrying"  # it is made to restart; who is heard again first is not


S, _WHY, _OFF = Stage, RecoveryCause, "it is off and is to serve"
ENABLE = procedure(
    "enable",
    Stage,
    {
        (S.RESETTING, Sign.DONE): to(S.BOOTING, "it restarts"),
        (S.RESETTING, Sign.UP): to(S.TESTING, "it is up on a new boot"),
        (S.RESETTING, Sign.OFF): to(S.POWERING, _OFF),
        (S.RESETTING, Sign.FAILED): to(S.RESTING, "it was not restarted", cause=_WHY.RESET),
        (S.BOOTING, Sign.UP): to(S.TESTING, "it is up on a new boot"),
        (S.BOOTING, Sign.DUE): to(S.RESTING, "it did not boot in time", cause=_WHY.RESET),
        (S.AWAITING, Sign.UP): to(S.TESTING, "it beats well"),
        (S.AWAITING, Sign.LOST): failed("nothing is heard of it", host=Input.FAIL),
        (S.POWERING, Sign.DONE): to(S.BOOTING, "its BMC says that it is on", host=Input.POWERED_ON),
        (S.POWERING, Sign.UP): to(S.TESTING, "it is up"),
        (S.POWERING, Sign.FAILED): to(S.RESTING, "its BMC could not turn it on", cause=_WHY.RESET),
        (S.POWERING, Sign.DUE): to(S.RESTING, "its BMC does not answer", cause=_WHY.RESET),
        (S.TESTING, Sign.DONE): to(S.SOAKING, "it passed what is asked of it"),
        (S.TESTING, Sign.FAILED): to(S.RESTING, "it cannot serve"),
        (S.TESTING, Sign.LOST): to(S.RESTING, "it fell silent in its test", cause=_WHY.HEARTBEAT),
        (S.TESTING, Sign.REBOOTED): to(S.BOOTING, "it rebooted in its test"),
        (S.SOAKING, Sign.DUE): done("its heartbeat was whole", host=Input.SERVE),
        (S.SOAKING, Sign.LOST): to(
            S.RESTING, "it fell silent while it was watched", cause=_WHY.HEARTBEAT
        ),
        (S.SOAKING, Sign.REBOOTED): to(S.BOOTING, "it rebooted while it was watched"),
        (S.RESTING, Sign.UP): to(S.TESTING, "it beats well again"),
        (S.RESTING, Sign.OFF): to(S.POWERING, _OFF),
        (S.RETRYING, Sign.DONE): to(S.BOOTING, "it restarts"),
        (S.RETRYING, Sign.UP): to(S.TESTING, "it beats well again"),
        (S.RETRYING, Sign.OFF): to(S.POWERING, _OFF),
        (S.RETRYING, Sign.FAILED): to(S.RESTING, "it was not restarted", cause=_WHY.RESET),
        (S.RESTING, Sign.DUE): to(S.RETRYING, "it is tried again"),
        (S.RESTING, Sign.SPENT): failed("it failed too often: lock and unlock it to retry"),
    },
    {
        S.RESETTING: Entry(
            task=HostTask.UNLOCKING,
            text="it is restarted, so that its configuration is applied",
            sub="reset",
            sub_stage="asked",
            silent=True,
            marks=True,
        ),
        S.BOOTING: Entry(
            task=HostTask.BOOTING,
            text="it boots, and beats on a new boot",
            timer="boot_s",
            silent=True,
        ),
        S.POWERING: Entry(
            task=HostTask.POWERING_ON,
            text="its BMC turns it on",
            effect=EffectKind.BMC_ON,
            timer="power_on_s",
            silent=True,
        ),
        S.AWAITING: Entry(task=HostTask.ENABLING, text="its pulses are waited for", looks=True),
        S.TESTING: Entry(
            task=HostTask.TESTING, text="it is tested", sub="intest", sub_stage="tests"
        ),
        S.SOAKING: Entry(
            task=HostTask.SOAKING, text="its heartbeat is watched", timer="heartbeat_soak_s"
        ),
        S.RETRYING: Entry(
            task=HostTask.REBOOTING,
            text="it is restarted, because it failed",
            sub="reset",
            sub_stage="asked",
            silent=True,
        ),
        S.RESTING: Entry(
            task=HostTask.RETRY_WAIT,
            text="it rests before it is tried again",
            timer="rest",
            host=Input.FAIL,
            limited=True,
        ),
    },
)
