"""The worker half of an all-in-one controller: enabled after its host, by tests and services of it.

It is tried when the host has begun to serve as a controller. What fails leaves the host in service,
degraded (alarm 200.013); after a rest the whole host is enabled anew, so often, then it stays so
until an operator locks and unlocks it.

Invariants: the worker half serves only while its host does; a lock stops it before the host.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import Availability, HostTask


class Stage(enum.Enum):
    """How far it is."""

    TESTS = "tests"
    SERVICES = "services"
    SOAKING = "soaking"
    RESTING = "resting"  # after a failure


S, _FAILED = Stage, Availability.FAILED
_SILENT, _REBOOTED = "it fell silent", "it rebooted"
WORKER = procedure(
    "worker",
    Stage,
    {
        (S.TESTS, Sign.DONE): to(S.SERVICES, "the tests of its worker half passed"),
        (S.TESTS, Sign.FAILED): to(
            S.RESTING, "the tests of its worker half failed", worker=_FAILED
        ),
        (S.TESTS, Sign.DUE): to(
            S.RESTING, "the tests of its worker half did not end in time", worker=_FAILED
        ),
        (S.TESTS, Sign.LOST): failed(_SILENT),
        (S.TESTS, Sign.REBOOTED): failed(_REBOOTED),
        (S.SERVICES, Sign.DONE): to(S.SOAKING, "the services of its worker half run"),
        (S.SERVICES, Sign.FAILED): to(
            S.RESTING, "the services of its worker half failed", worker=_FAILED
        ),
        (S.SERVICES, Sign.DUE): to(
            S.RESTING, "the services of its worker half did not start in time", worker=_FAILED
        ),
        (S.SERVICES, Sign.LOST): failed(_SILENT),
        (S.SERVICES, Sign.REBOOTED): failed(_REBOOTED),
        (S.SOAKING, Sign.DUE): done("its worker half serves", worker=Availability.AVAILABLE),
        (S.SOAKING, Sign.LOST): failed(_SILENT),
        (S.SOAKING, Sign.REBOOTED): failed(_REBOOTED),
        (S.RESTING, Sign.DUE): failed("it is enabled anew", host=Input.FAIL),
        (S.RESTING, Sign.SPENT): failed(
            "its worker half failed too often: lock and unlock it to retry"
        ),
        (S.RESTING, Sign.LOST): failed(_SILENT),
        (S.RESTING, Sign.REBOOTED): failed(_REBOOTED),
    },
    {
        S.TESTS: Entry(
            task=HostTask.ENABLING_WORKER,
            text="its agent runs the tests of its worker half",
            effect=EffectKind.AGENT_TEST_WORKER,
            timer="goenabled_s",
            worker=Availability.INTEST,
        ),
        S.SERVICES: Entry(
            task=HostTask.ENABLING_WORKER,
            text="its agent starts the services of its worker half",
            effect=EffectKind.AGENT_START_WORKER,
            timer="host_services_s",
        ),
        S.SOAKING: Entry(
            task=HostTask.ENABLING_WORKER,
            text="its heartbeat is watched",
            timer="heartbeat_soak_s",
        ),
        S.RESTING: Entry(
            task=HostTask.RETRY_WAIT,
            text="it rests before it is enabled anew",
            timer="rest",
            limited=True,
        ),
    },
)
