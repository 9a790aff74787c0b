-- What a host's agent last said of its health, whole; the newest counts.
create table host_health (
    name text primary key references mirror_host on delete cascade,
    incarnation bigint not null,    -- of the agent, only grows
    n bigint not null,              -- of the message in it
    boot_id text not null,
    observed_at timestamptz not null,
    told_at timestamptz not null,   -- when it last went into an event
    causes text[] not null,         -- why the host is degraded
    failed text not null,           -- why it has failed, empty when it has not
    asked text not null,            -- what a sensor's policy asks for
    body jsonb not null             -- the message
);

-- How boots of a host began and ended, as its agent told; the newest few of each.
create table host_boot (
    name text not null references mirror_host on delete cascade,
    boot_id text not null,
    heard_at timestamptz not null,
    previous_boot_id text not null default '',
    previous_end text not null default '',
    record text not null default '',
    ending text not null default '',        -- how it said that it ends, empty before
    ending_reason text not null default '',
    ended_at timestamptz,
    primary key (name, boot_id)
);

-- What orders to agents came to, by operation.
create table agent_result (
    operation_id text primary key,
    name text not null references mirror_host on delete cascade,
    kind text not null,             -- in-test, services
    passed boolean not null,
    reason text not null,
    cached boolean not null,
    at timestamptz not null
);
