-- Verdicts: that a host fell silent, once for each time it was heard well before. Written by
-- whichever replica reaches it first; settled by the active one, which moves the host's machine.
create table verdict (
    host text not null,
    boot_id text not null,          -- the boot on record when it fell silent
    episode bigint not null,        -- as in host_state: counts up each time it is heard well again
    observer text not null,         -- the replica that reached it
    reached_at timestamptz not null default clock_timestamp(),
    seen jsonb not null,            -- the evidence, as the replica observed it
    settled_at timestamptz,         -- when the machine had taken it; null: not yet
    primary key (host, boot_id, episode)
);
create index verdict_open on verdict (host) where settled_at is null;
