-- What is in progress on a host: the task for people, the deadline, and the procedures as JSON.
alter table host_state
    add column task text not null default '',
    add column due_at timestamptz,             -- when the work in progress goes on, whatever comes
    add column work jsonb not null default '{}';
create index host_state_due on host_state (due_at) where due_at is not null;

-- What else mtce must know of a host; `ordered` is the version of the last order about its intent:
-- what sysinv said of the intent before that is older, whenever it comes.
alter table mirror_host
    add column personality text not null default 'unknown',
    add column observe_only boolean not null default false,
    add column takes_orders boolean not null default false,
    add column has_bmc boolean not null default false,
    add column ordered_epoch bigint not null default 0,
    add column ordered_change bigint not null default 0;

-- Why hosts are as they are: the last decisions about each, trimmed to a bound.
create table host_step (
    id bigint generated always as identity primary key,
    host text not null,
    step jsonb not null
);
create index host_step_host on host_step (host, id);
