"""Suppressions and profiles in the database, and the policy they make with the catalogue."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg

from murmuration.fm.core.policy import Policy, Profile, make_policy
from murmuration.proto.envelope import encode
from murmuration.proto.fm_operators import CatalogueEntry, Reach, SetProfile, Suppression
from murmuration.proto.fm_vocabulary import Severity

NEXT_GENERATION = """
update state
set policy = greatest(policy + 1, (extract(epoch from clock_timestamp()) * 1e6)::bigint)
"""  # by the clock: a database that was put back does not give a number again
APPLIED = "select policy, policy_applied from state"
SET_APPLIED = "update state set policy_applied = $1"
_COLUMNS = "id::text, alarm_id, entity, severities, author, comment, created_at, expires_at"
SUPPRESSIONS = f"select {_COLUMNS} from suppression order by id"
EXPIRED = f"""
delete from suppression
where id in (select id from suppression where expires_at <= $1 order by expires_at limit 100)
returning {_COLUMNS}
"""
ADD = f"""
insert into suppression (id, alarm_id, entity, severities, author, comment, created_at, expires_at)
values ($1::uuid, $2, $3, $4, $5, $6, $7, $8)
on conflict (alarm_id, entity, severities) do update set
    author = excluded.author, comment = excluded.comment, expires_at = excluded.expires_at
returning {_COLUMNS}
"""
COUNT = "select count(*) from suppression"
REMOVE = f"delete from suppression where id::text = $1 returning {_COLUMNS}"
PROFILES = (
    "select alarm_id, severity, management_reach, degrade_reach, author, comment from profile"
)
SET_PROFILE = """
insert into profile (alarm_id, severity, management_reach, degrade_reach, author, comment, set_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (alarm_id) do update set severity = excluded.severity,
    management_reach = excluded.management_reach, degrade_reach = excluded.degrade_reach,
    author = excluded.author, comment = excluded.comment, set_at = excluded.set_at
"""
DROP_PROFILE = "delete from profile where alarm_id = $1"


class Policies:
    """The policy, kept in memory and read again when its generation in the database is another."""

    def __init__(self, catalogue: Mapping[str, CatalogueEntry]) -> None:
        self.catalogue = catalogue
        self.digest = hashlib.sha256(encode(sorted(catalogue.items()))).hexdigest()[:16]
        self._policy: Policy | None = None

    async def current(self, connection: asyncpg.Connection, generation: int) -> Policy:
        """The policy of `generation`, which the caller read in this transaction."""
        if self._policy is None or self._policy.generation != generation:
            self._policy = await self.fresh(connection, generation)
        return self._policy

    async def fresh(self, connection: asyncpg.Connection, generation: int) -> Policy:
        """As this transaction sees it, not kept: it may have changed it and may be undone."""
        return make_policy(
            generation=generation,
            catalogue=self.catalogue,
            profiles=await profiles(connection),
            suppressions=await suppressions(connection),
        )

    def applied(self, generation: int) -> str:
        """What `policy_applied` is once every active alarm was judged by this generation."""
        return f"{generation}/{self.digest}"


async def suppressions(connection: asyncpg.Connection) -> list[Suppression]:
    """All suppressions in force."""
    return [_suppression(row) for row in await connection.fetch(SUPPRESSIONS)]


async def profiles(connection: asyncpg.Connection) -> list[Profile]:
    """Where operators say otherwise than the catalogue."""
    return [
        Profile(
            alarm_id=row["alarm_id"],
            severity=Severity(row["severity"]) if row["severity"] else None,
            management_reach=Reach(row["management_reach"]) if row["management_reach"] else None,
            degrade_reach=Reach(row["degrade_reach"]) if row["degrade_reach"] else None,
            author=row["author"],
            comment=row["comment"],
        )
        for row in await connection.fetch(PROFILES)
    ]


async def add(connection: asyncpg.Connection, wanted: Suppression) -> Suppression:
    """Store a suppression, or renew the one of the same scope; a new generation of the policy."""
    row = await connection.fetchrow(
        ADD,
        wanted.id,
        wanted.alarm_id,
        wanted.entity,
        sorted(severity.value for severity in wanted.severities),
        wanted.author,
        wanted.comment,
        wanted.created_at,
        wanted.expires_at,
    )
    assert row is not None
    await connection.execute(NEXT_GENERATION)
    return _suppression(row)


async def remove(connection: asyncpg.Connection, suppression_id: str) -> Suppression | None:
    """Delete a suppression; None when there is none of this id."""
    row = await connection.fetchrow(REMOVE, suppression_id)
    if row is None:
        return None
    await connection.execute(NEXT_GENERATION)
    return _suppression(row)


async def expire(connection: asyncpg.Connection, now: datetime) -> list[Suppression]:
    """Delete those whose time is over, a hundred at most; returns them."""
    rows = await connection.fetch(EXPIRED, now)
    if rows:
        await connection.execute(NEXT_GENERATION)
    return [_suppression(row) for row in rows]


async def set_profile(connection: asyncpg.Connection, wanted: SetProfile, now: datetime) -> None:
    """Store what operators say of an id; nothing said: as the catalogue has it again."""
    said = (wanted.severity, wanted.management_reach, wanted.degrade_reach)
    if any(said):
        words = (each.value if each else None for each in said)
        await connection.execute(
            SET_PROFILE, wanted.alarm_id, *words, wanted.author, wanted.comment, now
        )
    else:
        await connection.execute(DROP_PROFILE, wanted.alarm_id)
    await connection.execute(NEXT_GENERATION)


def _suppression(row: asyncpg.Record) -> Suppression:
    expires_at = row["expires_at"]
    return Suppression(
        id=row["id"],
        alarm_id=row["alarm_id"],
        entity=row["entity"],
        severities=tuple(Severity(word) for word in row["severities"]),
        author=row["author"],
        comment=row["comment"],
        created_at=row["created_at"].astimezone(UTC),
        expires_at=expires_at.astimezone(UTC) if expires_at else None,
    )
