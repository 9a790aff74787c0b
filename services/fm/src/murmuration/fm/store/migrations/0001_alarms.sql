-- Active alarms by key, and what happened to alarms, one row a transition.
create table alarm (
    alarm_id text not null,
    entity text not null,
    uuid uuid not null unique,
    severity text not null,
    record jsonb not null,
    primary key (alarm_id, entity)
);
create table history (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    what text not null check (what in ('raised', 'changed', 'cleared')),
    uuid uuid not null,
    alarm_id text not null,
    entity text not null,
    severity text not null,
    reason text not null,
    record jsonb not null
);
create index history_at on history (at);
create index history_uuid on history (uuid);
