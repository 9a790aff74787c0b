-- What sysinv says of a host, as far as mtce needs it; fed by sysinv's events alone.
create table mirror_host (
    name text primary key,
    index integer not null,
    period_ms integer not null,
    accepted boolean not null,
    administrative text not null,   -- as intended: locked or unlocked
    epoch bigint not null,          -- of the event it came with
    change bigint not null
);

-- The states of an accepted host, each axis apart, and why they are so. Owned by mtce.
create table host_state (
    name text primary key,
    administrative text not null,
    operational text not null,
    availability text not null,
    heartbeat text not null,
    boot_id text not null,
    episode bigint not null,        -- counts up each time it is heard well again
    last_heard_at timestamptz,
    changed_at timestamptz not null,
    reason text not null
);
