-- How far the release of a lost host's workload is. A host without a row is not lost.
create table fence (
    name text primary key,
    state text not null,            -- of the machine of murmuration.mtce.core.fence_fsm
    boot_id text not null,
    episode bigint not null,        -- with the boot, names the loss
    policy text not null,
    promise_s integer not null,     -- what the lost boot promised of its watchdog, 0: nothing
    proof text,
    proof_at timestamptz,
    figures text not null,          -- JSON: what the proof rests on
    at timestamptz,
    attempt integer not null,       -- power-offs asked for
    retry_at timestamptz,
    changed_at timestamptz not null,
    reason text not null
);

-- What was released, so that nothing is released twice, whatever becomes of the row above.
create table release (
    name text not null,
    boot_id text not null,
    episode bigint not null,
    proof text not null,
    reason text not null,
    released_at timestamptz not null,
    primary key (name, boot_id, episode)
);
create index release_released_at on release (released_at);
