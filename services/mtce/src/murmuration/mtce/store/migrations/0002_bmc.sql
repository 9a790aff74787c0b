-- Where a host's BMC is, as sysinv declares it, and when its workload is released once it is lost.
create table bmc_config (
    name text primary key,
    declared bytea,                 -- JSON of sysinv's HostBmc; null: it has none
    policy text not null            -- fence policy: graceful or fast
);

-- What the audits found of a BMC.
create table bmc_state (
    name text primary key,
    reach text not null,            -- state of the machine of murmuration.mtce.core.bmc_fsm
    power text not null,
    protocol text not null,         -- the one it was found to speak
    uuid text not null,
    serial text not null,
    product text not null,
    firmware text not null,
    silent_since timestamptz,       -- the first failed audit in a row; null while it answers
    changed_at timestamptz not null,
    reason text not null
);

-- Sensors of a host as last settled; a state counts once it was read twice in a row.
create table bmc_sensor (
    host text not null,
    name text not null,
    sensor bytea not null,          -- JSON of BmcSensor
    primary key (host, name)
);
