-- The alarm model in full, history in partitions of time, suppressions, profiles and leases.
--
-- Every transaction that writes here begins with pg_advisory_xact_lock (store/writing.py): writers come one after the
-- other, whichever replica or task they are in, and ids of history grow in order of commit.

-- Small facts of the whole: the clock of the leases, and which policy the active alarms were last compared with.
create table state (
    only_row boolean primary key default true check (only_row),
    lease_clock_s bigint not null default 0,    -- seconds of fm's own ticks, as read from the intake
    policy bigint not null default 1,           -- grows with each change of suppressions and profiles
    policy_applied text not null default ''     -- generation, and digest of the catalogue
);
insert into state default values;

-- path: the entity's components, each ended by U+001F, so that "on or below" is one range of an index.
alter table alarm rename to alarm_before;
create table alarm (
    alarm_id text not null,
    entity text not null,
    uuid uuid not null,
    path text collate "C" not null,
    severity text not null,
    producer text not null,
    inhibits boolean not null,
    lease_ends_s bigint,                        -- on the clock of the leases; null: no lease, or it has run out
    raise_count bigint not null,
    told_count bigint not null,                 -- the raise_count that readers were told last
    first_raised_at timestamptz not null,
    root_cause uuid,
    record bytea not null,                      -- the alarm as JSON
    constraint alarm_key primary key (alarm_id, entity)
) with (fillfactor = 80);                       -- a repeated raise rewrites the row in place
create unique index alarm_uuid on alarm (uuid);
create index alarm_path on alarm (path);
create index alarm_inhibits on alarm (path) where inhibits;
create index alarm_lease on alarm (lease_ends_s) where lease_ends_s is not null;
create index alarm_root_cause on alarm (root_cause) where root_cause is not null;
insert into alarm
select b.alarm_id, b.entity, b.uuid, replace(b.entity, '.', E'\x1f') || E'\x1f', b.severity, b.record ->> 'producer',
    false, null, (b.record ->> 'raise_count')::bigint, (b.record ->> 'raise_count')::bigint,
    (b.record ->> 'first_raised_at')::timestamptz, null, convert_to(b.record::text, 'UTF8')
from alarm_before b;
drop table alarm_before;

-- What a batch is about, in one round trip: the alarms of some keys, those on and below some paths (as ranges), and what
-- inhibits on some paths. Its plans are made once and must hold when the table has grown: never by scanning it.
create function load_alarms(alarm_ids text[], entities text[], lows text[], highs text[], aboves text[])
returns table (what text, alarm_id text, entity text, path text, lease_ends_s bigint, told_count bigint, record bytea)
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    return query
    select 'key', a.alarm_id, a.entity, a.path::text, a.lease_ends_s, a.told_count, a.record
    from unnest(alarm_ids, entities) as k (alarm_id, entity)
    join alarm a on a.alarm_id = k.alarm_id and a.entity = k.entity;
    if cardinality(lows) > 0 then
        return query
        select 'below', a.alarm_id, a.entity, a.path::text, a.lease_ends_s, a.told_count, a.record
        from unnest(lows, highs) as r (low, high)
        join alarm a on a.path >= r.low collate "C" and a.path < r.high collate "C";
    end if;
    return query
    select 'above', a.alarm_id, a.entity, a.path::text, null::bigint, null::bigint, null::bytea
    from alarm a where a.inhibits and a.path = any (aboves);
end $$;

-- What happened, one row a transition. Days are made ahead and dropped by a task (store/partitions.py).
alter table history rename to history_before;
alter index history_at rename to history_before_at;
alter index history_uuid rename to history_before_uuid;
create sequence history_id;
create table history (
    id bigint not null default nextval('history_id'),
    recorded_at timestamptz not null,           -- when fm took it in
    at timestamptz not null,                    -- when it happened, as its producer says; never after recorded_at
    kind text not null check (kind in ('raised', 'changed', 'cleared', 'logged')),
    uuid uuid not null,
    alarm_id text not null,
    entity text not null,
    path text collate "C" not null,
    severity text not null,
    severity_before text,                       -- where the severity changed
    raised_at timestamptz not null,             -- first raise of this alarm
    changed text[] not null,                    -- names of the fields
    reason text not null,
    author text not null,                       -- the operator; empty: a producer or fm itself
    record bytea not null                       -- the alarm afterwards, or the log entry, as JSON
) partition by range (recorded_at);
create index history_by_id on history (id);
create index history_by_at on history using brin (at);  -- rows come nearly in order of time
create index history_by_uuid on history (uuid, id);
create index history_by_path on history (path);
do $$
declare
    day date;
begin
    for day in select generate_series(current_date - 1, current_date + 2, '1 day')::date loop
        execute format('create table %I partition of history for values from (%L) to (%L)',
            'history_' || to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'UTC',
            (day + 1)::timestamp at time zone 'UTC');
    end loop;
end $$;
insert into history (recorded_at, at, kind, uuid, alarm_id, entity, path, severity, raised_at, changed, reason, author, record)
select now(), least(h.at, now()), h.what, h.uuid, h.alarm_id, h.entity, replace(h.entity, '.', E'\x1f') || E'\x1f', h.severity,
    (h.record ->> 'first_raised_at')::timestamptz, '{}', h.reason, '', convert_to(h.record::text, 'UTF8')
from history_before h order by h.id;
drop table history_before;

create table suppression (
    id uuid primary key,
    alarm_id text not null,
    entity text not null,
    severities text[] not null,
    author text not null,
    comment text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    unique (alarm_id, entity, severities)
);
create index suppression_expires_at on suppression (expires_at) where expires_at is not null;

-- Where operators say otherwise than the catalogue; null: as the catalogue has it.
create table profile (
    alarm_id text primary key,
    severity text,
    management_reach text,
    degrade_reach text,
    author text not null,
    comment text not null,
    set_at timestamptz not null
);
