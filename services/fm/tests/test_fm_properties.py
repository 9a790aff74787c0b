"""Random histories against a small model that knows nothing of ledgers, batches or counts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.fm.catalogue import shipped
from murmuration.fm.core.model import Key, Ledger, Request, Said
from murmuration.fm.core.policy import make_policy
from murmuration.fm.handlers.intake import need_of
from murmuration.proto.fm import AlarmType, ClearAlarm, ClearBelow, RaiseAlarm, Severity

NOW = datetime(2026, 11, 25, tzinfo=UTC)
LOCKED = "200.001"
POLICY = make_policy(generation=1, catalogue=shipped(), profiles=(), suppressions=())
ENTITIES = ("host=a", "host=a.port=1", "host=a.port=1.vf=2", "host=ab", "host=b", "host=b.port=1")
IDS = (LOCKED, "100.103", "250.001")


def _raise(alarm_id: str, entity: str, severity: Severity, text: str) -> RaiseAlarm:
    return RaiseAlarm(
        alarm_id=alarm_id,
        entity=entity,
        severity=severity,
        reason_text=text,
        alarm_type=AlarmType.EQUIPMENT,
        probable_cause="unknown",
        raised_at=NOW,
    )


entities, ids = st.sampled_from(ENTITIES), st.sampled_from(IDS)
severities = st.sampled_from([Severity.MAJOR, Severity.CRITICAL])
raises = st.builds(_raise, ids, entities, severities, st.sampled_from(["one", "two"]))
clears = st.builds(ClearAlarm, alarm_id=ids, entity=entities, cleared_at=st.just(NOW))
belows = st.builds(
    ClearBelow, alarm_id=st.sampled_from(["", *IDS]), entity=entities, cleared_at=st.just(NOW)
)
batches = st.lists(st.lists(st.one_of(raises, raises, clears, belows), max_size=8), max_size=8)


@dataclass
class Known:
    """An alarm as the model knows it."""

    said: tuple[Severity, str]
    count: int = 1


@dataclass
class Model:
    """What fault management means, said as directly as possible."""

    alarms: dict[Key, Known] = field(default_factory=dict[Key, Known])
    log: list[tuple[str, Key]] = field(default_factory=list[tuple[str, Key]])

    def take(self, request: Request) -> None:
        match request:
            case RaiseAlarm(alarm_id=alarm_id, entity=entity):
                key, said = (alarm_id, entity), (request.severity, request.reason_text)
                if key not in self.alarms:
                    self.alarms[key] = Known(said)
                    self.log.append(("raised", key))
                    return
                if self.alarms[key].said != said:
                    self.log.append(("changed", key))
                self.alarms[key] = Known(said, self.alarms[key].count + 1)
            case ClearAlarm(alarm_id=alarm_id, entity=entity):
                self._clear((alarm_id, entity))
            case ClearBelow(alarm_id=alarm_id, entity=entity):
                for key in sorted(self.alarms):
                    if alarm_id in ("", key[0]) and _below(key[1], entity):
                        self._clear(key)
            case _:
                raise AssertionError

    def _clear(self, key: Key) -> None:
        if self.alarms.pop(key, None) is not None:
            self.log.append(("cleared", key))

    def masked(self, key: Key) -> bool:
        """Whether a locked host stands above; of the three ids only one may be masked."""
        return key[0] == "100.103" and any(
            alarm_id == LOCKED and _below(key[1], entity) for alarm_id, entity in self.alarms
        )


def _below(entity: str, top: str) -> bool:
    return entity == top or entity.startswith(f"{top}.")


def _loaded(ledger: Ledger, before: Ledger | None, batch: list[Request]) -> None:
    """Load only what the batch needs, as the database does."""
    if before is None:
        return
    need = need_of([Said(request, "mtce", "") for request in batch], POLICY.inhibiting)
    wanted = [
        active
        for key, active in before.alarms.items()
        if key in need.keys or any(active.path.startswith(path) for path in need.below)
    ]
    above = [
        (key, active.path)
        for key, active in before.alarms.items()
        if active.alarm.inhibits and active.path in need.above
    ]
    ledger.load(wanted, above)


@given(batches)
@settings(max_examples=300, deadline=None)
def test_batches_come_to_what_the_model_says_of_the_same_messages(
    said: list[list[Request]],
) -> None:
    model = Model()
    whole = Ledger(policy=POLICY, now=NOW + timedelta(hours=1))  # as the database: everything
    log: list[tuple[str, Key]] = []
    for number, batch in enumerate(said):
        ledger = Ledger(policy=POLICY, now=NOW + timedelta(hours=1))
        _loaded(ledger, whole, batch)
        for place, request in enumerate(batch):
            ledger.apply(Said(request, "mtce", f"{number}-{place}"))
            model.take(request)
        for key, active in ledger.touched.items():
            if active is None:
                whole.alarms.pop(key, None)
            else:
                whole.alarms[key] = active
        log += [
            (each.kind.value, (each.subject.alarm_id, each.subject.entity))  # type: ignore[union-attr]
            for each in ledger.transitions
            if set(each.changed) != {"masked"}
        ]
    assert {key: active.alarm.raise_count for key, active in whole.alarms.items()} == {
        key: known.count for key, known in model.alarms.items()
    }
    assert log == model.log
    assert {key for key, active in whole.alarms.items() if active.alarm.masked} == {
        key for key in model.alarms if model.masked(key)
    }
    uuids = [active.alarm.uuid for active in whole.alarms.values()]
    assert len(set(uuids)) == len(uuids)
