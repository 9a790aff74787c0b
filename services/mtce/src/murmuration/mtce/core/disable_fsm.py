"""Disable: a host is taken out of service, because an operator wants it locked.

Politely (lock): its services are stopped, and only then it counts as locked; what does not stop
leaves the host in service, and says so. By force (force-lock): it is restarted, or locked without
proof that it went down, and says that.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask


class Stage(enum.Enum):
    """How it is taken out of service."""

    STOPPING_WORKER = "stopping-worker"
    STOPPING = "stopping"
    RESETTING = "resetting"


S, _LOCK = Stage, Input.LOCK
_STAYS = "its worker half did not stop: `--force` restarts it"
DISABLE = procedure(
    "disable",
    Stage,
    {
        (S.STOPPING_WORKER, Sign.DONE): to(S.STOPPING, "its worker half has stopped"),
        (S.STOPPING_WORKER, Sign.LOST): done("it fell silent and serves no more", host=_LOCK),
        (S.STOPPING_WORKER, Sign.REBOOTED): done("it rebooted and serves no more", host=_LOCK),
        (S.STOPPING_WORKER, Sign.FAILED): failed(_STAYS),
        (S.STOPPING_WORKER, Sign.DUE): failed(_STAYS),
        (S.STOPPING, Sign.DONE): done("its services have stopped", host=_LOCK),
        (S.STOPPING, Sign.LOST): done("it fell silent and serves no more", host=_LOCK),
        (S.STOPPING, Sign.REBOOTED): done("it rebooted and serves no more", host=_LOCK),
        (S.STOPPING, Sign.FAILED): failed("its services did not stop: `--force` restarts it"),
        (S.STOPPING, Sign.DUE): failed("its services did not stop in time: `--force` restarts it"),
        (S.RESETTING, Sign.DONE): done("it was restarted", host=_LOCK),
        (S.RESETTING, Sign.UP): done("it was restarted", host=_LOCK),
        (S.RESETTING, Sign.FAILED): done(
            "it could not be restarted: what ran on it may still run", host=_LOCK
        ),
    },
    {
        S.STOPPING_WORKER: Entry(
            task=HostTask.LOCKING,
            text="its agent stops the services of its worker half",
            effect=EffectKind.AGENT_STOP_WORKER,
            timer="host_services_s",
        ),
        S.STOPPING: Entry(
            task=HostTask.LOCKING,
            text="its agent stops its services",
            effect=EffectKind.AGENT_STOP,
            timer="host_services_s",
        ),
        S.RESETTING: Entry(
            task=HostTask.FORCE_LOCKING,
            text="it is made to restart, without waiting for its services",
            sub="reset",
            sub_stage="asked",
            silent=True,
            marks=True,
        ),
    },
)
