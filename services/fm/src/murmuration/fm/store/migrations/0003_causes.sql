-- What correlation needs and what it leaves: the cause of an alarm, where hosts stand, what is derived for others.

alter table alarm add column cause uuid; -- the next step towards root_cause; null: no known cause

-- Where hosts stand: what sysinv and mtce say of them. A host neither knows any more stays until the next start, so that
-- whoever reads by number learns of it. Written under the lock of all writers: order of numbers is order of commit.
create sequence place_number;
create table place (
    host text primary key,
    number bigint not null,
    personality text not null default '',
    uplinks jsonb not null default '{}',    -- interface -> [switch, port], by LLDP
    sysinv_epoch bigint,                    -- null: sysinv does not know the host
    sysinv_change bigint,
    locked boolean not null default false,
    condition text not null default '',
    mtce_epoch bigint,                      -- null: mtce does not know the host
    mtce_change bigint
);
create index place_by_number on place (number);

-- What was said last of gates and degraded hosts, as it was said.
create table derived (
    gate text not null,                     -- empty for a host
    host text not null,                     -- empty for a gate
    record bytea not null,                  -- GateState or HostDegrade as JSON
    primary key (gate, host)
);
