-- Alarms about the ways of pulses, as raised: what is raised no more is cleared by whoever is active.
create table path_fault (
    alarm_id text not null,
    entity text not null,
    host text,                      -- the host that is degraded by it; null: none
    severity text not null,
    reason text not null,
    raised_at timestamptz not null,
    primary key (alarm_id, entity)
);
