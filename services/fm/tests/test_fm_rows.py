"""What fm's handlers and tasks do to its rows, on a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from services.fm.tests.conftest import Rows

from murmuration.fm.store import partitions
from murmuration.fm.store.partitions import Partition, superfluous
from murmuration.kernel.errors import NotFound, Rejected
from murmuration.proto.envelope import encode
from murmuration.proto.fm import (
    AlarmChanged,
    AlarmCleared,
    AlarmRaised,
    AlarmType,
    ClearAlarm,
    ClearBelow,
    IntakeRejected,
    LogRecorded,
    RaiseAlarm,
    RecordLog,
    Refusal,
    Severity,
    Tick,
)
from murmuration.proto.fm_operators import (
    AcknowledgeAlarm,
    AddSuppression,
    ClearAlarmByOperator,
    CommentAlarm,
    GetAlarmCounts,
    GetAlarmsAt,
    GetCatalogue,
    GetHistory,
    HistoryKind,
    RaiseAlarmByOperator,
    RecordLogByOperator,
    RemoveSuppression,
    SetProfile,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DECODED = {
    "fm.alarm.raised.v1": AlarmRaised,
    "fm.alarm.changed.v1": AlarmChanged,
    "fm.alarm.cleared.v1": AlarmCleared,
    "fm.log.recorded.v1": LogRecorded,
}


def raise_(entity: str = "host=a", alarm_id: str = "100.103", **fields: Any) -> RaiseAlarm:
    said: dict[str, Any] = {
        "severity": Severity.MAJOR,
        "reason_text": "memory is short",
        "alarm_type": AlarmType.OPERATIONAL_VIOLATION,
        "probable_cause": "threshold-crossed",
        "raised_at": NOW,
    }
    return RaiseAlarm(alarm_id=alarm_id, entity=entity, **(said | fields))


def clear(entity: str = "host=a", alarm_id: str = "100.103", at: datetime = NOW) -> ClearAlarm:
    return ClearAlarm(alarm_id=alarm_id, entity=entity, cleared_at=at)


def log(entity: str = "host=a.state=enabled") -> RecordLog:
    return RecordLog(
        log_id="200.022",
        entity=entity,
        severity=Severity.WARNING,
        reason_text="enabled",
        event_type=AlarmType.OTHER,
        probable_cause="unspecified-reason",
        logged_at=NOW,
    )


async def test_mixed_batch_comes_to_rows_history_and_events_in_order(rows: Rows) -> None:
    await rows.say(raise_(), raise_("host=b"), raise_(), clear(), log())
    assert list(await rows.alarms()) == ["host=b"]
    assert await rows.kinds() == ["raised", "raised", "cleared", "logged"]
    stored = await rows.fetch(
        "select type, body, bucket, key, state from mur.outbox order by change"
    )
    for row in stored:
        msgspec.json.decode(row["body"], type=DECODED[row["type"]])
    assert [row["state"] is None for row in stored] == [False, False, True, True]
    assert [row["bucket"] for row in stored] == ["fm_alarms"] * 3 + [None]


async def test_alarm_outlives_its_batches_when_it_is_raised_again_and_again(rows: Rows) -> None:
    await rows.say(raise_())
    first = (await rows.alarms())["host=a"]
    for _ in range(3):
        await rows.say(raise_())
    again = (await rows.alarms())["host=a"]
    assert (again.uuid, again.raise_count) == (first.uuid, 4)
    assert await rows.kinds() == ["raised"]


async def test_impossible_message_is_refused_and_harms_nothing_beside_it(rows: Rows) -> None:
    bad = raise_("host=bad", severity=Severity.UNKNOWN)
    await rows.say(raise_(), bad, raise_("host=b"))
    assert list(await rows.alarms()) == ["host=a", "host=b"]
    (row,) = await rows.fetch("select body, subject from mur.outbox where type like '%rejected%'")
    event = msgspec.json.decode(row["body"], type=IntakeRejected)
    assert (event.refusal, row["subject"]) == (Refusal.WORD, "fm.event.intake.rejected.mtce")
    assert "severity" in event.reason
    assert "host=bad" in event.body


async def test_message_that_would_fit_no_event_is_refused(rows: Rows) -> None:
    await rows.say(raise_(additional={"dump": "x" * 40_000}), raise_("host=b"))
    assert list(await rows.alarms()) == ["host=b"]
    assert rows.intake.counts.rejected == 1


async def test_host_is_unlocked_and_all_on_it_is_unmasked_when_batches_are_apart(
    rows: Rows,
) -> None:
    locked = raise_("host=a", "200.001", severity=Severity.WARNING)
    await rows.say(raise_("host=a.port=1"), raise_("host=ab.port=1"))
    await rows.say(locked)
    await rows.say(raise_("host=a.port=2"), raise_("host=a.port=1", reason_text="other"))
    masked = {entity for entity, alarm in (await rows.alarms()).items() if alarm.masked}
    assert masked == {"host=a.port=1", "host=a.port=2"}
    await rows.say(clear("host=a", "200.001"))
    assert not any(alarm.masked for alarm in (await rows.alarms()).values())


async def test_clear_below_finds_what_earlier_batches_raised(rows: Rows) -> None:
    await rows.say(*(raise_(f"host=a.port={n}") for n in range(5)), raise_("host=ab"))
    await rows.say(ClearBelow(entity="host=a", cleared_at=NOW))
    assert list(await rows.alarms()) == ["host=ab"]
    assert (await rows.kinds()).count("cleared") == 5


async def test_operator_acknowledges_comments_and_clears(rows: Rows) -> None:
    await rows.say(raise_())
    uuid = (await rows.alarms())["host=a"].uuid
    operators = rows.operators
    async with rows.unit() as unit:
        seen = AcknowledgeAlarm(operation_id=rows.operation(), uuid=uuid, author="ann")
        assert "acknowledged by ann" in await operators.acknowledge(unit, seen)
    async with rows.unit() as unit:
        note = CommentAlarm(operation_id=rows.operation(), uuid=uuid, author="bob", text="mine")
        await operators.comment(unit, note)
    alarm = (await rows.alarms())["host=a"]
    assert (alarm.acknowledged_by, alarm.comments[0].text) == ("ann", "mine")
    async with rows.unit() as unit:
        done = ClearAlarmByOperator(operation_id=rows.operation(), uuid=uuid, author="ann")
        await operators.clear(unit, done)
    page = await rows.queries.history(GetHistory(uuid=uuid, oldest_first=True))
    assert [(each.kind.value, each.author) for each in page.items] == [
        ("raised", ""),
        ("changed", "ann"),
        ("changed", "bob"),
        ("cleared", "ann"),
    ]
    with pytest.raises(NotFound):
        async with rows.unit() as unit:
            await operators.acknowledge(unit, seen)


async def test_only_the_newest_comments_are_kept_on_an_alarm(rows: Rows) -> None:
    await rows.say(raise_())
    uuid = (await rows.alarms())["host=a"].uuid
    for number in range(25):
        async with rows.unit() as unit:
            text = str(number)
            note = CommentAlarm(operation_id=rows.operation(), uuid=uuid, author="b", text=text)
            await rows.operators.comment(unit, note)
    kept = [comment.text for comment in (await rows.alarms())["host=a"].comments]
    assert kept == [str(number) for number in range(5, 25)]


async def test_alarm_raised_through_the_gateway_is_one_however_often_it_is_posted(
    rows: Rows,
) -> None:
    first = RaiseAlarmByOperator(operation_id=rows.operation(), author="ann", alarm=raise_())
    one = await rows.operators.raise_alarm(first)
    assert await rows.operators.raise_alarm(first) == one
    second = msgspec.structs.replace(first, operation_id=rows.operation())
    assert (await rows.operators.raise_alarm(second)).uuid == one.uuid
    assert (await rows.alarms())["host=a"].raise_count == 2
    entry = RecordLogByOperator(operation_id=rows.operation(), author="ann", log=log())
    uuid = (await rows.operators.record(entry)).uuid
    page = await rows.queries.history(GetHistory(kinds=(HistoryKind.LOGGED,)))
    assert page.items[0].log is not None and page.items[0].log.uuid == uuid
    bad = raise_(severity=Severity.UNKNOWN)
    with pytest.raises(Rejected, match="severity"):
        await rows.operators.raise_alarm(
            RaiseAlarmByOperator(operation_id=rows.operation(), author="ann", alarm=bad)
        )


async def test_suppression_hides_what_is_there_and_what_comes_until_it_ends(rows: Rows) -> None:
    await rows.say(raise_(), raise_("host=b"))
    scope = AddSuppression(
        operation_id=rows.operation(),
        entity="host=a",
        author="ann",
        comment="at work",
        expires_at=rows.clock.now() + timedelta(hours=1),
    )
    added = await rows.operators.add_suppression(scope)
    await rows.say(raise_("host=a.port=1"))
    hidden = {entity for entity, alarm in (await rows.alarms()).items() if alarm.suppressed}
    assert hidden == {"host=a", "host=a.port=1"}
    again = msgspec.structs.replace(scope, operation_id=rows.operation(), comment="longer")
    assert (await rows.operators.add_suppression(again)).uuid == added.uuid
    rows.clock.forward(hours=2)
    await rows.tasks.policy()
    await rows.tasks.policy()
    assert not any(alarm.suppressed for alarm in (await rows.alarms()).values())
    (state,) = await rows.fetch("select policy, policy_applied from state")
    assert state["policy_applied"].startswith(f"{state['policy']}/")
    told = [each for each in await rows.events() if "suppression" in each]
    assert told == ["fm.suppression.changed.v1"] * 3


async def test_suppression_is_removed_and_its_alarms_are_shown_again(rows: Rows) -> None:
    await rows.say(raise_())
    scope = AddSuppression(operation_id=rows.operation(), alarm_id="100.103", author="ann")
    added = await rows.operators.add_suppression(scope)
    async with rows.unit() as unit:
        gone = RemoveSuppression(operation_id=rows.operation(), id=added.uuid, author="ann")
        await rows.operators.remove_suppression(unit, gone)
    assert not (await rows.alarms())["host=a"].suppressed
    with pytest.raises(NotFound):
        async with rows.unit() as unit:
            await rows.operators.remove_suppression(unit, gone)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "say what to suppress"),
        ({"severities": (Severity.UNKNOWN,)}, "not known"),
        ({"entity": "host=\n"}, "no path"),
        ({"alarm_id": "100.103", "expires_at": NOW - timedelta(days=1)}, "ended already"),
    ],
)
async def test_suppression_without_sense_is_refused(
    rows: Rows, fields: dict[str, Any], said: str
) -> None:
    scope = AddSuppression(operation_id=rows.operation(), author="ann", **fields)
    with pytest.raises(Rejected, match=said):
        await rows.operators.add_suppression(scope)


async def test_profile_changes_what_is_active_and_what_comes(rows: Rows) -> None:
    await rows.say(raise_())
    wanted = SetProfile(
        operation_id=rows.operation(), alarm_id="100.103", severity=Severity.MINOR, author="ann"
    )
    async with rows.unit() as unit:
        await rows.operators.set_profile(unit, wanted)
    await rows.say(raise_("host=b"))
    assert {alarm.severity for alarm in (await rows.alarms()).values()} == {Severity.MINOR}
    page = await rows.queries.catalogue(GetCatalogue(id="100.103"))
    assert (page.items[0].severity, page.items[0].profile) == (Severity.MINOR, "ann")
    back = SetProfile(operation_id=rows.operation(), alarm_id="100.103", author="ann")
    async with rows.unit() as unit:
        await rows.operators.set_profile(unit, back)
    assert {alarm.severity for alarm in (await rows.alarms()).values()} == {Severity.MAJOR}


async def test_policy_task_judges_more_alarms_than_one_transaction_takes(rows: Rows) -> None:
    await rows.say(*(raise_(f"host=h{n:04d}") for n in range(1_200)))
    scope = AddSuppression(operation_id=rows.operation(), alarm_id="100.103", author="ann")
    await rows.operators.add_suppression(scope)
    assert 0 < sum(alarm.suppressed for alarm in (await rows.alarms()).values()) < 1_200
    await rows.tasks.policy()
    assert all(alarm.suppressed for alarm in (await rows.alarms()).values())


async def test_alarms_of_a_silent_producer_become_stale_by_ticks_that_were_read(
    rows: Rows,
) -> None:
    await rows.say(raise_("host=a"), producer="node-a", spooled=True)
    await rows.say(raise_("host=b"))
    rows.clock.forward(days=1)
    await rows.tasks.leases()
    assert not (await rows.alarms())["host=a"].stale  # time alone says nothing
    for _ in range(3):
        await rows.say(Tick(period_s=300, at=NOW), producer="fm")
    await rows.tasks.leases()
    await rows.tasks.leases()
    stale = {entity: alarm.stale for entity, alarm in (await rows.alarms()).items()}
    assert stale == {"host=a": True, "host=b": False}
    assert await rows.kinds() == ["raised", "raised", "changed"]
    await rows.say(raise_("host=a"), producer="node-a", spooled=True)
    assert not (await rows.alarms())["host=a"].stale


async def test_alarm_with_a_lease_is_cleared_unless_it_is_raised_again(rows: Rows) -> None:
    await rows.say(raise_("host=a", lease_s=400), raise_("host=b", lease_s=400))
    await rows.say(Tick(period_s=300, at=NOW), raise_("host=b", lease_s=400), producer="fm")
    await rows.say(Tick(period_s=300, at=NOW), producer="fm")
    await rows.tasks.leases()
    assert list(await rows.alarms()) == ["host=b"]


async def test_tick_of_the_task_goes_through_fm_s_own_intake(rows: Rows) -> None:
    await rows.tasks.tick()
    (row,) = await rows.fetch("select stream, subject, body from mur.outbox")
    assert (row["stream"], row["subject"]) == ("FM_INTAKE", "fm.intake.fm.tick")
    assert msgspec.json.decode(row["body"], type=Tick).period_s == 300


async def test_raise_count_is_told_once_for_many_raises(rows: Rows) -> None:
    for _ in range(5):
        await rows.say(raise_())
    await rows.tasks.counts()
    await rows.tasks.counts()
    assert await rows.events() == ["fm.alarm.raised.v1", "fm.alarm.changed.v1"]
    (row,) = await rows.fetch("select body from mur.outbox where type = 'fm.alarm.changed.v1'")
    event = msgspec.json.decode(row["body"], type=AlarmChanged)
    assert (event.alarm.raise_count, event.changed) == (5, ("raise_count",))
    assert await rows.kinds() == ["raised"]


async def test_history_pages_are_stable_and_filtered(rows: Rows) -> None:
    for number in range(7):
        await rows.say(raise_(f"host=a.port={number}"), raise_(f"host=b{number}", "100.101"))
    found: list[str] = []
    after = ""
    while True:
        page = await rows.queries.history(GetHistory(entity="host=a", after=after, limit=3))
        found += [each.alarm.entity for each in page.items if each.alarm]
        await rows.say(raise_(f"host=a.later={len(found)}"))  # what comes later moves no page
        if page.next is None:
            break
        after = page.next
    assert found == [f"host=a.port={number}" for number in reversed(range(7))]
    only = await rows.queries.history(GetHistory(alarm_id="100.101", severities=(Severity.MAJOR,)))
    assert len(only.items) == 7
    nothing = await rows.queries.history(GetHistory(since=NOW + timedelta(days=1)))
    assert not nothing.items
    with pytest.raises(Rejected, match="cursor"):
        await rows.queries.history(GetHistory(after="x'; --"))


async def test_page_is_bounded_in_bytes(rows: Rows) -> None:
    await rows.say(*(raise_(f"host=h{n}", reason_text="x" * 1_024) for n in range(400)))
    page = await rows.queries.history(GetHistory())
    assert page.next is not None
    assert len(encode(page)) < 256 * 1024


async def test_alarms_of_an_instant_are_as_they_were(rows: Rows) -> None:
    def at(minute: int) -> datetime:
        return NOW + timedelta(minutes=minute)

    rows.clock.forward(hours=2)
    await rows.say(raise_("host=a", raised_at=at(0)), raise_("host=b", raised_at=at(10)))
    await rows.say(raise_("host=a", raised_at=at(20), severity=Severity.CRITICAL))
    await rows.say(clear("host=a", at=at(30)), raise_("host=a", raised_at=at(40)))

    async def seen(minute: int) -> dict[str, str]:
        found: dict[str, str] = {}
        after = ""
        while True:
            ask = GetAlarmsAt(at=at(minute), after=after, limit=1)
            page = await rows.queries.alarms_at(ask)
            found |= {alarm.entity: alarm.severity.value for alarm in page.items}
            if page.next is None:
                return found
            after = page.next

    assert await seen(-1) == {}
    assert await seen(5) == {"host=a": "major"}
    assert await seen(25) == {"host=a": "critical", "host=b": "major"}
    assert await seen(35) == {"host=b": "major"}
    assert await seen(45) == {"host=a": "major", "host=b": "major"}


async def test_counts_over_time_go_back_from_what_is_active(rows: Rows) -> None:
    def at(minute: int) -> datetime:
        return NOW + timedelta(minutes=minute)

    rows.clock.forward(minutes=50)
    await rows.say(raise_("host=a", raised_at=at(5)), raise_("host=b", raised_at=at(15)))
    await rows.say(raise_("host=b", raised_at=at(25), severity=Severity.CRITICAL))
    await rows.say(clear("host=a", at=at(35)))
    reply = await rows.queries.counts(GetAlarmCounts(since=NOW, bucket_s=600))
    assert [(b.raised, b.cleared, b.active) for b in reply.buckets] == [
        (1, 0, {"major": 1}),
        (1, 0, {"major": 2}),
        (0, 0, {"critical": 1, "major": 1}),
        (0, 1, {"critical": 1}),
        (0, 0, {"critical": 1}),
    ]
    with pytest.raises(Rejected, match="larger"):
        await rows.queries.counts(GetAlarmCounts(since=NOW - timedelta(days=9), bucket_s=1))


async def test_catalogue_is_read_in_pages(rows: Rows) -> None:
    ids: list[str] = []
    after = ""
    while True:
        page = await rows.queries.catalogue(GetCatalogue(after=after, limit=100))
        assert len(encode(page)) < 256 * 1024
        ids += [entry.id for entry in page.items]
        if page.next is None:
            break
        after = page.next
    assert len(ids) == 338 and ids == sorted(ids)
    with pytest.raises(NotFound):
        await rows.queries.catalogue(GetCatalogue(id="999.999"))


async def test_history_goes_on_when_the_clock_is_set_to_another_year(rows: Rows) -> None:
    rows.clock.forward(days=800)
    await rows.say(raise_())
    rows.clock.forward(days=-1_600)
    await rows.say(raise_("host=b"))
    assert await rows.kinds() == ["raised", "raised"]


async def test_days_are_made_ahead_and_old_ones_dropped(rows: Rows) -> None:
    await rows.say(raise_())
    rows.clock.forward(days=100)
    await rows.say(raise_("host=b"))
    await rows.tasks.history()
    async with rows.database.connection() as connection:
        names = [each.name for each in await partitions.listed(connection)]
    assert names[-1] == partitions.partition_of(rows.clock.now() + timedelta(days=2))
    assert partitions.partition_of(NOW) not in names
    assert await rows.kinds() == ["raised"]
    assert len(await rows.alarms()) == 2


async def test_oldest_rows_of_today_go_when_one_day_has_too_many(rows: Rows) -> None:
    await rows.say(*(raise_(f"host=h{n:03d}") for n in range(100)))
    async with rows.database.connection() as connection:
        assert await partitions.trim(connection, rows.clock.now(), rows_max=40) == 60
        assert await partitions.trim(connection, rows.clock.now(), rows_max=40) == 0
    (left,) = await rows.fetch("select min(entity) as first, count(*) as count from history")
    assert (left["first"], left["count"]) == ("host=h060", 40)


def test_partitions_go_by_age_and_by_size_but_never_today() -> None:
    days = [NOW - timedelta(days=n) for n in (9, 3, 2, 1, 0, -1)]
    kept = [Partition(partitions.partition_of(day), 10) for day in days]
    names = [each.name for each in kept]
    assert superfluous(kept, NOW, age_d=5, size_bytes_max=1_000) == names[:1]
    assert superfluous(kept, NOW, age_d=50, size_bytes_max=35) == names[:3]
    assert superfluous(kept, NOW, age_d=50, size_bytes_max=0) == names[:4]
