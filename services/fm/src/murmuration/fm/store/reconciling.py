"""Bringing what stands up to what holds now: policy, leases and counts, some alarms at a time.

Each function is part of one transaction under the writers' lock, takes no input but the database,
and may be repeated: what is as it should be is left alone.
"""

from collections.abc import Callable
from datetime import datetime

from murmuration.fm.core.model import Key, Ledger
from murmuration.fm.core.policy import Policy
from murmuration.fm.store import alarms
from murmuration.fm.store.alarms import Need
from murmuration.fm.store.writing import write
from murmuration.store.database import Unit

AT_ONCE = 500  # alarms of one transaction: about 50 ms in which the intake waits
ENDED = """
select alarm_id, entity from alarm where lease_ends_s <= $1 order by lease_ends_s limit $2
"""
UNTOLD = "select alarm_id, entity from alarm where raise_count <> told_count limit $1"


async def rejudge_some(
    unit: Unit,
    policy: Policy,
    *,
    now: datetime,
    clock_s: int,
    reason: str,
    after: Key = ("", ""),
) -> Key | None:
    """Judge the alarms behind a key by the policy; the key to go on behind, None at the end."""
    found = [key for key, _ in await alarms.page(unit.connection, after, AT_ONCE)]
    await _each(
        unit,
        found,
        lambda ledger, key: ledger.rejudge(key, reason=reason),
        policy=policy,
        now=now,
        clock_s=clock_s,
    )
    return found[-1] if len(found) == AT_ONCE else None


async def end_leases(unit: Unit, policy: Policy, *, now: datetime, clock_s: int) -> int:
    """Clear or mark stale whose lease has run out; how many, AT_ONCE at most."""
    found = await alarms.keys(unit.connection, ENDED, clock_s, AT_ONCE)
    await _each(
        unit,
        found,
        lambda ledger, key: ledger.end_lease(key),
        policy=policy,
        now=now,
        clock_s=clock_s,
    )
    return len(found)


async def tell_counts(unit: Unit, policy: Policy, *, now: datetime, clock_s: int) -> int:
    """Tell of alarms that were raised again how often; how many, AT_ONCE at most."""
    found = await alarms.keys(unit.connection, UNTOLD, AT_ONCE)
    await _each(
        unit, found, lambda ledger, key: ledger.tell(key), policy=policy, now=now, clock_s=clock_s
    )
    return len(found)


async def _each(
    unit: Unit,
    keys: list[Key],
    act: Callable[[Ledger, Key], object],
    *,
    policy: Policy,
    now: datetime,
    clock_s: int,
) -> None:
    if not keys:
        return
    need = Need()
    for key in keys:
        need.alarm(*key, inhibits=key[0] in policy.inhibiting)
    ledger = await alarms.load(unit.connection, need, policy=policy, now=now, clock_s=clock_s)
    for key in keys:
        act(ledger, key)
    await write(unit, ledger)
