"""The test before service (go-enabled): the host's own tests, then the start of its services.

Other procedures wait for it: enable and recovery. A host whose agent takes no orders has nothing to
run: the test ends well at once, and the heartbeat alone decides.
"""

import enum

from murmuration.mtce.core.host_fsm import Input
from murmuration.mtce.core.model import EffectKind
from murmuration.mtce.core.procedure import Entry, Sign, done, failed, procedure, to
from murmuration.proto.mtce import HostTask, RecoveryCause


class Stage(enum.Enum):
    """What is being tried."""

    TESTS = "tests"
    SERVICES = "services"


S, _WHY = Stage, RecoveryCause
INTEST = procedure(
    "intest",
    Stage,
    {
        (S.TESTS, Sign.DONE): to(S.SERVICES, "its tests passed"),
        (S.TESTS, Sign.FAILED): failed("its tests failed", cause=_WHY.GOENABLE),
        (S.TESTS, Sign.DUE): failed("its tests did not end in time", cause=_WHY.GOENABLE),
        (S.SERVICES, Sign.DONE): done("its services run"),
        (S.SERVICES, Sign.FAILED): failed("its services failed", cause=_WHY.HOST_SERVICES),
        (S.SERVICES, Sign.DUE): failed(
            "its services did not start in time", cause=_WHY.HOST_SERVICES
        ),
    },
    {
        S.TESTS: Entry(
            task=HostTask.TESTING,
            text="its agent runs the tests that must pass before it serves",
            effect=EffectKind.AGENT_TEST,
            timer="goenabled_s",
            host=Input.TEST,
        ),
        S.SERVICES: Entry(
            task=HostTask.STARTING_SERVICES,
            text="its agent starts its services",
            effect=EffectKind.AGENT_START,
            timer="host_services_s",
        ),
    },
)
