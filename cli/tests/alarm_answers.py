"""What the make-believe gateway answers about alarms: history, causes, the catalogue, gates."""

from datetime import UTC, datetime, timedelta

import msgspec

from murmuration.proto.api import (
    AlarmCounts,
    AlarmSummary,
    AlarmView,
    DegradeList,
    GateList,
    SuppressionList,
)
from murmuration.proto.fm import Alarm, Comment, Threshold
from murmuration.proto.fm_derived import Gate, GateState, HostDegrade
from murmuration.proto.fm_operators import (
    CatalogueEntry,
    CataloguePage,
    Cause,
    HistoryEntry,
    HistoryKind,
    HistoryPage,
    Reach,
    Suppression,
    Why,
)
from murmuration.proto.fm_vocabulary import AlarmType, Severity

NOW = datetime(2025, 11, 22, 14, 3, 9, tzinfo=UTC)


def before(**ago: float) -> datetime:
    """A moment before NOW."""
    return NOW - timedelta(**ago)


def alarm(uuid: str, alarm_id: str, entity: str, **fields: object) -> AlarmView:
    """An alarm a minute old, but for `fields`."""
    made = AlarmView(
        uuid=uuid,
        alarm_id=alarm_id,
        entity=entity,
        severity=Severity.MAJOR,
        alarm_type=AlarmType.COMMUNICATION,
        probable_cause="unknown",
        reason_text="It is down.",
        producer="mtce",
        raise_count=1,
        first_raised_at=before(minutes=1),
        last_raised_at=before(minutes=1),
    )
    return msgspec.structs.replace(made, **fields)


ROOT = alarm(
    "5a3c1e00-9b5c-4d5e-8d58-6a5f0f6c1b01",
    "100.120",
    "switch=leaf-3",
    reason_text="Switch leaf-3 is silent: all 48 links to it are down.",
    proposed_repair_action="Check its power and its uplinks.",
    impacted_count=96,
    acknowledged_by="ada",
    acknowledged_at=before(seconds=30),
    comments=(Comment(at=before(seconds=20), author="ada", text="On my way."),),
    management_affecting=True,
    degrade_affecting=True,
    flap_count=3,
    changed_at=before(seconds=40),
    threshold=Threshold(attribute="links up", observed=0, level=1, unit="links"),
)
IMPACTED = tuple(
    alarm(
        f"5a3c1e0{n}-77aa-4f0e-9d3c-14c1b8a4e80{n}",
        "100.108",
        f"host=worker-{n}.port=eth0",
        severity=Severity.CRITICAL,
        reason_text=f"Management port eth0 of worker-{n} is down.",
        root_cause=ROOT.uuid,
        correlated_by="lldp-neighbour",
    )
    for n in range(1, 5)
)
ALONE = alarm(
    "7e19d000-3c9e-4c43-8c5d-0b3d5bb60503",
    "100.101",
    "host=worker-9",
    severity=Severity.WARNING,
    reason_text="Platform cores are busy: 91 %.",
    flapping=True,
    stale=True,
    quarantined=True,
)
STORM = (ROOT, ALONE, *IMPACTED)
SUMMARY = AlarmSummary(
    counts=AlarmCounts(critical=96, major=1, warning=1),
    root_count=1,
    impacted_count=96,
    acknowledged_count=1,
    masked_count=2,
    suppressed_count=3,
)
SUPPRESSIONS = SuppressionList(
    items=(
        Suppression(
            id="51aa0000-1111-4222-8333-944455556666",
            alarm_id="100.101",
            author="ada",
            comment="Load test on Saturday.",
            created_at=before(hours=1),
            expires_at=NOW + timedelta(hours=2, minutes=5),
        ),
        Suppression(
            id="51bb0000-1111-4222-8333-944455556666",
            entity="host=worker-*",
            severities=(Severity.MINOR, Severity.WARNING),
            author="grace",
            created_at=before(days=3),
        ),
    )
)
GATES = GateList(
    items=(
        GateState(gate=Gate.STRICT, blocked=True, cause_count=98, since=before(minutes=1)),
        GateState(gate=Gate.RELAXED, blocked=True, cause_count=1, since=before(minutes=1)),
        GateState(gate=Gate.PERMISSIVE, blocked=False, since=before(days=9)),
    )
)
DEGRADES = DegradeList(
    items=(HostDegrade(host="worker-1", causes=(ROOT.uuid,), cause_count=1, since=before(hours=3)),)
)


def entry(number: int, kind: HistoryKind, **fields: object) -> HistoryEntry:
    """Something that happened to ROOT, `number` times ten seconds ago."""
    at = before(seconds=10 * number)
    known = {each: getattr(ROOT, each) for each in Alarm.__struct_fields__}
    made = HistoryEntry(id=100 - number, at=at, recorded_at=at, kind=kind, alarm=Alarm(**known))
    return msgspec.structs.replace(made, **fields)


HISTORY = HistoryPage(
    items=(
        entry(1, HistoryKind.CLEARED, reason="All its links are up again."),
        entry(2, HistoryKind.CHANGED, changed=("comments",), author="ada"),
        entry(3, HistoryKind.CHANGED, changed=("acknowledged_by",), author="ada"),
        entry(4, HistoryKind.CHANGED, changed=("severity", "reason_text")),
        entry(6, HistoryKind.RAISED, at=before(days=1)),
    ),
    next="95",
)
WHY = Why(
    alarm=IMPACTED[0],
    causes=(
        Cause(
            alarm=ROOT,
            rule="lldp-neighbour",
            reason="worker-1.eth0 is cabled to leaf-3, which fell silent 0.4 s before.",
        ),
    ),
    sibling_count=95,
)
WHY_ROOT = Why(alarm=ROOT, impacted=tuple(each.entity for each in IMPACTED), impacted_count=96)
CATALOGUE = CataloguePage(
    items=(
        CatalogueEntry(
            id="100.101",
            kind="alarm",
            summary="Platform cores are busy beyond their threshold.",
            entities=("host=<host>",),
            severities=(Severity.CRITICAL, Severity.MAJOR),
            alarm_types=(AlarmType.OPERATIONAL_VIOLATION,),
            probable_cause="threshold-crossed",
            suppressible=True,
            management_reach=Reach.MAJOR,
            degrade_reach=Reach.CRITICAL,
            repair="Watch it; if it lasts, move load away.",
        ),
        CatalogueEntry(
            id="401.001",
            kind="log",
            summary="A service group changed state.",
            severities=(Severity.CRITICAL,),
            alarm_types=(AlarmType.PROCESSING_ERROR,),
            probable_cause="unspecified-reason",
        ),
    )
)
