"""Releases in mtce's database, and the levels that they follow from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from murmuration.mtce.core.cluster import Wish
from murmuration.mtce.core.fence_fsm import Evidence, FenceRecord, FenceState
from murmuration.proto.envelope import encode
from murmuration.proto.ids import BootId, HostName
from murmuration.proto.mtce import Availability, HeartbeatState
from murmuration.proto.mtce_bmc import FencePolicy, Proof
from murmuration.proto.sysinv import Administrative

_FENCE = """
f.name, f.state, f.boot_id, f.episode, f.policy, f.promise_s, f.proof, f.proof_at, f.figures,
f.at, f.attempt, f.retry_at, f.changed_at, f.reason
"""
LOAD = f"select {_FENCE} from fence f where f.name = any($1) order by f.name for update"
EVERY = f"select {_FENCE} from fence f order by f.name"
STAND = """
select h.name, h.boot_id, h.episode, h.heartbeat, h.availability, h.administrative,
       coalesce(jsonb_array_length(h.work -> 'frames'), 0) = 0 as idle,
       c.policy, c.declared is not null and not m.observe_only as has_bmc
from host_state h join mirror_host m using (name)
    left join bmc_config c using (name) left join fence f using (name)
where m.accepted and (f.name is not null or h.heartbeat = 'lost') order by h.name limit $1
"""
COUNTS = """
select count(*) filter (where h.heartbeat = 'lost'), count(*)
from host_state h join mirror_host m using (name)
where m.accepted and h.administrative = 'unlocked'
"""
FORGOTTEN = """
select name from fence where name not in
    (select h.name from host_state h join mirror_host m using (name) where m.accepted)
