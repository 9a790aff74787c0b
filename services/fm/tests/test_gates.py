"""Degraded hosts and gates, against a plain count over all alarms."""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from murmuration.fm.core.faults import Fault
from murmuration.fm.core.gates import (
    FREE,
    PERMISSIVE,
    RELAXED,
    STRICT,
    Causes,
    Gates,
    Subject,
    effect_of,
)
from murmuration.fm.core.worst import DEGRADE, MANAGEMENT, NOTHING, PRESENT, Worst, ranked
from murmuration.proto.fm_derived import CAUSES_MAX

HOST = Subject(None, "c-1")


def fault(n: int, entity: str = "host=c-1", severity: str = "major", at: float = 0) -> Fault:
    return Fault(
        uuid=n.to_bytes(16, "big"),
        alarm_id="100.101",
        entity=entity,
        severity=severity,
        raised_at=at,
    )


def settled(gates: Gates) -> dict[Subject, Causes]:
    return {subject: now for subject, _, now in gates.settle()}


def test_gates_are_told_free_at_first_and_then_only_when_they_change() -> None:
    one = fault(1)
    gates = Gates({})
    assert settled(gates) == {STRICT: FREE, RELAXED: FREE, PERMISSIVE: FREE}
    gates.put(one, PRESENT)
    assert settled(gates) == {STRICT: Causes(1, (one.uuid,))}
    gates.put(one, PRESENT)
    assert settled(gates) == {}
    gates.put(one, PRESENT | MANAGEMENT)
    assert settled(gates) == {RELAXED: Causes(1, (one.uuid,))}
    gates.drop(one)
    assert settled(gates) == {STRICT: FREE, RELAXED: FREE}


def test_host_is_degraded_while_an_alarm_on_it_is_and_the_worst_is_named_first() -> None:
    minor, critical = fault(1, severity="minor"), fault(2, "host=c-1.port=x", "critical", 9)
    gates = Gates({})
    settled(gates)
    for one in (minor, critical):
        gates.put(one, PRESENT | DEGRADE)
    assert settled(gates)[HOST] == Causes(2, (critical.uuid, minor.uuid))
    gates.drop(critical)
    assert settled(gates)[HOST] == Causes(1, (minor.uuid,))
    gates.drop(minor)
    assert settled(gates)[HOST] == FREE
    assert settled(gates) == {}


def test_masked_alarm_affects_nothing_and_suppression_hides_nothing_from_gates() -> None:
    assert effect_of(masked=True, management=True, degrade=True) == NOTHING
    assert effect_of(masked=False, management=True, degrade=False) == (PRESENT | MANAGEMENT)
    one = fault(1)
    gates = Gates({})
    gates.put(one, PRESENT)
    gates.put(one, NOTHING)
    assert settled(gates)[STRICT] == FREE


def test_what_was_said_before_a_restart_is_taken_back_when_it_no_longer_holds() -> None:
    said = {STRICT: Causes(1, (b"x",)), Subject(None, "gone"): Causes(1, (b"x",)), RELAXED: FREE}
    gates = Gates(said)
    assert settled(gates) == {STRICT: FREE, Subject(None, "gone"): FREE, PERMISSIVE: FREE}


def test_as_many_causes_are_named_as_the_contract_allows() -> None:
    faults = [fault(n) for n in range(1, CAUSES_MAX + 20)]
    gates = Gates({})
    for one in faults:
        gates.put(one, PRESENT)
    causes = settled(gates)[STRICT]
    assert causes.count == CAUSES_MAX + 19
    assert causes.worst == tuple(n.to_bytes(16, "big") for n in range(1, CAUSES_MAX + 1))


def test_worst_are_those_of_a_sort_when_many_came_went_and_came_again() -> None:
    dice = random.Random(7)
    faults = [fault(n, at=dice.random()) for n in range(300)]
    worst, members = Worst(PRESENT), dict[int, Fault]()
    for _ in range(5_000):
        one = dice.choice(faults)
        before, one.effect = one.effect, NOTHING
        worst.drop(before)
        members.pop(id(one), None)
        if dice.random() < 0.5:
            one.severity = dice.choice(("critical", "major", "warning"))
            one.effect = ranked(PRESENT, one.severity)
            worst.put(one)
            members[id(one)] = one
    order = sorted(members.values(), key=lambda one: (one.effect, one.raised_at, one.uuid))
    assert worst.count == len(members)
    assert worst.first(20) == order[:20]
    assert worst.first(1_000) == order


@given(
    st.lists(
        st.tuples(
            st.integers(1, 12),
            st.sampled_from(("host=c-1", "host=c-2.port=x", "cluster=y")),
            st.sampled_from(("critical", "minor", "warning")),
            st.sampled_from((0, 1, 3, 5, 7)),
            st.booleans(),
        ),
        max_size=50,
    )
)
@settings(max_examples=100, deadline=None)
def test_gates_agree_with_a_count_over_all_alarms_whatever_came(
    operations: Sequence[tuple[int, str, str, int, bool]],
) -> None:
    active: dict[int, tuple[Fault, int]] = {}
    gates = Gates({})
    said = dict[Subject, Causes]()
    for n, entity, severity, effect, look in operations:
        if n in active:
            gates.drop(active.pop(n)[0])
        else:
            active[n] = (fault(n, entity, severity, n % 3), effect)
            gates.put(*active[n])
        if look:
            said.update(settled(gates))
    said.update(settled(gates))
    counted = [one for one in active.values() if one[1] & PRESENT]
    assert said[STRICT].count == len(counted)
    managed = [one for one, effect in counted if effect & MANAGEMENT]
    assert set(said[RELAXED].worst) == {one.uuid for one in managed}
    assert said[PERMISSIVE] == FREE
    for host in ("c-1", "c-2"):
        here = [
            one.uuid
            for one, effect in counted
            if effect & DEGRADE and one.entity.startswith(f"host={host}")
        ]
        assert set(said.get(Subject(None, host), FREE).worst) == set(here)
