"""What the make-believe gateway answers about hosts."""

import msgspec

from murmuration.proto.api import (
    AlarmCounts,
    HostView,
)
from murmuration.proto.mtce import (
    Availability,
    HeartbeatState,
    HostPlan,
    HostStep,
    HostTask,
    Operational,
    PlannedStage,
)
from murmuration.proto.sysinv import (
    Administrative,
    Admission,
    HostAction,
    HostFacts,
    Link,
    Origin,
    Personality,
)

from .alarm_answers import before


def host(name: str, index: int, **changes: object) -> HostView:
    """A worker in good order, but for `changes`."""
    made = HostView(
        name=name,
        index=index,
        personality=Personality.WORKER,
        origin=Origin.NAMESPACE,
        observe_only=False,
        admission=Admission.ACCEPTED,
        intended_administrative=Administrative.UNLOCKED,
        administrative=Administrative.UNLOCKED,
        operational=Operational.ENABLED,
        availability=Availability.AVAILABLE,
        heartbeat=HeartbeatState.WELL,
        reason="Its pulses are heard.",
        address=f"198.18.0.{10 + index}",
        boot_id="7d0c8d0e-5f0c-4b53-9f6c-2d0f4f1c6a11",
        changed_at=before(hours=3),
        last_heard_at=before(milliseconds=100),
        reported_at=before(minutes=4),
    )
    return msgspec.structs.replace(made, **changes)


HOSTS = (
    host("controller-0", 1, personality=Personality.CONTROLLER),
    host("controller-1", 2, personality=Personality.CONTROLLER),
    host(
        "lab-machine",
        0,
        personality=Personality.CONTROLLER,
        origin=Origin.MACHINE,
        observe_only=True,
        facts=HostFacts(
            vendor="Supermicro",
            product="SYS-111E",
            serial="S411795X",
            firmware="1.4a (2024-09-12)",
            architecture="x86_64",
            kernel="6.1.0-28-amd64",
            os="Debian GNU/Linux 12 (bookworm)",
            cpu_model="Intel Xeon Gold 6433N",
            cpu_count=64,
            memory_bytes=256 * 2**30,
            numa_node_count=2,
        ),
        links=(
            Link(
                name="eno1",
                index=2,
                kind="ether",
                mac="3c:ec:ef:01:02:03",
                mtu_bytes=1500,
                admin_up=True,
                oper_up=True,
                speed_mbps=25_000,
                addresses=("192.0.2.10/24", "2001:db8::10/64"),
            ),
            Link(name="eno2", index=3, kind="ether", mac="3c:ec:ef:01:02:04", mtu_bytes=1500),
            Link(
                name="eno3",
                index=4,
                kind="ether",
                mac="3c:ec:ef:01:02:05",
                mtu_bytes=9000,
                admin_up=True,
            ),
        ),
    ),
    host(
        "worker-1",
        3,
        operational=Operational.DISABLED,
        availability=Availability.FAILED,
        heartbeat=HeartbeatState.LOST,
        reason="No pulse was heard for 1.0 s on NATS and on UDP.",
        last_heard_at=before(seconds=73),
        changed_at=before(seconds=72),
        alarms=AlarmCounts(critical=1, minor=1),
    ),
    host(
        "worker-2",
        4,
        administrative=Administrative.LOCKED,
        operational=Operational.DISABLED,
        availability=Availability.ONLINE,
        alarms=AlarmCounts(warning=1),
        task=HostTask.UNLOCKING,
        task_text="Unlocking",
        deadline_at=before(minutes=-5),
        reason="Unlocking: its services start.",
    ),
    host(
        "worker-3",
        5,
        admission=Admission.DISCOVERED,
        administrative=Administrative.LOCKED,
        operational=Operational.DISABLED,
        availability=Availability.OFFLINE,
        heartbeat=HeartbeatState.AWAITED,
        last_heard_at=None,
        origin=Origin.SIMULATED,
        reason="It waits to be accepted.",
    ),
)
PLAN = HostPlan(
    host="worker-1",
    action=HostAction.LOCK,
    reason="worker-1 goes through 1 stage.",
    affected=("what runs on worker-1: it leaves service",),
    stages=(
        PlannedStage(
            stage="disable stopping",
            text="its agent stops its services",
            effect="agent.services_stop",
            deadline_s=305.0,
            otherwise="its services did not stop in time",
        ),
    ),
)
STEPS = (
    HostStep(
        at=before(seconds=72),
        input="lost",
        stage="recovery listening",
        state="unlocked-disabled-failed",
        reason="worker-1 is failed: no pulse for 1003 ms: 10 of 100 ms missed on NATS and UDP",
        evidence={"silent_ms": "1003", "missed_count": "10"},
    ),
)