order by name
"""
SAVE = """
insert into fence (name, state, boot_id, episode, policy, promise_s, proof, proof_at, figures,
                   at, attempt, retry_at, changed_at, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (name) do update set
    state = excluded.state, boot_id = excluded.boot_id, episode = excluded.episode,
    policy = excluded.policy, promise_s = excluded.promise_s, proof = excluded.proof,
    proof_at = excluded.proof_at, figures = excluded.figures, at = excluded.at,
    attempt = excluded.attempt, retry_at = excluded.retry_at, changed_at = excluded.changed_at,
    reason = excluded.reason
"""
REMOVE = "delete from fence where name = $1"
RELEASE = """
insert into release (name, boot_id, episode, proof, reason, released_at)
values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning name
"""
PRUNE = "delete from release where released_at < $1::timestamptz - interval '30 days'"
GOODBYE = """
select name, boot_id, ending, ended_at from host_boot
where name = any($1) and ending in ('rebooting', 'powering-off') order by ended_at
"""
HAS_BOOTS = "select to_regclass('host_boot') is not null"
WISHES = """
select h.name, h.administrative = 'locked' as locked,
       coalesce(f.state = 'released', false) as released
from host_state h join mirror_host m using (name) left join fence f using (name)
where m.accepted and not m.observe_only
"""
FAILED = (Availability.FAILED.value, Availability.POWER_OFF.value)
_FIGURES = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How a host stands that is lost, or has a release at stake."""

    name: HostName
    boot_id: BootId
    episode: int
    lost: bool
    failed: bool
    locked: bool
    policy: FencePolicy
    has_bmc: bool


@dataclass(frozen=True, slots=True)
class Goodbye:
    """How a boot said that it ends, and when that was heard."""

    boot_id: BootId
    kind: str
    at: datetime


async def stands(connection: asyncpg.Connection, limit: int) -> list[Stand]:
    """Every host that is lost or has a release at stake, by name, at most `limit`."""
    return [
        Stand(
            name=HostName(row["name"]),
            boot_id=BootId(row["boot_id"]),
            episode=row["episode"],
            lost=row["heartbeat"] == HeartbeatState.LOST.value,
            failed=row["availability"] in FAILED and row["idle"],
            locked=row["administrative"] == Administrative.LOCKED.value,
            policy=FencePolicy(row["policy"] or FencePolicy.GRACEFUL.value),
            has_bmc=row["has_bmc"],
        )
        for row in await connection.fetch(STAND, limit)
    ]


async def counts(connection: asyncpg.Connection) -> tuple[int, int]:
    """How many hosts that are wanted in service are lost, and how many there are."""
    row = await connection.fetchrow(COUNTS)
    assert row is not None
    return int(row[0]), int(row[1])


async def load(
    connection: asyncpg.Connection, names: Sequence[HostName]
) -> dict[HostName, FenceRecord]:
    """The records of these hosts, locked until the transaction ends."""
    return {HostName(row["name"]): _record(row) for row in await connection.fetch(LOAD, names)}


async def every(connection: asyncpg.Connection) -> list[FenceRecord]:
    """All records, by name."""
    return [_record(row) for row in await connection.fetch(EVERY)]


async def forgotten(connection: asyncpg.Connection) -> list[HostName]:
    """Hosts that have a record here and are no more."""
    return [HostName(row["name"]) for row in await connection.fetch(FORGOTTEN)]


async def save(connection: asyncpg.Connection, record: FenceRecord) -> None:
    """Write a record; a quiet one needs none."""
    if record.state is FenceState.QUIET:
        await remove(connection, record.name)
        return
    evidence = record.evidence
    await connection.execute(
        SAVE,
        record.name,
        record.state.value,
        record.boot_id,
        record.episode,
        record.policy.value,
        record.promise_s,
        evidence.proof.value if evidence is not None else None,
        evidence.at if evidence is not None else None,
        encode(evidence.figures if evidence is not None else {}).decode(),
        record.at,
        record.attempt,
        record.retry_at,
        record.changed_at,
        record.reason,
    )


async def remove(connection: asyncpg.Connection, name: HostName) -> None:
    """Drop a record; nothing happens where there is none."""
    await connection.execute(REMOVE, name)


async def release(connection: asyncpg.Connection, record: FenceRecord) -> bool:
    """Keep that it was released; False when this loss was released before."""
    assert record.evidence is not None
    kept = await connection.fetchval(
        RELEASE,
        record.name,
        record.boot_id,
        record.episode,
        record.evidence.proof.value,
        record.reason,
        record.changed_at,
    )
    await connection.execute(PRUNE, record.changed_at)
    return kept is not None


async def goodbyes(
    connection: asyncpg.Connection, names: Sequence[HostName]
) -> dict[HostName, Goodbye]:
    """How boots of these hosts said that they end, the newest of each."""
    if not await connection.fetchval(HAS_BOOTS):
        return {}
    rows = await connection.fetch(GOODBYE, names)
    return {
        HostName(row["name"]): Goodbye(BootId(row["boot_id"]), row["ending"], row["ended_at"])
        for row in rows
    }


async def wishes(connection: asyncpg.Connection) -> dict[str, Wish]:
    """What a cluster is to know of each accepted host, by name."""
    rows = await connection.fetch(WISHES)
    return {row["name"]: Wish(locked=row["locked"], released=row["released"]) for row in rows}


def _record(row: asyncpg.Record) -> FenceRecord:
    evidence = None
    if row["proof"] is not None:
        figures = _FIGURES.decode(row["figures"])
        evidence = Evidence(proof=Proof(row["proof"]), at=row["proof_at"], figures=figures)
    return FenceRecord(
        name=HostName(row["name"]),
        state=FenceState(row["state"]),
        boot_id=BootId(row["boot_id"]),
        episode=row["episode"],
        policy=FencePolicy(row["policy"]),
        promise_s=row["promise_s"],
        evidence=evidence,
        at=row["at"],
        attempt=row["attempt"],
        retry_at=row["retry_at"],
        changed_at=row["changed_at"],
        reason=row["reason"],
    )
